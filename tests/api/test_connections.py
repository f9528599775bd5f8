"""Event connections opened wrongly, and frames that are none (RFC 6455). The service ends those, and only those."""

import base64
import os
import struct

import pytest
from wire import Connection, ask, request, resident

KEY = "Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef").decode()
HANDSHAKE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY]
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def frame(opcode, data=b"", final=True, masked=True, reserved=0, length=None):
    """A client's frame; `length` is what it says its length is."""
    length = len(data) if length is None else length
    first = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    mask = os.urandom(4) if masked else b""
    bit = 0x80 if masked else 0
    if length < 126:
        size = bytes([bit | length])
    elif length < 1 << 16:
        size = bytes([bit | 126]) + struct.pack(">H", length)
    else:
        size = bytes([bit | 127]) + struct.pack(">Q", length)
    if masked:
        data = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    return first + size + mask + data


def opened(ada):
    connection = Connection()
    connection.send(request("GET", "/ws", ada.bearer, *HANDSHAKE))
    head = connection.until(b"\r\n\r\n", within=5)
    assert head.startswith(b"HTTP/1.1 101"), head
    return connection


WRONG = {
    "no handshake at all": [],
    "no key": [line for line in HANDSHAKE if not line.startswith("Sec-WebSocket-Key")],
    "an invalid key": [*HANDSHAKE[:3], "Sec-WebSocket-Key: short"],
    "no version": [line for line in HANDSHAKE if "Version" not in line],
    "another version": [line.replace("13", "12") for line in HANDSHAKE],
    "no Connection": HANDSHAKE[1:],
}


@pytest.mark.parametrize("lines", WRONG.values(), ids=WRONG.keys())
def test_a_request_that_is_no_handshake_is_told_so(ada, lines):
    """RFC 9110, section 15.5.22, and RFC 6455, section 4.2.2: 400, or 426 with what is wanted; it has no body to be wrong."""
    answer = ask("GET", "/ws", ada.bearer, *lines)
    assert answer.status in (400, 426), answer
    if answer.status == 426:
        assert answer.headers["upgrade"].lower() == "websocket", answer
    assert answer.code != "invalid_json", answer


def test_nobody_connects_without_a_token_or_from_a_foreign_page(ada):
    assert ask("GET", "/ws", *HANDSHAKE).code == "token_missing"
    assert ask("GET", "/ws", *HANDSHAKE, "Authorization: Bearer a.b.c").code == "token_invalid"
    for path in ("/ws", "/events"):
        lines = [ada.bearer, "Origin: https://evil.example.net", *(HANDSHAKE if path == "/ws" else [])]
        assert ask("GET", path, *lines).code == "origin_not_allowed"


def test_a_ticket_opens_once(ada):
    ticket = ask("POST", "/events/ticket", ada.bearer).json["ticket"]
    with Connection() as connection:
        connection.send(request("GET", f"/ws?ticket={ticket}", *HANDSHAKE))
        assert connection.until(b"\r\n\r\n", within=5).startswith(b"HTTP/1.1 101")
        for path in ("/ws", "/events"):
            assert ask("GET", f"{path}?ticket={ticket}", *HANDSHAKE).code == "token_invalid"


BAD_FRAMES = {
    "5.1: not masked": frame(TEXT, b'{"type":"activity"}', masked=False),
    "5.2: a reserved bit": frame(TEXT, b"x", reserved=4),
    "5.2: an opcode nobody knows": frame(3, b"x"),
    "5.2: a length beyond 63 bits": frame(TEXT, length=1 << 63),
    "5.4: a continuation of nothing": frame(0, b"x"),
    "5.5: a ping in parts": frame(PING, b"x", final=False),
    "5.5: a ping that is too long": frame(PING, b"x" * 126),
    "8.1: no UTF-8": frame(TEXT, b"\xff\xfe"),
    "a frame of a megabyte": frame(TEXT, b"x" * 1_000_000),
    "a message of a megabyte in parts": frame(TEXT, b"x" * 60_000, final=False) + frame(0, b"x" * 60_000, final=False) * 16,
    "HTTP in place of a frame": request("GET", "/health/live"),
}


@pytest.mark.parametrize("data", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_a_frame_that_is_none_ends_the_connection_and_not_the_session(ada, data):
    with opened(ada) as connection:
        connection.send(data)
        assert connection.ended(), "still open"
    assert ask("GET", "/session", ada.bearer).status == 200


# Bytes sent of one frame; a message may have 4 KiB.
SENT = 50_000_000
# Bytes of memory they may cost: what is on its way, in buffers.
KEPT = 10_000_000


def test_a_frame_that_never_ends_is_not_kept(ada):
    """Else one device of anybody who signs up takes all the memory there is."""
    before = resident()
    with opened(ada) as connection:
        connection.send(frame(TEXT, length=1 << 40))
        for _ in range(SENT // 1_000_000):
            connection.send(b"x" * 1_000_000)
        grown = resident() - before
        assert grown < KEPT, f"{grown} bytes are kept of {SENT} sent"


ODD_MESSAGES = [b"", b"{", b"[]", b'{"type":"' + b"x" * 1000 + b'"}', b'{"type":1}', b"[" * 1000, b'{"type":"snapshot"}']


def test_a_message_nobody_knows_is_ignored(ada):
    with opened(ada) as connection:
        for message in ODD_MESSAGES:
            connection.send(frame(TEXT, message))
        connection.send(frame(BINARY, b"\x00\xff") + frame(PING, b"still there?"))
        # The pong comes as an unmasked frame with the ping's data.
        connection.until(b"\x8a\x0cstill there?", within=5)
