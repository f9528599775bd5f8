"""The keys that the auth service publishes.

A check whose key is known does not wait for a service that is down.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import jwt

from . import errors

# How long keys are cached, as the response allows, so that a retired key is forgotten.
_KEEP_SECONDS = 300.0
# How long keys are used, at most, if newer ones cannot be fetched.
_KEEP_AT_MOST_SECONDS = 3600.0
# How long the request that starts a refetch waits for it, so that no withdrawn key is used after a
# quiet time.
_MOMENT_SECONDS = 0.25
# How soon an unknown key id triggers another fetch: not for every forged token.
_COOLDOWN_SECONDS = 5.0
# How soon a failed fetch is retried: not for each request.
_RETRY_SECONDS = 1.0
# For the whole fetch: the client's timeout is for each read, and a response may arrive byte by
# byte.
_FETCH_SECONDS = 2.0


class PublishedKeys:
    """One fetch runs at a time, in its own task, independently of the request that needs it."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self._keys: dict[tuple[str, str], Any] = {}
        self._fetched_at = -float("inf")
        self._failed_at = -float("inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: object, algorithm: str) -> Any:
        """The key of a token; raises ``AuthError`` if there is none, or if keys cannot be fetched."""
        if not isinstance(kid, str):
            raise errors.invalid()
        wanted = (kid, algorithm)
        age = time.monotonic() - self._fetched_at
        if wanted in self._keys and age <= _KEEP_AT_MOST_SECONDS:
            if age > _KEEP_SECONDS and self._fetching is None and not self._failed_a_moment_ago():
                await asyncio.wait([self._fetch()], timeout=_MOMENT_SECONDS)
        elif age > _COOLDOWN_SECONDS:
            if self._fetching is None and self._failed_a_moment_ago():
                raise errors.unavailable()
            await asyncio.shield(self._fetch())
        try:
            return self._keys[wanted]
        except KeyError:
            raise errors.invalid() from None

    async def aclose(self) -> None:
        """Cancels a running fetch."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _failed_a_moment_ago(self) -> bool:
        return time.monotonic() - self._failed_at < _RETRY_SECONDS

    def _fetch(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._load())
            self._fetching.add_done_callback(self._fetched)
        return self._fetching

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        # Retrieved, whether or not somebody waits for it.
        if not task.cancelled() and task.exception() is not None:
            self._failed_at = time.monotonic()

    async def _load(self) -> None:
        try:
            answer = await asyncio.wait_for(self._http.get(self._url), _FETCH_SECONDS)
            answer.raise_for_status()
            self._keys = {(jwk.get("kid"), jwk.get("alg")): jwt.PyJWK(jwk).key for jwk in answer.json()["keys"]}
        except (httpx.HTTPError, asyncio.TimeoutError, jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
            # A failed fetch says nothing about the token.
            raise errors.unavailable() from error
        self._fetched_at = time.monotonic()
