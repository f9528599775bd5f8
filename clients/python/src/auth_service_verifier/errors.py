"""Why a request is rejected. The error has everything that a framework needs to respond."""

from __future__ import annotations

# Codes for a session that is over, by the reason in its event. An unknown reason is treated as an
# ending too.
_ENDED = {
    "logout": "session_logged_out",
    "idle_timeout": "session_idle_timeout",
    "expired": "session_expired",
    "evicted": "session_evicted",
    "replaced": "session_replaced",
    "refresh_token_reused": "refresh_token_reused",
    "credentials_changed": "session_credentials_changed",
}
_INVALID_TOKEN = 'Bearer error="invalid_token"'


class AuthError(Exception):
    """401, 403 or 503, with the headers to answer with."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        www_authenticate: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        #: Stable code, the same that the auth service uses.
        self.code = code
        self.detail = detail
        #: Value of the ``WWW-Authenticate`` header (RFC 6750, RFC 9470).
        self.www_authenticate = www_authenticate
        #: Seconds for the ``Retry-After`` header of a 503.
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        headers = {}
        if self.www_authenticate is not None:
            headers["WWW-Authenticate"] = self.www_authenticate
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers

    @property
    def problem(self) -> dict[str, object]:
        """Body of the response (RFC 9457)."""
        return {
            "type": f"urn:auth-service:error:{self.code}",
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }


def missing() -> AuthError:
    """No token was sent: the challenge carries no error code (RFC 6750, section 3.1)."""
    return AuthError(401, "token_missing", "An access token is required.", www_authenticate="Bearer")


def invalid() -> AuthError:
    return AuthError(401, "token_invalid", "The access token is not valid.", www_authenticate=_INVALID_TOKEN)


def expired() -> AuthError:
    return AuthError(401, "token_expired", "The access token has expired.", www_authenticate=_INVALID_TOKEN)


def ended(reason: str) -> AuthError:
    return over(_ENDED.get(reason, "session_terminated"))


def over(code: str) -> AuthError:
    """The auth service's own code for a session that is over."""
    return AuthError(401, code, "The session is over.", www_authenticate=_INVALID_TOKEN)


def wrong_role() -> AuthError:
    challenge = 'Bearer error="insufficient_scope"'
    detail = "The role of this user does not allow this."
    return AuthError(403, "insufficient_scope", detail, www_authenticate=challenge)


def not_fresh(*, acr: str | None, max_age: float | None) -> AuthError:
    """The user must reauthenticate, or authenticate more strongly (RFC 9470)."""
    parts = ['Bearer error="insufficient_user_authentication"']
    if max_age is not None:
        parts.append(f'max_age="{max_age:g}"')
    if acr is not None:
        parts.append(f'acr_values="{acr}"')
    return AuthError(
        401, "fresh_authentication_required", "Prove again who you are.", www_authenticate=", ".join(parts)
    )


def unavailable() -> AuthError:
    """Whether the session is live could not be determined: no reason to let anybody in, nor to sign
    anybody out."""
    return AuthError(503, "unavailable", "The session could not be checked; try again shortly.", retry_after=1)
