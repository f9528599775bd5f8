"""What a verifier is given, refused where it cannot be meant: an address that no request can go to, a secret
that anybody knows. The complaints do not repeat an address, which may have a password."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import redis.asyncio.connection as redis

# What is left where a shell, Compose or a template was to put a variable in, and did not.
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%")
_LAST_PORT = 65_535


def http_address(option: str, url: str | None) -> str | None:
    """The address; raises :class:`ValueError` unless it is one of HTTP. ``None`` is not given."""
    if url is None or _is_http(url):
        return url
    raise ValueError(f"{option} must begin with http:// or https:// and name a host")


def redis_address(option: str, url: str | None) -> str | None:
    """The same for Redis; a socket has no host."""
    if url is None or _is_redis(url):
        return url
    raise ValueError(f"{option} must begin with redis:// or rediss:// and name a host")


def _is_http(url: Any) -> bool:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        return False
    # The library would encode a blank.
    is_host = _is_host(urlsplit(url).hostname or "") and (parsed.port or 0) <= _LAST_PORT
    return parsed.scheme in ("http", "https") and is_host


def _is_redis(url: Any) -> bool:
    try:
        redis.parse_url(url)
        parsed = urlsplit(url)
    except (ValueError, TypeError, AttributeError):
        return False
    return parsed.scheme == "unix" or _is_host(parsed.hostname or "")


def _is_host(host: str) -> bool:
    return host != "" and not any(letter.isspace() for letter in host)


def known_to_nobody(secrets: Sequence[str]) -> None:
    """Raises :class:`ValueError` for a secret with which anybody could sign."""
    if not (secrets and all(secrets)):
        raise ValueError("secret is empty")
    for secret in secrets:
        if _PLACEHOLDER.fullmatch(secret):
            raise ValueError("secret is a variable that was not replaced")
