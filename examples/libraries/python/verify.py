"""Python: PyJWT, Authlib; Authlib's client also queries the service (RFC 8414, 7662, 7009)."""

import json
import os
import sys
import urllib.request

import jwt
from authlib.integrations.httpx_client import OAuth2Client
from authlib.jose import JsonWebKey, JsonWebToken

missing = [name for name in ("ISSUER", "AUDIENCE", "API_KEY_ID", "API_KEY_SECRET") if not os.environ.get(name)]
if missing:
    sys.exit(f"not set: {', '.join(missing)}; see examples/libraries/README.md")
ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]
JWKS_URL = f"{ISSUER}/.well-known/jwks.json"

keys = jwt.PyJWKClient(JWKS_URL)


def with_pyjwt(token: str) -> None:
    # The library does not check `typ`.
    if jwt.get_unverified_header(token).get("typ", "").lower() != "at+jwt":
        raise ValueError("not an access token")
    key = keys.get_signing_key_from_jwt(token)
    jwt.decode(
        token, key, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE,
        options={"require": ["exp", "iat", "sub", "sid"], "verify_iat": False},
    )


with urllib.request.urlopen(JWKS_URL) as answer:
    key_set = JsonWebKey.import_key_set(json.load(answer))
authlib = JsonWebToken(["ES256"])


def with_authlib(token: str) -> None:
    rules = {"iss": {"essential": True, "value": ISSUER}, "aud": {"essential": True, "value": AUDIENCE},
             "exp": {"essential": True}, "sub": {"essential": True}, "sid": {"essential": True}}
    claims = authlib.decode(token, key_set, claims_options=rules)
    claims.validate()
    if claims.header.get("typ", "").lower() != "at+jwt":
        raise ValueError("not an access token")


with urllib.request.urlopen(f"{ISSUER}/.well-known/oauth-authorization-server") as answer:
    server = json.load(answer)
client = OAuth2Client(os.environ["API_KEY_ID"], os.environ["API_KEY_SECRET"], token_endpoint_auth_method="client_secret_basic")


def with_authlib_client(token: str) -> None:
    answer = client.introspect_token(server["introspection_endpoint"], token=token).raise_for_status().json()
    if not answer["active"]:
        raise ValueError("not active")


def revoke(token: str) -> None:
    client.revoke_token(server["revocation_endpoint"], token=token).raise_for_status()


LIBRARIES = {"PyJWT": with_pyjwt, "Authlib": with_authlib, "Authlib client": with_authlib_client}
for line in sys.stdin:
    command, _, token = line.strip().rpartition(" ")
    for name, verify in ({"Authlib client": revoke} if command == "revoke" else LIBRARIES).items():
        try:
            verify(token)
            print(name, "accepted", flush=True)
        except Exception as error:  # each library has its own kinds
            print(name, "refused", str(error).replace("\n", " "), flush=True)
