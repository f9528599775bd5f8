"""Warnings of what goes wrong again and again: at once, and then at most once a minute."""

from __future__ import annotations

import logging
import time

_LOG = logging.getLogger("auth_service_verifier")
_EVERY_SECONDS = 60.0


class OnceAMinute:
    """One for each thing that may go wrong."""

    def __init__(self) -> None:
        self._warned_at = -float("inf")

    def warn(self, message: str, *what: object) -> None:
        if self.is_due(time.monotonic()):
            _LOG.warning(message, *what)

    def is_due(self, now: float) -> bool:
        """Whether to warn now (in seconds); if so, it is noted."""
        due = now - self._warned_at >= _EVERY_SECONDS
        if due:
            self._warned_at = now
        return due
