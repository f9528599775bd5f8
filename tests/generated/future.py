"""Plays a later version of the service: what it says has codes, values and members that the document does not know.

future.py DOCUMENT MESSAGE   prints the port it listens on, and writes to the file MESSAGE what a device would hear

Its answers are the examples of the document, changed where the document leaves a list of values open.
"""

import http.server
import json
import sys
from pathlib import Path

SCHEMAS = json.loads(Path(sys.argv[1]).read_text())["components"]["schemas"]


def example(schema, **changes):
    return {**SCHEMAS[schema]["examples"][0], "fromTheFuture": {"is": "ignored"}, **changes}


session = example("Session")
session["deviceInfo"] = {**session["deviceInfo"], "deviceType": "hologram"}
PROBLEM = "application/problem+json", 401, example(
    "Problem", status=401, code="from_the_future", type="urn:auth-service:error:from_the_future"
)
ANSWERS = {
    "/session": PROBLEM,
    "/me": ("application/json", 200, {"user": example("User", role="GUARDIAN")}),
    "/sessions": ("application/json", 200, {"sessions": [session], "total": 1, "maxSessions": 5}),
}
MESSAGE = example("DeviceMessage", type="session.frozen", reason="cold")


class Later(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


Path(sys.argv[2]).write_text(json.dumps(MESSAGE))
server = http.server.HTTPServer(("127.0.0.1", 0), Later)
print(server.server_port, flush=True)
server.serve_forever()
