"""HTTP/1.1 by the byte: a connection that sends exactly what the test gives it, and reads answers strictly."""

import json
import os
import select
import socket
import time
import urllib.parse
from dataclasses import dataclass, field

URL = os.environ["API_URL"]
HOST, PORT = (lambda parts: (parts.hostname, parts.port))(urllib.parse.urlsplit(URL))
AUTHORITY = f"{HOST}:{PORT}"
# Longest wait for an answer that is due at once, in seconds.
PATIENCE = 5


@dataclass
class Answer:
    """One answer. Of a header that comes twice, `headers` has the last; names are in lower case."""

    status: int
    headers: dict
    body: bytes = b""
    # All headers as they came, for those that may repeat.
    lines: list = field(default_factory=list)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The problem's code."""
        assert self.headers.get("content-type") == "application/problem+json", self
        return self.json["code"]


class Ended(Exception):
    """The service ended the connection before the answer was complete."""


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((HOST, PORT), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened = time.monotonic()
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """As much as the service takes: it may refuse and end the connection before the last byte."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def more(self, within=PATIENCE):
        """Reads what there is; False at the end of the connection."""
        self.socket.settimeout(max(within, 0.001))
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.buffer += data
        return bool(data)

    def until(self, end, within):
        while end not in self.buffer:
            if not self.more(within):
                raise Ended(self.buffer)
        data, self.buffer = self.buffer.split(end, 1)
        return data

    def exactly(self, length, within):
        while len(self.buffer) < length:
            if not self.more(within):
                raise Ended(self.buffer)
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def answer(self, to="GET", within=PATIENCE):
        """The next answer, read as RFC 9112, section 6.3 says, to a request of that method."""
        start, *lines = self.until(b"\r\n\r\n", within).decode("latin-1").split("\r\n")
        assert start.startswith(("HTTP/1.1 ", "HTTP/1.0 ")), f"no status line: {start!r}"
        lines = [line.split(":", 1) for line in lines]
        lines = [(name.lower(), value.strip()) for name, value in lines]
        answer = Answer(int(start.split(" ")[1]), dict(lines), lines=lines)
        if to != "HEAD" and answer.status >= 200 and answer.status not in (204, 304):
            answer.body = self.body(answer, within)
        return answer

    def body(self, answer, within):
        if answer.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.until(b"\r\n", within), 16):
                body += self.exactly(size, within)
                assert self.exactly(2, within) == b"\r\n"
            self.until(b"\r\n", within)
            return body
        return self.exactly(int(answer.headers["content-length"]), within)

    def ended(self, within=PATIENCE):
        """Whether the service ends the connection by then. What it still sends is kept in the buffer."""
        limit = time.monotonic() + within
        while (left := limit - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0] and not self.more():
                return True
        return False


def request(method, path, *lines, body=None, host=AUTHORITY, media_type="application/json"):
    """The bytes of a proper request; with a body, its length and media type."""
    head = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        head.append(f"Host: {host}")
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    if body is not None:
        head += [f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    encoded = [line if isinstance(line, bytes) else line.encode() for line in [*head, *lines]]
    return b"\r\n".join(encoded) + b"\r\n\r\n" + (body or b"")


def ask(method, path, *lines, **arguments):
    """The answer to one request on a connection of its own."""
    with Connection() as connection:
        connection.send(request(method, path, *lines, **arguments))
        return connection.answer(to=method)


def resident():
    """Bytes of memory the service has."""
    with open(f"/proc/{os.environ['API_PID']}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
