"""What is too large is refused with the status for it, and never holds up the connection."""

import pytest
from wire import AUTHORITY, Connection, ask, request

BODY_MAX = 16 * 1024
# More than any head the service reads: 16 KiB.
HEAD_TOO_LARGE = 17_000


def refusal(data):
    """The answer to bytes that are refused, after which the connection is closed."""
    with Connection() as connection:
        connection.send(data)
        answer = connection.answer()
        assert connection.ended(), f"still open after {answer}"
        assert connection.buffer == b"", connection.buffer
    return answer


def test_a_header_that_is_too_large_is_refused_and_the_connection_closed():
    assert refusal(request("GET", "/health/live", "X-Padding: " + "x" * HEAD_TOO_LARGE)).status in (400, 431)


def test_a_name_that_is_too_large_is_refused_and_the_connection_closed():
    assert refusal(request("GET", "/health/live", "X" * HEAD_TOO_LARGE + ": x")).status in (400, 431)


def test_too_many_headers_are_refused_and_the_connection_closed():
    assert refusal(request("GET", "/health/live", *[f"X-{n}: x" for n in range(1000)])).status in (400, 431)


def test_a_path_that_is_too_long_is_refused_and_the_connection_closed():
    """RFC 9112, section 3, asks for 414 where the target alone is too long."""
    assert refusal(request("GET", "/" + "x" * HEAD_TOO_LARGE)).status in (400, 414, 431)


def test_a_long_path_is_an_unknown_one():
    answer = ask("GET", "/" + "x" * 12_000)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("path", ["/signup", "/login", "/refresh"])
def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(path):
    for length in (BODY_MAX + 1, 1 << 40, (1 << 64) - 1):
        answer = refusal(request("POST", path, "Content-Type: application/json", f"Content-Length: {length}"))
        assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/signup", "/login", "/refresh"])
def test_chunks_that_become_too_large_are_refused(path):
    head = request("POST", path, "Content-Type: application/json", "Transfer-Encoding: chunked")
    # Chunks of one byte are the dearest to read.
    for chunk in (b"1000\r\n" + b" " * 0x1000 + b"\r\n", b"1\r\n \r\n"):
        with Connection() as connection:
            connection.send(head)
            for _ in range(BODY_MAX // int(chunk.split(b"\r\n")[0], 16) + 1):
                connection.send(chunk)
            answer = connection.answer()
            assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_large_body_that_nobody_reads_does_no_harm(ada):
    with Connection() as connection:
        connection.send(request("GET", "/me", ada.bearer, body=b"x" * 1_000_000))
        assert connection.answer().status == 200
        # The next one may be answered on this connection, or it is closed; what was sent is never taken for a request.
        if not connection.ended(within=1):
            connection.send(request("GET", "/health/live"))
            assert connection.answer().status == 200


def test_a_token_of_12_kb_is_no_token(ada):
    for token in ("x" * 12_000, "x." * 6_000, ada.access + "x" * 12_000, "." * 12_000):
        answer = ask("GET", "/me", f"Authorization: Bearer {token}")
        assert (answer.status, answer.code) == (401, "token_invalid")


def test_a_refresh_token_of_12_kb_is_no_token():
    answer = ask("POST", "/refresh", "Cookie: refreshToken=" + "x" * 12_000)
    assert (answer.status, answer.code) == (401, "refresh_token_invalid")
    answer = ask("POST", "/refresh", body={"refreshToken": "x" * 16_000})
    assert (answer.status, answer.code) == (401, "refresh_token_invalid")


@pytest.mark.parametrize("path", ["/events", "/ws"])
def test_a_ticket_of_12_kb_is_no_ticket(path):
    answer = ask("GET", f"{path}?ticket=" + "x" * 12_000)
    assert (answer.status, answer.code) == (401, "token_invalid")


def test_an_id_of_12_kb_is_no_session(ada):
    answer = ask("DELETE", "/sessions/" + "x" * 12_000, ada.bearer)
    assert (answer.status, answer.code) == (404, "session_not_found")


def test_200_cookies_hide_none(ada):
    others = "; ".join(f"c{n}={'v' * 50}" for n in range(100))
    answer = ask("POST", "/refresh", f"Cookie: {others}; refreshToken={ada.refresh}; {others}")
    assert answer.status == 200, answer
    assert ask("GET", "/me", ada.bearer, f"Cookie: {others}; {others}").status == 200


def test_cookies_that_are_none_do_no_harm(ada):
    for cookies in ("=; =;;; ,", "refreshToken", "refreshToken=\t; a=\"", b"a=\xff\xfe; refreshToken=%", "=" * 10_000, ";" * 10_000):
        line = b"Cookie: " + (cookies if isinstance(cookies, bytes) else cookies.encode())
        answer = ask("POST", "/refresh", line)
        assert answer.status == 401, answer
        assert answer.code in ("refresh_token_missing", "refresh_token_invalid")
        assert ask("GET", "/me", ada.bearer, line).status == 200


def test_many_query_members_are_ignored():
    query = "&".join(f"a{n}=b" for n in range(1500))
    assert ask("GET", f"/config?{query}").status == 200
    assert ask("GET", f"/events?ticket=a&ticket=b&{query}", host=AUTHORITY).status == 401
