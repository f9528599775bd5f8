"""Where one request ends and the next begins (RFC 9112): nothing that two readers can take in two ways is answered twice."""

import uuid

import pytest
from wire import AUTHORITY, Connection, ask, request

# What an attacker hides behind a request. Were it ever answered, that would be an answer too many.
HIDDEN = request("GET", "/hidden")
BODY = b'{"email": "nobody@example.com", "password": "a horse, correct"}'
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LINE = b"POST /login HTTP/1.1"
HOST = b"Host: " + AUTHORITY.encode()
JSON = b"Content-Type: application/json"


def post(*lines, body=BODY, start=LINE, host=HOST, end=b"\r\n"):
    return end.join([start, *([host] if host else []), JSON, *lines]) + end + end + body


def chunks(size, data=BODY, after=b"\r\n", last=b"0\r\n\r\n"):
    return post(CHUNKED, body=size + b"\r\n" + data + after + last)


SIZE = b"%x" % len(BODY)
# By the section of RFC 9112 (or of RFC 9110, then so named) that lets it, or makes it, be refused.
REFUSED = {
    "6.3: length and chunks": post(LENGTH, CHUNKED, body=CHUNKS),
    "6.3: chunks and length": post(CHUNKED, LENGTH, body=CHUNKS),
    "6.3: length 0 and chunks": post(b"Content-Length: 0", CHUNKED, body=CHUNKS),
    "6.3: two lengths": post(LENGTH, b"Content-Length: 3"),
    "6.3: two lengths in one": post(b"Content-Length: %d, 3" % len(BODY)),
    "6.3: a length with a plus": post(LENGTH.replace(b": ", b": +")),
    "6.3: a negative length": post(b"Content-Length: -1"),
    "6.3: a hexadecimal length": post(b"Content-Length: 0x%x" % len(BODY)),
    "6.3: a length with a blank": post(b"Content-Length: 6 3"),
    "6.3: a length with a decimal": post(LENGTH + b".0"),
    "6.3: an empty length": post(b"Content-Length:"),
    "6.3: a length beyond 64 bits": post(b"Content-Length: 18446744073709551616"),
    "6.3: a length that wraps": post(b"Content-Length: %d" % (2**64 + len(BODY))),
    "6.3: xchunked": post(b"Transfer-Encoding: xchunked", body=CHUNKS),
    "6.3: chunked is not last": post(b"Transfer-Encoding: chunked, identity", body=CHUNKS),
    "6.3: identity": post(b"Transfer-Encoding: identity", LENGTH),
    "6.3: gzip": post(b"Transfer-Encoding: gzip", LENGTH),
    "6.1: gzip before chunked": post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "6.1: chunked twice in one": post(b"Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "6.1: chunked twice": post(CHUNKED, CHUNKED, body=CHUNKS),
    "6.1: chunked and another": post(CHUNKED, b"Transfer-Encoding: x", body=CHUNKS),
    "6.1: chunked with a parameter": post(CHUNKED + b";q=1", body=CHUNKS),
    "6.1: chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=CHUNKS),
    "6.1: a vertical tab before chunked": post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "6.1: an empty encoding": post(b"Transfer-Encoding:", body=CHUNKS),
    "6.1: chunks in HTTP/1.0": post(CHUNKED, b"Connection: keep-alive", start=b"POST /login HTTP/1.0", body=CHUNKS),
    "5.1: a blank before the colon": post(b"Transfer-Encoding : chunked", body=CHUNKS),
    "5.1: a tab before the colon": post(LENGTH.replace(b":", b"\t:")),
    "5.1: no name": post(LENGTH, b": x"),
    "5.1: no colon": post(LENGTH, b"X-Other"),
    "5.1: a name with a bracket": post(LENGTH, b"X(Other: x"),
    "5.1: a name that is not ASCII": post(LENGTH, "X-Öther: x".encode()),
    "5.2: a folded line": post(LENGTH, b"X-Other: x\r\n y"),
    "5.2: a folded encoding": post(b"Transfer-Encoding:\r\n chunked", body=CHUNKS),
    "2.2: a blank before the first header": post(LENGTH, host=b" " + HOST),
    "2.2: a bare CR in a value": post(LENGTH, b"X-Other: x\ry"),
    "2.2: a bare CR that ends a line": post(LENGTH, b"X-Other: x\rTransfer-Encoding: chunked"),
    "9110, 5.5: a NUL in a value": post(LENGTH, b"X-Other: x\x00y"),
    "7.1: a size that overflows": chunks(b"10000000000000000"),
    "7.1: a size that wraps to the right one": chunks(b"1" + b"0" * (16 - len(SIZE)) + SIZE),
    "7.1: a size with a sign": chunks(b"+" + SIZE),
    "7.1: a negative size": chunks(b"-" + SIZE),
    "7.1: a size with a prefix": chunks(b"0x" + SIZE),
    "7.1: a size with an underscore": chunks(b"_".join([SIZE[:1], SIZE[1:]])),
    "7.1: an empty size": chunks(b""),
    "7.1: an invalid size": chunks(b"zz"),
    "7.1: a chunk longer than its size": chunks(b"20"),
    "7.1: LF after a chunk": chunks(SIZE, after=b"\n"),
    "7.1: LF after a size": post(CHUNKED, body=SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n"),
    "7.1: LF after the last chunk": chunks(SIZE, last=b"0\n\n"),
    "7.1.1: LF in an extension": chunks(SIZE + b";a\nb"),
    "3.2: no Host": post(LENGTH, host=None),
    "3.2: two Hosts": post(LENGTH, HOST),
    "3.2: two different Hosts": post(LENGTH, b"Host: example.com"),
    "3: two blanks": post(LENGTH, start=b"POST  /login HTTP/1.1"),
    "3: a tab": post(LENGTH, start=b"POST\t/login HTTP/1.1"),
    "3: a blank in the target": post(LENGTH, start=b"POST /lo gin HTTP/1.1"),
    "3: a blank at the end": post(LENGTH, start=LINE + b" "),
    "3: a target that is not ASCII": post(LENGTH, start="POST /lögin HTTP/1.1".encode()),
    "2.3: no version": post(LENGTH, start=b"POST /login"),
    "2.3: a version in small letters": post(LENGTH, start=b"POST /login http/1.1"),
    "2.3: version 2.0": post(LENGTH, start=b"POST /login HTTP/2.0"),
    "9110, 9.1: an invalid method": post(LENGTH, start=b"PO(ST /login HTTP/1.1"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_clear_is_refused_and_nothing_after_it_is_read(data):
    with Connection() as connection:
        connection.send(data + HIDDEN)
        answer = connection.answer()
        # 501: RFC 9112, section 6.1, for an encoding nobody knows. 505: for a version.
        assert answer.status in (400, 501, 505), answer
        assert connection.ended(), "still open"
        assert connection.buffer == b"", connection.buffer


HOSTS = ["a b", "a/b", "user@example.com", "exa\"mple.com", "example.com:port", "[::1", "<x>"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_none_is_refused(host):
    """RFC 9112, section 3.2: 400. The origin of a page is compared with it."""
    assert ask("GET", "/health/live", host=host).status == 400


# Clear enough to be answered: the RFC lets each be taken, in one way only.
TAKEN = {
    "2.2: LF ends lines": post(LENGTH, end=b"\n"),
    "2.2: LF ends one line": post(LENGTH, b"X-Other: x\nX-More: y"),
    "2.2: empty lines before it": b"\r\n\r\n" + post(LENGTH),
    "6.3: the same length twice": post(LENGTH, LENGTH),
    "7: Chunked": post(b"Transfer-Encoding: Chunked", body=CHUNKS),
    "5: a tab before a value": post(b"Transfer-Encoding:\tchunked", body=CHUNKS),
    "7.1: zeros before a size": chunks(b"0000000" + SIZE),
    "7.1.1: an extension": chunks(SIZE + b';name="value"'),
    "7.1.1: blanks before an extension": chunks(SIZE + b" ;name=value"),
    "7.1.2: trailers": chunks(SIZE, last=b"0\r\nX-Other: x\r\n\r\n"),
    "6.5.1: a trailer that would change the length": chunks(SIZE, last=b"0\r\nContent-Length: 5\r\nHost: x\r\n\r\n"),
    "3.2.2: an absolute target": post(LENGTH, start=b"POST http://" + AUTHORITY.encode() + b"/login HTTP/1.1"),
    "9110, 9.3.1: a body that looks like a request": request("GET", "/health/live", body=HIDDEN),
    "9110, 9.3.1: chunks on a GET": request("GET", "/health/live", CHUNKED) + CHUNKS,
    "9110, 7.8: an upgrade nobody offers": post(LENGTH, b"Connection: Upgrade", b"Upgrade: h2c"),
    "9110, 7.8: an upgrade not offered here": post(LENGTH, b"Connection: Upgrade", b"Upgrade: websocket"),
    "9110, 7.8: an upgrade without a connection": post(LENGTH, b"Upgrade: websocket"),
    "9110, 10.1.1: an expectation": post(LENGTH, b"Expect: 100-continue"),
    "9110, 10.1.1: an expectation nobody knows": post(LENGTH, b"Expect: more"),
}


@pytest.mark.parametrize("data", TAKEN.values(), ids=TAKEN.keys())
def test_one_request_has_one_answer_and_the_next_has_its_own(data):
    """The request may be refused. If the connection goes on, the next answer is the next request's."""
    with Connection() as connection:
        connection.send(data + HIDDEN)
        answer = connection.answer()
        if answer.status == 100:
            answer = connection.answer()
        assert answer.status in (200, 400, 401, 417), answer
        if answer.headers.get("connection") == "close":
            assert connection.ended(within=2) and connection.buffer == b"", connection.buffer
        elif not connection.ended(within=0.3) or connection.buffer:
            assert connection.answer().code == "not_found"
        assert connection.buffer == b"", connection.buffer


def test_pipelined_requests_are_answered_in_order():
    """More than are kept waiting; those with a password take longer than those without."""
    asked = []
    for number in range(40):
        path, status = [("/health/live", 200), ("/hidden", 404), ("/login", 401), ("/me", 401)][number % 4]
        asked.append((str(uuid.uuid4()), status, path))
    with Connection() as connection:
        for name, _, path in asked:
            body = BODY if path == "/login" else None
            connection.send(request("POST" if body else "GET", path, f"x-request-id: {name}", body=body))
        for name, status, _ in asked:
            answer = connection.answer(within=20)
            assert (answer.headers["x-request-id"], answer.status) == (name, status)
        assert not connection.ended(within=0.1) and connection.buffer == b""


# Takes a while, so that what is sent with it is read before it is answered.
FIRST = request("POST", "/login", body=BODY)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/me", "/hidden", "/openapi.json"])
def test_a_head_request_has_no_body_whatever_follows(path):
    """RFC 9112, section 6.3: else its body is read as the start of the next answer."""
    with Connection() as connection:
        connection.send(FIRST + request("HEAD", path) + HIDDEN)
        assert connection.answer().status == 401
        connection.answer(to="HEAD")
        assert connection.answer().code == "not_found"


LAST = {
    "Connection: close": request("GET", "/health/live", "Connection: close"),
    "close among others": request("GET", "/health/live", "Connection: keep-alive, Close"),
    "HTTP/1.0": request("GET", "/health/live").replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("data", LAST.values(), ids=LAST.keys())
def test_nothing_is_read_after_the_last_request(data):
    """RFC 9112, sections 9.3 and 9.6: a server must not process what follows."""
    with Connection() as connection:
        connection.send(FIRST + data + HIDDEN)
        assert [connection.answer().status, connection.answer().status] == [401, 200]
        assert connection.ended(within=2) and connection.buffer == b"", connection.buffer


def test_what_follows_a_proper_request_and_is_none_ends_the_connection():
    with Connection() as connection:
        connection.send(request("GET", "/health/live") + b"\x00\x01\x02\r\n\r\n" + HIDDEN)
        assert connection.answer().status == 200
        assert connection.answer().status == 400
        assert connection.ended() and connection.buffer == b""


METHODS = ["TRACE", "TRACK", "CONNECT", "LINK", "PUT", "PROPFIND", "get", "X" * 1000]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method[:10])
def test_a_method_nobody_asked_for_does_nothing(method):
    """TRACE least of all: its answer would show what headers were sent."""
    with Connection() as connection:
        connection.send(request(method, "/me", "Authorization: Bearer secret"))
        answer = connection.answer(to=method)
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert b"secret" not in answer.body


def test_a_method_in_another_header_counts_for_nothing(ada):
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert ask("GET", "/logout", ada.bearer, f"{header}: POST").status == 405
    assert ask("GET", "/session", ada.bearer).status == 200


@pytest.mark.parametrize("header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path"])
def test_a_path_in_another_header_counts_for_nothing(header):
    assert ask("GET", "/hidden", f"{header}: /health/live").code == "not_found"


PATHS = ["//health/live", "/./health/live", "/x/../health/live", "/health//live", "/health/live/", "/health/live;x"]
PATHS += ["/health%2flive", "/health\\live", "/docs/../../etc/passwd", "/docs/%2e%2e/%2e%2e/etc/passwd"]
PATHS += ["/assets/../Cargo.toml", "/assets/..%2f..%2fCargo.toml", "/assets/%00", "/assets//etc/passwd", "/docs/..\\x"]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_has_one_spelling(path):
    """A gateway that allows by path sees the same path."""
    answer = ask("GET", path)
    assert answer.status in (400, 404), answer
    assert b"[package]" not in answer.body and b"root:" not in answer.body
