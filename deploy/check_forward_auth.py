"""Does a gateway with forward-auth admit the right users, and can nobody impersonate another? Called by
scripts/check-deploy.

app PORT            plays a protected application: returns the headers it was sent, as JSON
NAME GATEWAY AUTH   tests the gateway at GATEWAY, which protects the application with the auth service at AUTH
"""

import http.client
import http.server
import json
import signal
import sys
import urllib.parse

IDENTITY = ("X-Auth-User-Id", "X-Auth-Session-Id", "X-Auth-Role", "X-Auth-Acr")


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        pairs = [[name, value] for name, value in self.headers.items()]
        told = json.dumps({"method": self.command, "path": self.path, "headers": pairs, "body": body}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    # A gateway that is stopped resets its idle connections.
    def handle_error(self, *_):
        pass


def expect(truth, text):
    if not truth:
        sys.exit(f"deploy/check_forward_auth.py: {text}")


def ask(url, method="GET", headers=(), body=None):
    """Status, headers and JSON (or None); a header may occur twice."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=10)
    connection.putrequest(method, address.path + (f"?{address.query}" if address.query else ""))
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body.encode() if body is not None else None)
    answer = connection.getresponse()
    text, told = answer.read(), dict(answer.getheaders())
    connection.close()
    try:
        return answer.status, told, json.loads(text)
    except ValueError:
        return answer.status, told, None


def sign_up(auth, name):
    body = json.dumps({"name": name, "email": f"{name}@example.com", "password": "a horse, correct"})
    status, headers, told = ask(f"{auth}/signup", "POST", [("Content-Type", "application/json")], body)
    expect(status == 201, f"sign-up: {status} {told}")
    cookie = headers["set-cookie" if "set-cookie" in headers else "Set-Cookie"].split(";")[0]
    return told, cookie


def identity(told):
    """The identity headers that reached the application; each name may occur once, in any case."""
    found = {}
    for name, value in told["headers"]:
        plain = name.lower().replace("_", "-")
        if plain.startswith("x-auth-"):
            expect(plain not in found, f"{name} reached the application twice: {told['headers']}")
            found[plain] = value
    return found


def check(name, gateway, auth):
    told, cookie = sign_up(auth, f"check-{name}")
    bearer = ("Authorization", f"Bearer {told['accessToken']}")
    expected = (told["user"]["id"], told["session"]["id"], "STARTER")
    spoofed = [(spelling, "ADMIN") for header in IDENTITY for spelling in (header, header.replace("-", "_"))]

    def passes(what, method="GET", headers=(), body=None, path="/page?x=1&roles=ADMIN"):
        status, _, answer = ask(gateway + path, method, headers, body)
        expect(status == 200, f"{name}: {what}: {status}")
        seen = identity(answer)
        got = tuple(seen.get(header.lower()) for header in IDENTITY[:3])
        expect(got == expected, f"{name}: {what}: the application sees {got}, not {expected}")
        expect("ADMIN" not in seen.values(), f"{name}: {what}: a spoofed header reached the application: {seen}")
        expect(answer["path"] == path and answer["method"] == method, f"{name}: {what}: sent on as {answer}")
        expect(answer["body"] == (body or ""), f"{name}: {what}: the body did not arrive: {answer}")

    def refused(what, status, method="GET", headers=(), path="/page"):
        got, headers, answer = ask(gateway + path, method, headers)
        expect(got == status, f"{name}: {what}: {got}, not {status}")
        expect(not answer or "headers" not in answer, f"{name}: {what}: it reached the application")
        return headers

    passes("a token", headers=[bearer])
    passes("a cookie", headers=[("Cookie", f"theme=dark; {cookie}")])
    passes("a token and spoofed headers", headers=[bearer, *spoofed])
    passes("a cookie and spoofed headers", headers=[("Cookie", cookie), *spoofed])
    passes("a body", "POST", [bearer, ("Content-Type", "text/plain")], "a body")
    passes("a preflight with a token", "OPTIONS", [bearer, ("Origin", gateway), ("Access-Control-Request-Method", "GET")])
    challenge = refused("nobody", 401)
    expect(any(key.lower() == "www-authenticate" for key in challenge), f"{name}: a 401 without a challenge")
    refused("spoofed headers alone", 401, headers=spoofed)
    refused("a bad token", 401, headers=[("Authorization", "Bearer nonsense"), ("Cookie", cookie)])
    refused("a preflight of nobody", 401, "OPTIONS", [("Origin", gateway), ("Access-Control-Request-Method", "GET"), *spoofed])
    refused("a cookie from a foreign page", 403, "POST", [("Cookie", cookie), ("Origin", "https://evil.example")])
    refused("a foreign page that lies about its method", 403, "POST",
            [("Cookie", cookie), ("Origin", "https://evil.example"), ("X-Forwarded-Method", "GET")])
    refused("no administrator", 403, headers=[bearer], path="/admin/x")
    refused("no administrator, whatever the query says", 403, headers=[bearer], path="/admin/x?roles=STARTER")
    # Everything that an application may interpret as that path.
    for path in ("/admin", "//admin/x", "/%61dmin/x", "/./admin/x", "/a/../admin/x", "/a/%2e%2e/admin/x", "/admin/../admin/x"):
        status, _, answer = ask(gateway + path, "GET", [bearer])
        expect(status in (400, 403) and not (answer and "headers" in answer), f"{name}: {path}: {status} {answer}")
    status, _, _ = ask(f"{auth}/logout", "POST", [bearer])
    expect(status == 204, f"logout: {status}")
    refused("a session that ended", 401, headers=[bearer])
    refused("the cookie of a session that ended", 401, headers=[("Cookie", cookie)])


def main(what, *arguments):
    if what == "app":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return Quiet(("127.0.0.1", int(arguments[0])), App).serve_forever()
    check(what, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
