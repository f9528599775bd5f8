//! The one vocabulary of how a session ends: in rows, events, answers and metrics.

use serde::Serialize;

/// Why a session is over. It is stored with the session; each ended session has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The person signed out on this device.
    Logout,
    /// The person ended it from another device, or an operator did.
    Terminated,
    /// No activity for the idle timeout.
    IdleTimeout,
    /// Older than the session lifetime, whatever the activity.
    Expired,
    /// Made room for a newer session under the session limit.
    Evicted,
    /// The same person signed in again with the same browser.
    Replaced,
    /// The password was changed or reset.
    CredentialsChanged,
    /// An old refresh token was used again: taken for theft (RFC 9700, section 4.14.2).
    RefreshTokenReused,
    /// The account was deleted.
    UserDeleted,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Logout,
        Self::Terminated,
        Self::IdleTimeout,
        Self::Expired,
        Self::Evicted,
        Self::Replaced,
        Self::CredentialsChanged,
        Self::RefreshTokenReused,
        Self::UserDeleted,
    ];

    /// Whether the session ended by the passing of time, and not by anybody's action.
    #[must_use]
    pub const fn is_timeout(self) -> bool {
        matches!(self, Self::IdleTimeout | Self::Expired)
    }

    /// The name used in events, rows and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Terminated => "terminated",
            Self::IdleTimeout => "idle_timeout",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Replaced => "replaced",
            Self::CredentialsChanged => "credentials_changed",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::UserDeleted => "user_deleted",
        }
    }

    /// The reason with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_as_they_are_written() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::parse(reason.as_str()), Some(reason));
            assert_eq!(
                serde_json::to_string(&reason).unwrap_or_default(),
                format!("\"{}\"", reason.as_str())
            );
        }
    }
}
