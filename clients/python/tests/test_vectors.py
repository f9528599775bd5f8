"""Every verifier gives the same results for the same tokens."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from auth_service_verifier import AuthError, create_verifier

FILE = json.loads((Path(__file__).parents[2] / "vectors.json").read_text())


class Keys(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(FILE["jwks"]).encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
async def verifiers():
    server = HTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    common = {"issuer": FILE["issuer"], "audience": FILE["audience"], "on_unsure": "accept"}
    made = {
        "secret": create_verifier(secret=FILE["secret"], **common),
        "secrets": create_verifier(secret=FILE["secrets"], **common),
        "jwks": create_verifier(jwks_url=f"http://127.0.0.1:{server.server_port}/", **common),
    }
    yield made
    for verifier in made.values():
        await verifier.aclose()
    server.shutdown()


@pytest.mark.parametrize("vector", FILE["vectors"], ids=lambda vector: vector["name"])
async def test_vector(verifiers, vector):
    verifier = verifiers[vector["verify"]]
    if vector["accepted"]:
        identity = await verifier.verify(vector["token"])
        assert identity.session_id == "01a20a5b-847b-755a-8579-4e203a2758dd"
        return
    with pytest.raises(AuthError) as refused:
        await verifier.verify(vector["token"])
    error = refused.value
    expected = (vector["status"], vector["code"], 'Bearer error="invalid_token"')
    assert (error.status, error.code, error.www_authenticate) == expected
