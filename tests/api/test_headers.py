"""What a client may write into a header, and what every answer says in its own."""

import time

import pytest
from wire import AUTHORITY, Connection, ask, request

# The script starts the service with this one in CORS_ORIGIN.
ALLOWED = "https://app.example.com"
EVERY_ANSWER_HAS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}


def login_with(ada, *lines):
    answer = ask("POST", "/login", *lines, body=ada.credentials)
    assert answer.status == 200, answer
    return answer.json["session"]


AGENTS = {
    "empty": b"",
    "blanks": b"   \t  ",
    "12 kB": b"x" * 12_000,
    "12 kB of brackets": b"Mozilla/5.0 " + b"(" * 6_000 + b")" * 6_000,
    "12 kB of versions": b"Mozilla/5.0 (Windows NT 10.0) " + b"Chrome/1.1" * 1_200,
    "12 kB of digits and points": b"Mozilla/" + b"1." * 6_000,
    "no UTF-8": b"Mozilla/\xff\xfe\xc3(",
    "cut within a character": "é".encode() * 600,
    "from right to left": "\u202eMozilla/5.0 👩‍💻".encode(),
    "a script": b"<script>alert('x')</script>\"",
    "a query": b"'; DROP TABLE sessions; --",
    "a template": b"${jndi:ldap://example.com/x} {{7*7}} %n%s",
    "a tab": b"Mozilla/5.0\t(x)",
}


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS.keys())
def test_any_user_agent_signs_in_and_is_listed(ada, agent):
    started = time.monotonic()
    told = login_with(ada, b"User-Agent: " + agent)["deviceInfo"]["userAgent"]
    assert time.monotonic() - started < 1
    # The document promises at most 512 characters; control characters may be left out.
    sent = "".join(letter for letter in agent.decode(errors="replace") if letter >= " ").strip()
    assert told is None or (len(told) <= 512 and sent.startswith(told.strip()))
    listed = ask("GET", "/sessions", ada.bearer).json["sessions"]
    assert told in [session["deviceInfo"]["userAgent"] for session in listed]


SPOOFS = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1, 203.0.113.9", "Forwarded: for=203.0.113.9"]
SPOOFS += ["X-Real-IP: 203.0.113.9", "True-Client-IP: 203.0.113.9", "CF-Connecting-IP: 203.0.113.9"]
SPOOFS += ["X-Forwarded-For: " + "203.0.113.9," * 1000, "X-Forwarded-For: '; DROP TABLE sessions; --"]


@pytest.mark.parametrize("spoof", SPOOFS, ids=lambda spoof: spoof[:40])
def test_nobody_is_believed_about_an_address(ada, spoof):
    """TRUSTED_PROXIES is not set."""
    assert login_with(ada, spoof)["ipAddress"] == "127.0.0.1"


def test_a_forwarded_host_or_scheme_is_not_believed(ada):
    spoofs = ["X-Forwarded-Host: evil.example.net", "X-Forwarded-Proto: https", "Forwarded: host=evil.example.net"]
    own = ["Cookie: refreshToken=" + ada.refresh, "Origin: https://evil.example.net", *spoofs]
    answer = ask("POST", "/refresh", *own)
    assert (answer.status, answer.code) == (403, "origin_not_allowed")
    answer = ask("GET", "/docs", *spoofs)
    assert "evil" not in str(answer)


FOREIGN = ["https://evil.example.net", "null", "", "*", "http://app.example.com", "https://app.example.com:8443"]
FOREIGN += ["https://app.example.com.evil.net", "https://evilapp.example.com", "https://example.com", "https://app.example.co"]
FOREIGN += ["https://app.example.com/", "https://app.example.com@evil.net", "https://x.app.example.com", "file://"]
FOREIGN += ["https://app.example.com, https://evil.example.net", "https://app-example.com", "https://app.example.com%00.evil.net"]
ASKED = [("GET", "/config"), ("GET", "/me"), ("GET", "/hidden"), ("POST", "/login"), ("GET", "/"), ("GET", "/openapi.json")]


@pytest.mark.parametrize("origin", FOREIGN)
def test_an_unknown_origin_is_never_allowed(origin):
    preflight = ["Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: authorization"]
    for prefix in ("", "/api/auth"):
        for method, path in ASKED:
            for verb, more in ((method, []), ("OPTIONS", preflight)):
                answer = ask(verb, prefix + path, f"Origin: {origin}", *more)
                told = {name: value for name, value in answer.lines if name.startswith("access-control-")}
                assert "access-control-allow-origin" not in told, f"{verb} {path}: {told}"


def test_an_allowed_origin_is_named_and_no_other():
    for verb, more in (("GET", []), ("OPTIONS", ["Access-Control-Request-Method: GET"])):
        answer = ask(verb, "/config", f"Origin: {ALLOWED}", *more)
        told = [value for name, value in answer.lines if name == "access-control-allow-origin"]
        assert told == [ALLOWED]
    # Else a cache hands one page's permission to another.
    assert "origin" in ask("GET", "/config", "Origin: https://evil.example.net").headers["vary"].lower()


def test_a_cookie_is_taken_from_no_foreign_page(ada):
    for origin in FOREIGN[:2] + FOREIGN[4:]:
        answer = ask("POST", "/refresh", f"Cookie: refreshToken={ada.refresh}", f"Origin: {origin}")
        assert (answer.status, answer.code) == (403, "origin_not_allowed")


@pytest.mark.parametrize("name", [b"a\xe9", b"a b", b"<script>", b"a;b", b'a"b', b"x" * 129, b"x" * 60_000, b"{}", b"a,b"])
def test_a_request_id_that_is_not_sane_is_not_repeated(name):
    answer = ask("GET", "/hidden", b"x-request-id: " + name)
    assert answer.headers["x-request-id"].encode("latin-1") != name
    assert answer.json["requestId"] == answer.headers["x-request-id"]


SCHEMES = ["Basic YTpi", "Bearer", "Bearer ", "bearer", "Digest x", "Bearerx", "Token x", ""]


@pytest.mark.parametrize("value", SCHEMES)
def test_another_scheme_is_no_token(value):
    """RFC 6750, section 3: without a token the challenge has no error."""
    answer = ask("GET", "/me", f"Authorization: {value}")
    assert (answer.status, answer.code) == (401, "token_missing")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", b"Bearer a b", b"Bearer null", b"Bearer a.b.c", b"Bearer ..", b'Bearer "a"'])
def test_a_token_that_is_none_is_invalid(value):
    answer = ask("GET", "/me", b"Authorization: " + value)
    assert (answer.status, answer.code) == (401, "token_invalid")
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_two_authorizations_do_not_add_up(ada):
    """RFC 9110, section 5.3: it may not come twice; whatever is made of it, nobody else is let in."""
    answer = ask("GET", "/me", "Authorization: Bearer a.b.c", ada.bearer)
    assert answer.status in (400, 401)


def test_a_token_is_taken_from_nowhere_else(ada):
    token = ada.access
    for path in (f"/me?access_token={token}", f"/me?token={token}", f"/me?ticket={token}", f"/events?access_token={token}"):
        assert ask("GET", path).code == "token_missing"
    assert ask("GET", "/me", f"Cookie: accessToken={token}; refreshToken={ada.refresh}").code == "token_missing"
    assert ask("GET", "/me", f"X-Access-Token: {token}").code == "token_missing"
    assert ask("GET", "/me", f"Authorization: Bearer {ada.refresh}").code == "token_invalid"


def kinds_of_answers(ada):
    """A request for each status and each kind of content."""
    preflight = ["Origin: https://evil.example.net", "Access-Control-Request-Method: GET"]
    tag = ask("GET", "/").headers["etag"]
    other = login_with(ada)["id"]
    return [
        (200, "GET", "/health", [], {}),
        (200, "HEAD", "/health", [], {}),
        (200, "GET", "/metrics", [], {}),
        (200, "GET", "/openapi.json", [], {}),
        (200, "GET", "/docs/", [], {}),
        (200, "GET", "/docs/swagger-ui.css", [], {}),
        (200, "GET", "/", [], {}),
        (200, "GET", "/assets/app.css", [], {}),
        (200, "GET", "/.well-known/jwks.json", [], {}),
        (200, "GET", "/sessions", [ada.bearer], {}),
        (200, "OPTIONS", "/me", [f"Origin: {ALLOWED}", "Access-Control-Request-Method: GET"], {}),
        (201, "POST", "/events/ticket", [ada.bearer], {}),
        (204, "DELETE", f"/sessions/{other}", [ada.bearer], {}),
        (304, "GET", "/", [f"If-None-Match: {tag}"], {}),
        (200, "GET", "/docs", [], {}),
        (400, "POST", "/login", [], {"body": "["}),
        (401, "GET", "/me", [], {}),
        (401, "POST", "/login", [], {"body": {"email": "nobody@example.com", "password": "a horse"}}),
        (401, "POST", "/refresh", [], {}),
        (403, "POST", "/refresh", [f"Cookie: refreshToken={ada.refresh}", "Origin: https://evil.example.net"], {}),
        (403, "OPTIONS", "/me", preflight, {}),
        (404, "GET", "/hidden", [], {}),
        (404, "GET", "/docs/hidden", [], {}),
        (404, "GET", "/assets/hidden", [], {}),
        (404, "DELETE", "/sessions/hidden", [ada.bearer], {}),
        (405, "PUT", "/me", [], {}),
        (405, "HEAD", "/login", [], {}),
        (409, "POST", "/signup", [], {"body": {"name": "Ada", **ada.credentials}}),
        (413, "POST", "/login", [], {"body": " " * 20_000}),
        (415, "POST", "/login", [], {"body": "{}", "media_type": "text/plain"}),
        (422, "POST", "/signup", [], {"body": {}}),
    ]


def test_every_kind_of_answer_has_the_headers_of_all(ada):
    for status, method, path, lines, more in kinds_of_answers(ada):
        answer = ask(method, path, *lines, **more)
        assert answer.status == status, f"{method} {path}: {answer}"
        check_headers(answer, f"{status} to {method} {path}")
        if status >= 400:
            assert answer.headers["cache-control"] == "no-store", answer
            assert method == "HEAD" or answer.code, answer


def check_headers(answer, what):
    for name, value in EVERY_ANSWER_HAS.items():
        assert answer.headers.get(name) == value, f"{what}: {name} is {answer.headers.get(name)}"
    assert answer.headers.get("x-request-id"), f"{what}: no x-request-id"
    assert answer.headers.get("cache-control"), f"{what}: no cache-control"
    names = [name for name, _ in answer.lines]
    assert "server" not in names and "x-powered-by" not in names, f"{what}: tells what it is made with"
    assert len(set(names) - {"set-cookie", "vary"}) == len([n for n in names if n not in ("set-cookie", "vary")]), names


def test_a_stream_has_the_headers_of_all(ada):
    with Connection() as connection:
        connection.send(request("GET", "/events", ada.bearer))
        head = connection.until(b"\r\n\r\n", within=5).decode().lower()
    assert head.startswith("http/1.1 200") and "content-type: text/event-stream" in head
    for name, value in EVERY_ANSWER_HAS.items():
        assert f"{name}: {value.lower()}" in head
    assert "x-request-id: " in head and "cache-control: no-store" in head


BROKEN = {"no request": b"\x00\r\n\r\n", "a head too large": request("GET", "/", "X: " + "x" * 132_000)}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_to_what_is_no_request_has_the_headers_of_all(data):
    """The contract: every answer carries x-request-id and, but for a few, Cache-Control: no-store."""
    with Connection() as connection:
        connection.send(data)
        check_headers(connection.answer(), "a refusal")


def test_an_answer_tells_nothing_of_the_inside(ada):
    for status, method, path, lines, more in kinds_of_answers(ada):
        if status < 400:
            continue
        text = str(ask(method, path, *lines, **more)).lower()
        for word in ("sql", "panicked", "src/", ".rs:", "/home", "/tmp", "backtrace", "actix", "serde", "line 1 column"):
            assert word not in text, f"{method} {path} tells {word}"
    assert AUTHORITY not in ask("GET", "/hidden").body.decode()
