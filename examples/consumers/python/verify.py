"""Verifies access tokens of the auth service with PyJWT: reads one a line, and answers each with a line of JSON.

Whether a token's session is still live is another question, which no signature answers: see docs/verifying-tokens.md.
"""

import json
import os
import sys

import jwt

AUTH_URL = os.environ.get("AUTH_URL", "http://localhost:4001")
# The same names and values as the auth service has.
ALGORITHM = os.environ.get("JWT_ALGORITHM", "HS256")
ISSUER = os.environ.get("JWT_ISSUER", "auth-service")
AUDIENCE = os.environ.get("JWT_AUDIENCE")
# The keys are kept for 5 minutes, as the answer allows, so that a retired one is forgotten. An unknown key id has them
# fetched before that, but not for every forged token.
KEYS = jwt.PyJWKClient(f"{AUTH_URL}/.well-known/jwks.json", lifespan=300, cooldown_duration=5, timeout=5)


if ALGORITHM == "HS256" and not os.environ.get("JWT_ACCESS_SECRET"):
    sys.exit("verify.py: JWT_ACCESS_SECRET is not set; it is the auth service's own (or set JWT_ALGORITHM)")


def verify(token):
    """The claims of a good token; else it raises."""
    header = jwt.get_unverified_header(token)
    # PyJWT leaves this to its caller. It tells an access token from all others that the same key may sign.
    if str(header.get("typ")).lower() not in ("at+jwt", "application/at+jwt"):
        raise jwt.InvalidTokenError("this is no access token")
    # Also so that no key is looked up for a token that could not be accepted anyway.
    if header.get("alg") != ALGORITHM:
        raise jwt.InvalidAlgorithmError("another algorithm")
    return jwt.decode(
        token,
        key_of(token),
        # One algorithm, from the configuration: never the one the token asks for.
        algorithms=[ALGORITHM],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={
            "require": ["iss", "sub", "sid", "iat", "exp"],
            # Without an audience in the configuration a token may have one or not.
            "verify_aud": AUDIENCE is not None,
            # It would refuse what was signed a second ago where this clock is a little behind.
            "verify_iat": False,
        },
    )


def key_of(token):
    # With HS256 whoever can verify can also sign: the secret makes this service as trusted as the auth service itself.
    if ALGORITHM == "HS256":
        return os.environ["JWT_ACCESS_SECRET"]
    return KEYS.get_signing_key_from_jwt(token).key


def main():
    for line in sys.stdin:
        try:
            answer = {"accepted": True, "claims": verify(line.strip())}
        except jwt.PyJWKClientConnectionError as error:
            # Says nothing of the token.
            answer = {"accepted": None, "why": str(error)}
        except jwt.PyJWTError as error:
            answer = {"accepted": False, "why": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
