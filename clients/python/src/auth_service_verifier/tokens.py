"""Whether a token is one of the auth service's access tokens.

Whether its session is live is another question, which no signature answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import httpx
import jwt

from . import errors

# Never an algorithm that the token's header picks together with its own key.
_ASYMMETRIC = ["ES256", "EdDSA", "RS256"]
_REQUIRED = ["sub", "sid", "iat", "exp", "iss"]
# The keys are kept for 5 minutes, as the answer allows, so that a retired one is forgotten.
_KEYS_FOR_SECONDS = 300.0
# An unknown key id has them fetched earlier, but not for every forged token.
_COOLDOWN_SECONDS = 5.0
_RETRY_SECONDS = 1.0


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
        self._issuer = issuer
        self._audience = audience
        self._leeway = clock_tolerance
        self._secrets = [secret] if isinstance(secret, str) else list(secret or [])
        self._jwks = None if jwks_url is None else _Jwks(jwks_url, http)

    async def claims(self, token: str) -> dict[str, Any]:
        """The claims of a good token; raises ``AuthError`` otherwise."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise errors.invalid() from None
        if not _is_access_token(header.get("typ")) or "crit" in header:
            raise errors.invalid()
        if self._jwks is None:
            return self._with_secrets(token)
        algorithm = header.get("alg")
        if algorithm not in _ASYMMETRIC:
            raise errors.invalid()
        key = await self._jwks.key(header.get("kid"), algorithm)
        return self._decode(token, key, [algorithm])

    def _with_secrets(self, token: str) -> dict[str, Any]:
        for secret in self._secrets[:-1]:
            try:
                return self._decode(token, secret, ["HS256"])
            except errors.AuthError as error:
                if error.code == "token_expired":
                    raise
        return self._decode(token, self._secrets[-1], ["HS256"])

    def _decode(self, token: str, key: Any, algorithms: list[str]) -> dict[str, Any]:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                # A clock a second behind must not refuse a token that was just signed.
                options={"require": _REQUIRED, "verify_aud": self._audience is not None, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise errors.expired() from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise errors.invalid() from None
        if not isinstance(claims["exp"], (int, float)) or not isinstance(claims["iat"], (int, float)):
            raise errors.invalid()
        if not all(isinstance(claims[name], str) and claims[name] for name in ("sub", "sid")):
            raise errors.invalid()
        return claims


def _is_access_token(typ: object) -> bool:
    return isinstance(typ, str) and typ.lower().removeprefix("application/") == "at+jwt"


class _Jwks:
    """The published keys."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self._keys: dict[tuple[str, str], Any] = {}
        self._fetched_at = -float("inf")
        self._failed_at = -float("inf")
        self._fetching = asyncio.Lock()

    async def key(self, kid: object, algorithm: str) -> Any:
        await self._fetch_if_older_than(_KEYS_FOR_SECONDS)
        if (kid, algorithm) not in self._keys:
            await self._fetch_if_older_than(_COOLDOWN_SECONDS)
        try:
            return self._keys[(kid, algorithm)]  # type: ignore[index]
        except (KeyError, TypeError):
            raise errors.invalid() from None

    async def _fetch_if_older_than(self, seconds: float) -> None:
        async with self._fetching:
            now = time.monotonic()
            if now - self._fetched_at < seconds:
                return
            # A server that is away is not asked for each request.
            if now - self._failed_at < _RETRY_SECONDS:
                raise errors.unavailable()
            try:
                answer = await self._http.get(self._url)
                answer.raise_for_status()
                keys = answer.json()["keys"]
            except (httpx.HTTPError, ValueError, KeyError) as error:
                # That the keys cannot be fetched says nothing about the token.
                self._failed_at = time.monotonic()
                raise errors.unavailable() from error
            self._keys = {(jwk.get("kid"), jwk.get("alg")): jwt.PyJWK(jwk).key for jwk in keys}
            self._fetched_at = time.monotonic()
