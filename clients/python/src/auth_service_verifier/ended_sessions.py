"""Which sessions are over, according to the stream of events: the one on Redis, or that of ``GET
/revocations``.

The stream rather than Pub/Sub: both deliver an event equally fast, but only the stream still has it for a
reader that was not listening. Every process reads the whole stream for itself; a consumer group would
give each event to one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import httpx
import redis.asyncio as redis

from .once_a_minute import OnceAMinute

_LOG = logging.getLogger("auth_service_verifier")
_ENDINGS = {"session.terminated", "session.deleted"}
_BATCH = 1000
_RETRY_SECONDS = 0.2
# A connection that is silent for this long is considered dead.
_SILENCE_SECONDS = 2.0
# Clocks of different machines differ by less than this, and a token is signed this soon after its session changed.
_SLACK_SECONDS = 5.0
_FORGET_EVERY_SECONDS = 60.0
_DAY_SECONDS = 86_400.0
# What a message that is not as expected may cause. It must not end the task that follows.
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Remembered:
    """Endings by session, in few bytes each, because there may be very many."""

    def __init__(self) -> None:
        # When the session's last access token expires (in seconds; after that it may be forgotten),
        # and the reason.
        self._endings: dict[int | str, tuple[int, str]] = {}
        # The same pairs: many sessions share one.
        self._pairs: dict[tuple[int, str], tuple[int, str]] = {}

    def __len__(self) -> int:
        return len(self._endings)

    def reason(self, sid: str) -> str | None:
        found = self._endings.get(_key(sid))
        return None if found is None else found[1]

    def add(self, sid: str, reason: str, until: float) -> bool:
        """Whether the ending is new."""
        key = _key(sid)
        is_news = key not in self._endings
        pair = (math.ceil(until), reason)
        self._endings[key] = self._pairs.setdefault(pair, pair)
        return is_news

    def forget(self, now: float) -> None:
        self._endings = {key: pair for key, pair in self._endings.items() if pair[0] >= now}
        self._pairs = {pair: pair for pair in self._pairs if pair[0] >= now}


def _key(sid: str) -> int | str:
    """A UUID as the number that it is."""
    return int(sid.replace("-", ""), 16) if _UUID.fullmatch(sid) else sid


class EndedSessions:
    """Follows the stream in a task of its own."""

    def __init__(
        self, max_staleness: float, tolerance: float, on_ended: Callable[[str, str, str], None]
    ) -> None:
        self._max_staleness = max_staleness
        # How long after their expiry tokens are still accepted, in seconds.
        self._tolerance = tolerance
        # Two reads must fit into max_staleness.
        self._wait_ms = max(1, min(250, int(max_staleness * 250)))
        self._on_ended = on_ended
        self._warnings = OnceAMinute()
        self._ended = _Remembered()
        # Sessions that the auth service confirmed as live after reading began, and until when that
        # is of use, in seconds.
        self._confirmed: dict[str, float] = {}
        self._last: bytes | None = None
        # Endings before this are not known; seconds by the clock of Redis.
        self._since = math.inf
        # By the monotonic clock, which nobody can set.
        self._up_to_date_at = -math.inf
        self._begun_at = math.inf
        self._forgot_at = time.monotonic()

    def of(self, sid: str, iat: float) -> tuple[str, str | None]:
        """``("live", None)``, ``("ended", reason)`` or ``("unsure", None)`` for a token that was signed at ``iat``."""
        reason = self._ended.reason(sid)
        if reason is not None:
            return "ended", reason
        # A session was live when its token was signed. If that was after `since`, its ending would have been read.
        known = iat > self._since + _SLACK_SECONDS or sid in self._confirmed
        return ("live" if self.up_to_date and known else "unsure"), None

    @property
    def up_to_date(self) -> bool:
        return time.monotonic() - self._up_to_date_at < self._max_staleness

    @property
    def since(self) -> datetime | None:
        """Since when every ending is known."""
        return datetime.fromtimestamp(self._since, timezone.utc) if math.isfinite(self._since) else None

    @property
    def remembered(self) -> int:
        return len(self._ended)

    def confirm(self, sid: str, exp: float, asked_at: float) -> None:
        """Records that the auth service confirmed this session as live when it was asked at ``asked_at``
        (monotonic seconds)."""
        # An ending after that is published after reading began, so it will be read.
        if asked_at > self._begun_at:
            self._confirmed[sid] = exp

    async def follow(self, url: str, stream: str) -> None:
        """Reads until the task is cancelled."""
        while True:
            # A connection that breaks or falls silent is replaced rather than repaired, so that it
            # is known where reading resumes.
            client = redis.Redis.from_url(
                url, socket_timeout=_SILENCE_SECONDS, socket_connect_timeout=_SILENCE_SECONDS, single_connection_client=True
            )
            try:
                while True:
                    await self._read(client, stream)
            except (redis.RedisError, OSError, asyncio.TimeoutError) as error:
                self._warnings.warn("cannot follow the events of the auth service: %s", error)
            finally:
                with contextlib.suppress(redis.RedisError, OSError):
                    await client.aclose()
            await asyncio.sleep(_RETRY_SECONDS)

    async def follow_service(self, url: str, api_key: str) -> None:
        """The same over HTTP, until the task is cancelled. Remembered endings are kept when a stream
        ends: the next stream continues from the cursor, at any node, or says that it does not."""
        cursor: str | None = None
        # The service sends something at least twice a second.
        timeout = httpx.Timeout(_SILENCE_SECONDS)
        async with httpx.AsyncClient(timeout=timeout, follow_redirects=False) as http:
            while True:
                headers = {"authorization": f"Bearer {api_key}", "accept": "text/event-stream"}
                if cursor is not None:
                    headers["last-event-id"] = cursor
                try:
                    requested_at = time.monotonic()
                    async with http.stream("GET", url, headers=headers) as answer:
                        if answer.status_code == 422:
                            cursor = None  # it is of another auth service
                        if answer.status_code != 200:
                            raise httpx.HTTPError(f"the auth service answered {answer.status_code}")
                        fields: dict[str, str] = {}
                        async for line in answer.aiter_lines():
                            name, _, value = line.partition(": ")
                            if line != "":
                                fields[name] = value
                                continue
                            cursor = self._hear(fields, requested_at) or cursor
                            fields = {}
                        self._forget()
                except (httpx.HTTPError, *_UNREADABLE) as error:
                    self._warnings.warn("cannot follow the endings of the auth service: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    def _hear(self, fields: dict[str, str], requested_at: float) -> str | None:
        """Handles a message of the service, and returns the cursor it reached."""
        self._forget()
        if "data" not in fields:
            return None
        told = json.loads(fields["data"])
        match fields.get("event"):
            case None:
                self._take_ending(told)
            case "reset":
                self._forget_place()
                self._begun_at = requested_at
                self._since = _seconds(told["since"])
            case "heartbeat":
                # The service counts from when the request reached it, which was after it was sent.
                # So this time is never too late, whatever the delays on the way.
                at = requested_at + float(told["elapsedMs"]) / 1000
                self._up_to_date_at = min(max(self._up_to_date_at, at), time.monotonic())
                return fields.get("id")
        return None

    async def _read(self, client: redis.Redis, stream: str) -> None:
        self._forget()
        if self._last is None:
            await self._begin(client, stream)
            return
        asked = time.monotonic()
        async with client.pipeline(transaction=False) as pipe:
            pipe.xrange(stream, self._last, self._last)
            pipe.xread({stream: self._last}, count=_BATCH, block=self._wait_ms)
            held, found = await pipe.execute()
        # While the last entry read is still there, nothing after it was trimmed or lost with Redis.
        if not held:
            self._forget_place()
            return
        entries = _entries_of(found)
        self._take(entries)
        # Everything published before this read was sent has been read, if the reply was not full.
        if len(entries) < _BATCH:
            self._up_to_date_at = asked

    async def _begin(self, client: redis.Redis, stream: str) -> None:
        """Starts with the oldest entry. What came before it is not known; without a stream nothing is
        known."""
        begun = time.monotonic()
        first = await client.xrange(stream, count=1)
        if not first:
            await asyncio.sleep(_RETRY_SECONDS)
            return
        self._begun_at = begun
        # The id of an entry begins with the milliseconds at which it was added.
        entry_id: bytes = first[0][0]  # type: ignore[assignment]
        self._since = int(entry_id.split(b"-")[0]) / 1000
        self._take(first)

    def _forget_place(self) -> None:
        self._last = None
        self._since = math.inf
        self._begun_at = math.inf
        self._up_to_date_at = -math.inf
        self._confirmed.clear()

    def _take(self, entries: list[Any]) -> None:
        for entry_id, fields in entries:
            self._last = entry_id
            try:
                event = json.loads(fields.get(b"data", b"{}"))
                if event.get("event") in _ENDINGS and "sessionId" in event:
                    self._take_ending(event)
            except _UNREADABLE:
                _LOG.warning("an entry of the stream is not an event: %s", entry_id)

    def _take_ending(self, event: dict[str, Any]) -> None:
        sid = str(event["sessionId"])
        reason = str(event.get("reason", "terminated"))
        is_news = self._ended.add(sid, reason, _expiry(event) + self._tolerance + _SLACK_SECONDS)
        self._confirmed.pop(sid, None)
        if is_news:
            self._on_ended(sid, str(event.get("userId", "")), reason)

    def _forget(self) -> None:
        if time.monotonic() - self._forgot_at < _FORGET_EVERY_SECONDS:
            return
        self._forgot_at = time.monotonic()
        now = time.time()
        self._ended.forget(now)
        self._confirmed = {sid: until for sid, until in self._confirmed.items() if until >= now}


def _entries_of(found: Any) -> list[Any]:
    """RESP2 answers a list of streams, RESP3 a mapping."""
    if not found:
        return []
    if isinstance(found, dict):
        batches = next(iter(found.values()))
        return list(batches[0]) if batches and isinstance(batches[0], list) else list(batches)
    return list(found[0][1])


def _expiry(event: dict[str, Any]) -> float:
    try:
        return _seconds(event["tokensExpireAt"])
    except (KeyError, ValueError):
        return time.time() + _DAY_SECONDS


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(str(timestamp).replace("Z", "+00:00")).timestamp()
