//! Why a request is rejected. The error has everything that a framework needs to respond.

use serde_json::{Value, json};

const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;

/// Why a request is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct AuthError {
    /// HTTP status: 401, 403 or 503.
    pub status: u16,
    /// Stable code, the same that the auth service uses.
    pub code: String,
    /// What happened, for a developer.
    pub detail: &'static str,
    /// Value of the `WWW-Authenticate` header (RFC 6750, RFC 9470).
    pub www_authenticate: Option<String>,
    /// Seconds for the `Retry-After` header of a 503.
    pub retry_after: Option<u64>,
}

impl AuthError {
    /// Body of the response (RFC 9457), of type `application/problem+json`.
    #[must_use]
    pub fn problem(&self) -> Value {
        json!({
            "type": format!("urn:auth-service:error:{}", self.code),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        })
    }

    /// No token was sent: the challenge carries no error code (RFC 6750, section 3.1).
    pub(crate) fn missing() -> Self {
        Self::unauthorized("token_missing", "An access token is required.", "Bearer")
    }

    pub(crate) fn invalid() -> Self {
        Self::unauthorized("token_invalid", "The access token is not valid.", INVALID_TOKEN)
    }

    pub(crate) fn expired() -> Self {
        Self::unauthorized("token_expired", "The access token has expired.", INVALID_TOKEN)
    }

    /// The session is over. An unknown reason is treated as an ending too.
    pub(crate) fn ended(reason: &str) -> Self {
        Self::over(match reason {
            "logout" => "session_logged_out",
            "idle_timeout" => "session_idle_timeout",
            "expired" => "session_expired",
            "evicted" => "session_evicted",
            "replaced" => "session_replaced",
            "refresh_token_reused" => "refresh_token_reused",
            "credentials_changed" => "session_credentials_changed",
            _ => "session_terminated",
        })
    }

    /// The auth service's own code for a session that is over.
    pub(crate) fn over(code: &str) -> Self {
        Self::unauthorized(code, "The session is over.", INVALID_TOKEN)
    }

    /// The auth service's error for the token or its session.
    pub(crate) fn from_service(code: Option<&str>) -> Self {
        match code {
            Some("token_invalid") => Self::invalid(),
            Some("token_expired") => Self::expired(),
            other => Self::over(other.unwrap_or("session_terminated")),
        }
    }

    pub(crate) fn role() -> Self {
        Self {
            status: 403,
            ..Self::unauthorized(
                "insufficient_scope",
                "The role of this user does not allow this.",
                r#"Bearer error="insufficient_scope""#,
            )
        }
    }

    /// The user must reauthenticate, or authenticate more strongly (RFC 9470).
    pub(crate) fn not_fresh(acr: Option<&str>, max_age: Option<u64>) -> Self {
        let mut challenge = r#"Bearer error="insufficient_user_authentication""#.to_owned();
        if let Some(seconds) = max_age {
            challenge.push_str(&format!(r#", max_age="{seconds}""#));
        }
        if let Some(acr) = acr {
            challenge.push_str(&format!(r#", acr_values="{acr}""#));
        }
        Self::unauthorized("fresh_authentication_required", "Prove again who you are.", &challenge)
    }

    /// Whether the session is live could not be determined: no reason to let anybody in, nor to
    /// sign anybody out.
    pub(crate) fn unavailable() -> Self {
        Self {
            status: 503,
            code: "unavailable".to_owned(),
            detail: "The session could not be checked; try again shortly.",
            www_authenticate: None,
            retry_after: Some(1),
        }
    }

    fn unauthorized(code: &str, detail: &'static str, challenge: &str) -> Self {
        Self {
            status: 401,
            code: code.to_owned(),
            detail,
            www_authenticate: Some(challenge.to_owned()),
            retry_after: None,
        }
    }
}
