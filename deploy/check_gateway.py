"""Does the gateway send traffic where it should? Called by scripts/check-deploy, with real servers behind
a real Caddy.

legacy PORT        plays the old application: returns the request it got, as JSON
MOVE URL PERCENT   tests the gateway at URL, which was started with that AUTH_MOVE; MOVE "away": legacy-fallback with no
                   node of the service
"""

import http.server
import json
import signal
import sys
import time
import urllib.error
import urllib.request

# How often the random choice is tried; the share may be off by that many percent.
THROWS, SLACK = 200, 15


class Legacy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        told = {"legacy": self.server.server_port, "forwarded": self.headers.get("X-Forwarded-For"), "body": body}
        answer = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def legacy(port):
    # A shell's background process is started with this one ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Legacy).serve_forever()


class Gateway:
    def __init__(self, url):
        self.url = url

    def ask(self, path, body=None, **headers):
        """Status, JSON (or None) and headers of the response."""
        data = None if body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                status, text, told = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            status, text, told = error.code, error.read(), error.headers
        try:
            return status, json.loads(text), told
        except ValueError:
            return status, None, told

    def is_legacy(self, *arguments, **headers):
        return "legacy" in (self.ask(*arguments, **headers)[1] or {})


def expect(truth, text):
    if not truth:
        sys.exit(f"deploy/check_gateway.py: {text}")


def everywhere(gateway):
    ports = {gateway.ask("/elsewhere")[1]["legacy"] for _ in range(12)}
    expect(len(ports) == 2, "the rest is not shared out over both legacy backends")
    told = gateway.ask("/elsewhere", X_Forwarded_For="192.0.2.1")[1]
    expect(told["forwarded"] == "127.0.0.1", f"a client's X-Forwarded-For is passed on: {told['forwarded']}")
    for path in ("metrics", "admin", "admin/", "admin/users", "Admin/users", "%61dmin/users", "x/../admin/users"):
        status, told, _ = gateway.ask(f"/api/auth/{path}", X_Forwarded_For="127.0.0.1")
        shown = status == 200 and "legacy" not in (told or {})
        expect(not shown and (told or {}).get("code") != "token_missing", f"/{path} is shown to the outside: {status} {told}")
    expect(gateway.ask("/api/auth/introspect", {"token": "x"})[0] == 404, "/introspect is shown to the outside")
    expect(gateway.ask("/api/auth/revocations")[0] == 404, "/revocations is shown to the outside")


def all_here(gateway):
    expect(not gateway.is_legacy("/api/auth/config"), "/api/auth/config is the old application's")
    expect(gateway.ask("/api/auth/nowhere")[0] == 404, "an unknown path is not the service's")


def legacy_fallback(gateway):
    expect(not gateway.is_legacy("/api/auth/config"), "/api/auth/config is the old application's")
    expect(gateway.is_legacy("/api/auth/forgot-password", {"email": "a"}), "an unknown path is not the old application's")
    expect(gateway.ask("/api/auth/session")[0] == 401, "the service's own errors are not passed on")


def away(gateway):
    for path in ("/api/auth/config", "/api/auth/me", "/api/auth/session"):
        began = time.monotonic()
        expect(gateway.is_legacy(path), f"with no node, {path} is not the old application's")
        took = time.monotonic() - began
        expect(took < 1, f"with no node, the old application answers {path} after {took:.1f} s")
    told = gateway.ask("/api/auth/login", {"email": "a"})[1]
    expect(told and told.get("body") == '{"email": "a"}', f"with no node, the old application does not get a login: {told}")


def split(gateway, percent):
    config = "/api/auth/config"
    for path in ("health", "health/ready", ".well-known/jwks.json", "openapi.json"):
        answers = {gateway.is_legacy(f"/api/auth/{path}", Cookie="auth_pool=legacy") for _ in range(3)}
        expect(answers == {False}, f"/api/auth/{path} is not the service's own")
    ours = sum(not gateway.is_legacy(config) for _ in range(THROWS)) * 100 / THROWS
    expect(abs(ours - percent) <= SLACK, f"{ours:.0f} % of those who come new get here, not {percent} %")
    for _ in range(5):
        cookie = gateway.ask(config)[2]["Set-Cookie"].split(";")[0]
        there = cookie == "auth_pool=legacy"
        stays = {gateway.is_legacy(config, Cookie=f"other=1; {cookie}") for _ in range(4)}
        expect(stays == {there}, f"who has {cookie} is sent to and fro")
        expect(gateway.is_legacy("/api/auth/signup", {}, Cookie=cookie), "sign-up has left the old application")
    expect(gateway.is_legacy(config, Authorization="Bearer theirs"), "a foreign token is sent to the service")


def main(what, *arguments):
    if what == "legacy":
        return legacy(*arguments)
    gateway, percent = Gateway(arguments[0]), int(arguments[1])
    everywhere(gateway)
    {
        "all-here": lambda: all_here(gateway),
        "legacy-fallback": lambda: legacy_fallback(gateway),
        "away": lambda: away(gateway),
        "split": lambda: split(gateway, percent),
    }[what]()


if __name__ == "__main__":
    main(*sys.argv[1:])
