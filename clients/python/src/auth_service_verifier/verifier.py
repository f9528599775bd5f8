"""The verifier: the signature, then what the stream says about the session, then a request to the auth
service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

import httpx

from . import errors
from .ended_sessions import EndedSessions
from .given import http_address, redis_address
from .tokens import TokenVerifier

_LOG = logging.getLogger("auth_service_verifier")
_ASK_TIMEOUT_SECONDS = 2.0
_BEARER = re.compile(r"Bearer +(\S+) *", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """The caller."""

    user_id: str
    session_id: str
    role: str | None
    #: ``aal1``, or ``aal2`` with a second factor.
    acr: str | None
    amr: tuple[str, ...]
    #: When the user last authenticated.
    auth_time: datetime | None
    expires_at: datetime


@dataclass(frozen=True)
class Ended:
    """A session that is over."""

    session_id: str
    user_id: str
    reason: str


@dataclass(frozen=True)
class Status:
    """What the verifier knows."""

    #: Whether an ending that happened ``max_staleness`` ago is known.
    up_to_date: bool
    #: Since when every ending is known.
    since: datetime | None
    #: How many endings are remembered.
    remembered: int


class Verifier:
    """Made by :func:`create_verifier`; ``async with`` follows the events for as long as the block runs."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | None = None,
        jwks_url: str | None = None,
        secret: str | Sequence[str] | None = None,
        redis_url: str | None = None,
        redis_prefix: str = "auth:",
        api_key: str | None = None,
        revocations_url: str | None = None,
        service_url: str | None = None,
        max_staleness: float = 1.0,
        on_unsure: Literal["ask", "refuse", "accept"] = "ask",
        clock_tolerance: float = 0.0,
    ) -> None:
        if on_unsure not in ("ask", "refuse", "accept"):
            raise ValueError("on_unsure is ask, refuse or accept")
        if on_unsure == "ask" and service_url is None:
            raise ValueError("service_url is needed to ask the auth service")
        if api_key is not None and redis_url is not None:
            raise ValueError("give redis_url or api_key, not both")
        if api_key is not None and revocations_url is None and service_url is None:
            raise ValueError("api_key needs service_url or revocations_url")
        if not max_staleness >= 0.1:
            raise ValueError("max_staleness must be at least 0.1 seconds")
        http_address("service_url", service_url)
        http_address("revocations_url", revocations_url)
        redis_address("redis_url", redis_url)
        self._http = httpx.AsyncClient(timeout=_ASK_TIMEOUT_SECONDS, follow_redirects=False)
        self._tokens = TokenVerifier(
            issuer=issuer,
            audience=audience,
            jwks_url=jwks_url,
            secret=secret,
            clock_tolerance=clock_tolerance,
            http=self._http,
        )
        self._service_url = None if service_url is None else service_url.rstrip("/")
        self._on_unsure = on_unsure
        self._redis_url = redis_url
        self._api_key = api_key
        self._revocations_url = revocations_url or f"{self._service_url}/revocations"
        self._stream = f"{redis_prefix}events"
        self._listeners: list[Callable[[Ended], None]] = []
        self._sessions = EndedSessions(max_staleness, clock_tolerance, self._heard)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Verifier:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def start(self) -> None:
        """Starts following the events, in the running event loop."""
        if self._task is not None:
            return
        if self._redis_url is not None:
            self._task = asyncio.create_task(self._sessions.follow(self._redis_url, self._stream))
        elif self._api_key is not None:
            self._task = asyncio.create_task(self._sessions.follow_service(self._revocations_url, self._api_key))

    async def aclose(self) -> None:
        """Stops following the events."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._tokens.aclose()
        await self._http.aclose()

    def on_ended(self, listener: Callable[[Ended], None]) -> None:
        """Calls ``listener`` for each session that ends: for the service's own caches and sockets."""
        self._listeners.append(listener)

    @property
    def status(self) -> Status:
        return Status(self._sessions.up_to_date, self._sessions.since, self._sessions.remembered)

    async def verify(
        self,
        token: str | None,
        *,
        roles: Collection[str] | None = None,
        acr: Literal["aal1", "aal2"] | None = None,
        max_age: float | None = None,
        exact: bool = False,
    ) -> Identity:
        """Checks an access token and its session.

        Without ``roles`` every role is accepted, with an empty collection nobody; ``acr="aal2"`` requires a
        second factor; ``exact`` always asks the auth service.

        Raises :class:`AuthError` with the status and the headers to answer with, and :class:`ValueError` for
        an option that cannot have this value.
        """
        refuse_wrong_checks(roles=roles, acr=acr, max_age=max_age)
        if not token:
            raise errors.missing()
        self.start()
        claims = await self._tokens.claims(token)
        await self._check_session(token, claims, exact)
        return _authorize(claims, roles, acr, max_age)

    async def verify_header(self, authorization: str | None, **options: Any) -> Identity:
        """Checks the value of an ``Authorization`` header; ``options`` as for :meth:`verify`."""
        found = _BEARER.fullmatch(authorization or "")
        return await self.verify(found.group(1) if found else None, **options)

    async def _check_session(self, token: str, claims: dict[str, Any], exact: bool) -> None:
        state, reason = self._sessions.of(claims["sid"], claims["iat"])
        if state == "ended":
            raise errors.ended(reason or "")
        if exact:
            await self._ask(token, claims)
        elif state == "unsure" and self._on_unsure == "refuse":
            raise errors.unavailable()
        elif state == "unsure" and self._on_unsure == "ask":
            await self._ask(token, claims)

    async def _ask(self, token: str, claims: dict[str, Any]) -> None:
        """Asks whether the session is live. The auth service does not count that as activity."""
        if self._service_url is None:
            raise errors.unavailable()
        asked_at = time.monotonic()
        try:
            # For the whole response: the client's own timeout is for each read.
            asking = self._http.get(
                f"{self._service_url}/session", headers={"Authorization": f"Bearer {token}"}
            )
            answer = await asyncio.wait_for(asking, _ASK_TIMEOUT_SECONDS)
            code = answer.json().get("code")
        except (httpx.HTTPError, asyncio.TimeoutError, ValueError, AttributeError) as error:
            raise errors.unavailable() from error
        if answer.status_code == 401:
            raise _refusal(code)
        if answer.status_code != 200:
            raise errors.unavailable()
        self._sessions.confirm(claims["sid"], claims["exp"], asked_at)

    def _heard(self, session_id: str, user_id: str, reason: str) -> None:
        for listener in self._listeners:
            try:
                listener(Ended(session_id, user_id, reason))
            except Exception:
                _LOG.exception("a listener for ended sessions failed")


def create_verifier(**options: Any) -> Verifier:
    """Creates a verifier, one per process; the options are those of :class:`Verifier`."""
    return Verifier(**options)


def refuse_wrong_checks(*, roles: Any = None, acr: Any = None, max_age: Any = None, exact: Any = False) -> None:
    """Raises :class:`ValueError` for options of a check that would check nothing."""
    # A text would accept every role whose name is a part of it.
    if roles is not None and (isinstance(roles, (str, bytes)) or not isinstance(roles, Collection)):
        raise ValueError("roles is a collection of roles")
    if acr not in (None, "aal1", "aal2"):
        raise ValueError("acr is aal1 or aal2")
    if max_age is not None and not (isinstance(max_age, (int, float)) and max_age >= 0):
        raise ValueError("max_age is a number of seconds")


def _refusal(code: object) -> errors.AuthError:
    if code == "token_expired":
        return errors.expired()
    if code == "token_invalid":
        return errors.invalid()
    return errors.over(code if isinstance(code, str) else "session_terminated")


def _authorize(
    claims: dict[str, Any], roles: Collection[str] | None, acr: str | None, max_age: float | None
) -> Identity:
    if roles is not None and claims.get("role") not in roles:
        raise errors.wrong_role()
    if acr == "aal2" and claims.get("acr") != "aal2":
        raise errors.not_fresh(acr=acr, max_age=max_age)
    auth_time = claims.get("auth_time")
    if max_age is not None and (auth_time is None or time.time() - auth_time > max_age):
        raise errors.not_fresh(acr=None, max_age=max_age)
    return Identity(
        user_id=claims["sub"],
        session_id=claims["sid"],
        role=claims.get("role"),
        acr=claims.get("acr"),
        amr=tuple(claims.get("amr", ())),
        auth_time=None if auth_time is None else datetime.fromtimestamp(auth_time, timezone.utc),
        expires_at=datetime.fromtimestamp(claims["exp"], timezone.utc),
    )
