"""Clients that are slow on purpose, each of a kind, with when and how the service ended them."""

import selectors
import threading
import time

from wire import AUTHORITY, Connection, Ended, request

# How often the dribbling ones send a byte, in seconds.
TICK = 0.5
PROBE = request("GET", "/health/live")
LOGIN_HEAD = f"POST /login HTTP/1.1\r\nHost: {AUTHORITY}\r\nContent-Type: application/json\r\n".encode()
ENDLESS_HEAD = PROBE[:-2] + b"X-Padding: " + b"x" * 10_000


class Client:
    def __init__(self, first=b"", dribble=b"", after_a_request=False):
        self.connection = Connection()
        if after_a_request:
            self.connection.send(PROBE)
            assert self.connection.answer().status == 200
            self.connection.opened = time.monotonic()
        self.connection.send(first)
        self.dribble = dribble
        # Seconds until the service ended the connection.
        self.lasted = None

    def tick(self):
        if self.dribble:
            self.connection.send(self.dribble[:1])
            self.dribble = self.dribble[1:]

    def answer(self):
        """What it got before the end, if anything."""
        try:
            return self.connection.answer(within=0.1)
        except (Ended, TimeoutError):
            return None


BODY_HEAD = LOGIN_HEAD + b"Content-Length: 9000\r\n\r\n{"
CHUNKED_HEAD = LOGIN_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KINDS = {
    "says nothing": {},
    "begins a head and stops": {"first": PROBE[:20]},
    "sends a head by the byte": {"dribble": ENDLESS_HEAD},
    "begins a second head and stops": {"first": PROBE[:20], "after_a_request": True},
    "sends a second head by the byte": {"dribble": ENDLESS_HEAD, "after_a_request": True},
    "announces a body and stops": {"first": BODY_HEAD},
    "sends a body by the byte": {"first": BODY_HEAD, "dribble": b" " * 9000},
    "announces chunks and stops": {"first": CHUNKED_HEAD},
    "sends trailers without end": {"first": CHUNKED_HEAD + b"2\r\n{}\r\n0\r\nX: ", "dribble": b"x" * 9000},
    "announces a body nobody reads and stops": {"first": BODY_HEAD.replace(b"/login", b"/logout")},
}


class Clients:
    """All of them, with one thread that dribbles and watches."""

    def __enter__(self):
        self.kinds = {kind: Client(**habits) for kind, habits in KINDS.items()}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        for client in self.kinds.values():
            client.connection.socket.close()

    def watch(self):
        selector = selectors.DefaultSelector()
        for client in self.kinds.values():
            selector.register(client.connection.socket, selectors.EVENT_READ, client)
        next_tick = time.monotonic()
        while selector.get_map() and not self.stop.is_set():
            for key, _ in selector.select(timeout=max(0, next_tick - time.monotonic())):
                if not key.data.connection.more():
                    key.data.lasted = time.monotonic() - key.data.connection.opened
                    selector.unregister(key.fileobj)
            if time.monotonic() >= next_tick:
                next_tick += TICK
                for key in list(selector.get_map().values()):
                    key.data.tick()
        selector.close()

    def wait(self, kind, seconds):
        """The client of that kind, ended or `seconds` after it connected."""
        client = self.kinds[kind]
        while client.lasted is None and time.monotonic() - client.connection.opened < seconds:
            self.stop.wait(0.05)
        return client
