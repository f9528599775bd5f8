"""Does the gateway send traffic where it should? Called by scripts/check-deploy, with real servers behind
a real Caddy.

legacy PORT        plays the old application: returns the request it got, as JSON
hung-node PORT     plays a node that hangs: connections are accepted, and nothing is ever answered
MOVE URL SERVICE_URL PERCENT
                   tests the gateway that was started with that AUTH_MOVE: its site for everything, and the
                   one for the service alone. MOVE "away": legacy-fallback with no node of the service;
                   "hung": with one that hangs
token URL NODE PID tests the gateway that was started with that AUTH_AFFINITY, whose two nodes are played by
                   "legacy". It stops one of them, by address and process id
"""

import http.server
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request

# How often the random choice is tried; the share may be off by that many percent.
THROWS, SLACK = 200, 15
# How long the old application may take to answer where no node can, in seconds.
FALLBACK = 1
# When a node that hangs is out of rotation at the latest, in seconds: a health check waits for 2 s.
NOTICED = 8
# How many access tokens are tried: enough that both nodes get some.
TOKENS = 100
# The old application never had these, so they are the service's, whatever a request carries.
OURS = (
    "health", "health/live", "health/ready", ".well-known/jwks.json", ".well-known/oauth-authorization-server",
    ".well-known/openid-configuration", "openapi.json", "docs/", "verify", "revoke",
)
# Not for the public, in spellings that a server might read as the same path.
INSIDE = (
    "metrics", "metrics/", "Metrics", "admin", "admin/", "admin/users", "admin/sessions", "Admin/users", "%61dmin/users", "x/../admin/users",
    "/admin/users", "introspect", "%69ntrospect", "revocations", "x/../revocations",
)


class Legacy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        told = {"legacy": self.server.server_port, "forwarded": self.headers.get("X-Forwarded-For"), "body": body}
        answer = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("X-Legacy", str(self.server.server_port))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_POST = do_HEAD = do_GET

    def log_message(self, *_):
        pass


def legacy(port):
    # A shell's background process is started with this one ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Legacy).serve_forever()


def hung(port):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with socket.create_server(("127.0.0.1", int(port)), backlog=1000):
        signal.pause()


class Gateway:
    def __init__(self, url):
        self.url = url

    def ask(self, path, body=None, method=None, timeout=15, **headers):
        """Status, JSON (or None) and headers of the response."""
        data = None if body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, text, told = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            status, text, told = error.code, error.read(), error.headers
        try:
            return status, json.loads(text), told
        except ValueError:
            return status, None, told

    def is_legacy(self, *arguments, **headers):
        return "X-Legacy" in self.ask(*arguments, **headers)[2]

    def is_service(self, *arguments, **headers):
        """Whether a node answered: each of its responses has this header."""
        return "X-Request-Id" in self.ask(*arguments, **headers)[2]


def expect(truth, text):
    if not truth:
        sys.exit(f"deploy/check_gateway.py: {text}")


def everywhere(gateway):
    ports = {gateway.ask("/elsewhere")[1]["legacy"] for _ in range(12)}
    expect(len(ports) == 2, "the rest is not shared out over both legacy backends")
    told = gateway.ask("/elsewhere", X_Forwarded_For="192.0.2.1")[1]
    expect(told["forwarded"] == "127.0.0.1", f"a client's X-Forwarded-For is passed on: {told['forwarded']}")


def nothing_inside_is_shown(gateway, prefix):
    for path in (prefix + path for path in INSIDE):
        for method in ("GET", "HEAD", "POST"):
            status, _, told = gateway.ask(path, {"token": "x"} if method == "POST" else None, method, X_Forwarded_For="127.0.0.1")
            by_node = "X-Request-Id" in told
            expect(status == 404 or not by_node, f"{gateway.url}: {method} {path} is shown to the outside: {status}")


def all_here(gateway):
    expect(not gateway.is_legacy("/api/auth/config"), "/api/auth/config is the old application's")
    expect(gateway.ask("/api/auth/nowhere")[0] == 404, "an unknown path is not the service's")


def legacy_fallback(gateway):
    expect(not gateway.is_legacy("/api/auth/config"), "/api/auth/config is the old application's")
    expect(gateway.is_legacy("/api/auth/forgot-password", {"email": "a"}), "an unknown path is not the old application's")
    expect(gateway.ask("/api/auth/session")[0] == 401, "the service's own errors are not passed on")


def away(gateway):
    for method in ("GET", "HEAD"):
        for path in ("/api/auth/config", "/api/auth/me", "/api/auth/session"):
            falls_back(gateway, path, None, method)
    told = falls_back(gateway, "/api/auth/login", {"email": "a"}, "POST")
    expect(told and told.get("body") == '{"email": "a"}', f"with no node, the old application does not get a login: {told}")


def falls_back(gateway, path, body, method):
    """The old application's JSON, which has to be there soon."""
    began = time.monotonic()
    _, told, headers = gateway.ask(path, body, method)
    took = time.monotonic() - began
    expect("X-Legacy" in headers, f"with no node, {method} {path} is not the old application's")
    expect(took < FALLBACK, f"with no node, the old application answers {method} {path} after {took:.1f} s")
    return told


def hangs(gateway):
    until = time.monotonic() + NOTICED
    while not answers_soon(gateway):
        expect(time.monotonic() < until, f"a node that hangs is still asked after {NOTICED} s")
    away(gateway)


def answers_soon(gateway):
    try:
        return gateway.is_legacy("/api/auth/config", timeout=FALLBACK)
    except TimeoutError:
        return False


def split(gateway, percent):
    config = "/api/auth/config"
    for path in OURS:
        for method in ("GET", "HEAD"):
            for headers in ({}, {"Cookie": "auth_pool=legacy"}, {"Cookie": "auth_pool=legacy", "Authorization": "Bearer theirs"}):
                is_ours = all(gateway.is_service(f"/api/auth/{path}", None, method, **headers) for _ in range(3))
                expect(is_ours, f"{method} /api/auth/{path} with {headers} is not the service's own")
    ours = sum(not gateway.is_legacy(config) for _ in range(THROWS)) * 100 / THROWS
    expect(abs(ours - percent) <= SLACK, f"{ours:.0f} % of those who come new get here, not {percent} %")
    for _ in range(5):
        cookie = gateway.ask(config)[2]["Set-Cookie"].split(";")[0]
        there = cookie == "auth_pool=legacy"
        stays = {gateway.is_legacy(config, Cookie=f"other=1; {cookie}") for _ in range(4)}
        expect(stays == {there}, f"who has {cookie} is sent to and fro")
        expect(gateway.is_legacy("/api/auth/signup", {}, Cookie=cookie), "sign-up has left the old application")
    expect(gateway.is_legacy(config, Authorization="Bearer theirs"), "a foreign token is sent to the service")


def token(gateway, node, pid):
    def node_of(**headers):
        status, _, told = gateway.ask("/api/auth/session", **headers)
        expect(status == 200, f"no node answers a request with {headers}: {status}")
        return told["X-Legacy"]

    tokens = [f"Bearer {number}" for number in range(TOKENS)]
    begun = {token: node_of(Authorization=token) for token in tokens}
    for token in 2 * tokens:
        expect(node_of(Authorization=token) == begun[token], "a token is sent to and fro")
    expect(len(set(begun.values())) == 2, "all tokens are sent to one node")
    expect(len({node_of() for _ in range(TOKENS)}) == 2, "all requests without a token are sent to one node")
    os.kill(pid, signal.SIGINT)
    stopped = node.rsplit(":", 1)[1]
    while is_open(int(stopped)):
        time.sleep(0.01)
    for token in tokens:
        now = node_of(Authorization=token)
        expect(now != stopped, "a node that is stopped answers")
        expect(begun[token] in (now, stopped), "a token leaves a node that runs")


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def main(what, *arguments):
    if what == "legacy":
        return legacy(*arguments)
    if what == "hung-node":
        return hung(*arguments)
    if what == "token":
        url, node, pid = arguments
        return token(Gateway(url), node, int(pid))
    gateway, service, percent = Gateway(arguments[0]), Gateway(arguments[1]), int(arguments[2])
    everywhere(gateway)
    # Without a node there is nothing to show.
    if what not in ("away", "hung"):
        nothing_inside_is_shown(gateway, "/api/auth/")
        nothing_inside_is_shown(service, "/")
        nothing_inside_is_shown(service, "/api/auth/")
    {
        "all-here": lambda: all_here(gateway),
        "legacy-fallback": lambda: legacy_fallback(gateway),
        "away": lambda: away(gateway),
        "hung": lambda: hangs(gateway),
        "split": lambda: split(gateway, percent),
    }[what]()


if __name__ == "__main__":
    main(*sys.argv[1:])
