"""A fake service that answers as the test says, and what the tests need from it."""

import asyncio
import json
import time
from datetime import datetime, timezone

import jwt

SECRET = "access-secret-of-the-tests-0123456789abcdef"


class FakeService:
    """Answers ``/session`` with ``session``, and serves ``/revocations`` from what the test sends."""

    def __init__(self):
        self.session = 200
        self.revocations = 200
        #: How many requests for a session's state there were.
        self.asked = 0
        #: The cursors that came with the requests for ``/revocations``.
        self.cursors = []
        #: Writers of the streams, and when each began.
        self._streams = {}
        self._connections = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        for writer in self._connections:
            writer.close()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self._connections.add(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                if head.startswith("GET /session "):
                    self.asked += 1
                    code = "session_terminated" if self.session == 401 else None
                    self._answer(writer, self.session, json.dumps({"code": code}))
                    continue
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                self.cursors.append(fields.get("last-event-id"))
                if self.revocations != 200:
                    self._answer(writer, self.revocations, "")
                    continue
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
                self._streams[writer] = time.monotonic()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._streams.pop(writer, None)
            self._connections.discard(writer)
            writer.close()

    @staticmethod
    def _answer(writer, status, body):
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())

    @property
    def followers(self):
        return len(self._streams)

    def reset(self, since):
        """Endings before that time are not sent."""
        self.tell("event: reset\ndata: " + json.dumps({"since": _text(since)}) + "\n\n")

    def heartbeat(self, ago=0.0, cursor="place"):
        """Says that every ending stored up to that many seconds ago has been sent."""
        for writer, began in self._streams.items():
            elapsed = int((time.monotonic() - began - ago) * 1000)
            writer.write(f'event: heartbeat\nid: {cursor}\ndata: {{"elapsedMs":{elapsed}}}\n\n'.encode())

    def ended(self, session, reason, lasts=60):
        event = {"sessionId": session, "userId": "ada", "reason": reason, "tokensExpireAt": _text(time.time() + lasts)}
        self.tell("data: " + json.dumps(event) + "\n\n")

    def tell(self, text):
        for writer in self._streams:
            writer.write(text.encode())

    def drop(self):
        """Breaks all streams."""
        for writer in list(self._streams):
            writer.transport.abort()


def token(sid="laptop", *, issued=None, lasts=900):
    iat = int(time.time() if issued is None else issued)
    claims = {"iss": "auth-service", "sub": "ada", "sid": sid, "role": "PRO", "iat": iat, "exp": iat + lasts, "jti": sid}
    return jwt.encode(claims, SECRET, "HS256", headers={"typ": "at+jwt"})


async def until(what, holds):
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within five seconds: {what}")


def _text(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
