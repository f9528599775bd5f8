"""Verifies the auth service's access tokens, and rejects a session within ``max_staleness`` of its end."""

from .errors import AuthError
from .verifier import Ended, Identity, Status, Verifier, create_verifier

__all__ = ["AuthError", "Ended", "Identity", "Status", "Verifier", "create_verifier"]
