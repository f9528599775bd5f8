"""Whether a token is one of the auth service's access tokens.

Whether its session is live is a separate question, which no signature answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import httpx
import jwt

from . import errors
from .given import http_address, known_to_nobody
from .keys import PublishedKeys
from .once_a_minute import OnceAMinute

# Never an algorithm that the token's header chooses together with its own key.
_ASYMMETRIC = ["ES256", "EdDSA", "RS256"]
_REQUIRED = ["sub", "sid", "iat", "exp", "iss"]


class TokenVerifier:
    """Checks signature, type, issuer, audience and expiry."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | None,
        jwks_url: str | None,
        secret: str | Sequence[str] | None,
        clock_tolerance: float,
        http: httpx.AsyncClient,
    ) -> None:
        if (secret is None) == (jwks_url is None):
            raise ValueError("exactly one of secret and jwks_url is needed")
        # Without an issuer the library does not check it.
        if not issuer:
            raise ValueError("issuer is needed")
        if audience is not None and not audience:
            raise ValueError("audience is empty")
        if not (isinstance(clock_tolerance, (int, float)) and 0 <= clock_tolerance < math.inf):
            raise ValueError("clock_tolerance is a number of seconds")
        secrets = [secret] if isinstance(secret, str) else list(secret or [])
        if jwks_url is None:
            known_to_nobody(secrets)
        http_address("jwks_url", jwks_url)
        self._issuer = issuer
        self._audience = audience
        self._leeway = clock_tolerance
        # A clock that is a second behind must not reject a token that was just signed.
        self._options: Any = {"require": _REQUIRED, "verify_aud": audience is not None, "verify_iat": False}
        self._secrets = secrets
        self._warnings = OnceAMinute()
        self._jwks = None if jwks_url is None else PublishedKeys(jwks_url, http)

    async def claims(self, token: str) -> dict[str, Any]:
        """The claims of a valid token; raises ``AuthError`` otherwise."""
        if self._jwks is None:
            return self._with_secrets(token)
        # Before a key is looked up, so that none is fetched for a token that could not pass anyway.
        header = _header(token)
        algorithm = header.get("alg")
        if algorithm not in _ASYMMETRIC or not _is_access_token(header):
            raise errors.invalid()
        key = await self._jwks.key(header.get("kid"), algorithm)
        return self._decode(token, key, [algorithm])

    async def aclose(self) -> None:
        """Cancels fetching keys."""
        if self._jwks is not None:
            await self._jwks.aclose()

    def _with_secrets(self, token: str) -> dict[str, Any]:
        for secret in self._secrets:
            try:
                return self._decode(token, secret, ["HS256"])
            except errors.AuthError as error:
                if not isinstance(error.__cause__, jwt.InvalidSignatureError):
                    raise
        if _is_access_token(_header(token)):
            self._warnings.warn("the signature of a token does not match: is the secret the auth service's own JWT_ACCESS_SECRET?")
        raise errors.invalid()

    def _decode(self, token: str, key: Any, algorithms: list[str]) -> dict[str, Any]:
        try:
            # The header is returned with it, so that it is parsed once.
            decoded = jwt.decode_complete(
                token,
                key,
                algorithms=algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options=self._options,
            )
        except jwt.ExpiredSignatureError:
            raise (errors.expired() if _is_access_token(_header(token)) else errors.invalid()) from None
        except jwt.InvalidSignatureError as error:
            raise errors.invalid() from error
        except (jwt.PyJWTError, ValueError, TypeError):
            raise errors.invalid() from None
        claims: dict[str, Any] = decoded["payload"]
        sub, sid = claims["sub"], claims["sid"]
        if not (
            _is_access_token(decoded["header"])
            and isinstance(claims["exp"], (int, float))
            and isinstance(claims["iat"], (int, float))
            and isinstance(sub, str)
            and isinstance(sid, str)
            and sub
            and sid
        ):
            raise errors.invalid()
        return claims


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise errors.invalid() from None


def _is_access_token(header: dict[str, Any]) -> bool:
    """RFC 9068; no critical extension is supported here (RFC 7515, section 4.1.11)."""
    typ = header.get("typ")
    return isinstance(typ, str) and typ.lower().removeprefix("application/") == "at+jwt" and "crit" not in header
