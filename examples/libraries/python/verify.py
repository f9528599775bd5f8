"""Python: PyJWT, Authlib."""

import json
import os
import sys
import urllib.request

import jwt
from authlib.jose import JsonWebKey, JsonWebToken

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]
JWKS_URL = f"{ISSUER}/.well-known/jwks.json"

keys = jwt.PyJWKClient(JWKS_URL)


def with_pyjwt(token: str) -> None:
    # The library leaves the type to you.
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


for line in sys.stdin:
    for name, verify in {"PyJWT": with_pyjwt, "Authlib": with_authlib}.items():
        try:
            verify(line.strip())
            print(name, "accepted", flush=True)
        except Exception as error:  # each library has its own
            print(name, "refused", str(error).replace("\n", " "), flush=True)
