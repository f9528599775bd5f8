//! Acts that somebody may have to answer for: one log line each, under a name that does not change, and a count.
//!
//! Users and sessions are named by id; never a name, an email, an address, a password or a token.

use crate::domain::event::Ending;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::reason::EndReason;
use crate::domain::user::Role;
use crate::telemetry::metrics::Metrics;

/// A security-relevant act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditEvent<'a> {
    /// A node signs with that key, by its `kid`, from now on; how many others still verify.
    KeyLoaded(&'a str, usize),
    /// A person signed up.
    SignedUp(UserId),
    /// A person logged in.
    LoggedIn(UserId, SessionId),
    /// Somebody did not: unknown address and wrong password alike.
    LoginFailed,
    /// A limit refused a request; which one.
    LimitHit(&'static str),
    /// An account was deleted.
    Deleted(UserId),
    /// An account was disabled.
    Disabled(UserId),
    /// A disabled account may be used again.
    Enabled(UserId),
    /// A user was given a role.
    RoleChanged(UserId, Role),
    /// An API key of that id was made.
    KeyCreated(&'a str),
    /// An API key of that id was revoked.
    KeyRevoked(&'a str),
    /// A session ended for a reason that is more than time or the person's own sign-out here.
    Ended(UserId, Ending),
}

/// The names of what is counted in `auth_security_events_total`. Most of what only commands do is in the log alone.
pub const NAMES: [&str; 9] = [
    "signing_key.loaded",
    "account.created",
    "login.succeeded",
    "login.failed",
    "rate_limit.hit",
    "session.terminated",
    "session.evicted",
    "refresh_token.reused",
    "account.deleted",
];

impl AuditEvent<'_> {
    /// The ending of a session, if it is one to be told of.
    #[must_use]
    pub fn ending(user: UserId, ending: &Ending) -> Option<Self> {
        match ending.reason {
            EndReason::Terminated | EndReason::Evicted | EndReason::RefreshTokenReused => {
                Some(Self::Ended(user, *ending))
            }
            // The deletion itself is the act.
            EndReason::UserDeleted | EndReason::Logout | EndReason::IdleTimeout | EndReason::Expired => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::KeyLoaded(..) => "signing_key.loaded",
            Self::SignedUp(_) => "account.created",
            Self::LoggedIn(..) => "login.succeeded",
            Self::LoginFailed => "login.failed",
            Self::LimitHit(_) => "rate_limit.hit",
            Self::Deleted(_) => "account.deleted",
            Self::Disabled(_) => "account.disabled",
            Self::Enabled(_) => "account.enabled",
            Self::RoleChanged(..) => "role.given",
            Self::KeyCreated(_) => "api_key.created",
            Self::KeyRevoked(_) => "api_key.revoked",
            Self::Ended(_, ending) => match ending.reason {
                EndReason::Evicted => "session.evicted",
                EndReason::RefreshTokenReused => "refresh_token.reused",
                EndReason::Terminated
                | EndReason::UserDeleted
                | EndReason::Logout
                | EndReason::IdleTimeout
                | EndReason::Expired => "session.terminated",
            },
        }
    }

    /// Writes the line and counts it.
    pub fn record(self, metrics: &Metrics) {
        metrics.security_events.with_label_values(&[self.name()]).inc();
        self.log();
    }

    /// Writes the line alone, for commands: nobody asks them for metrics.
    pub fn log(self) {
        let act = self.name();
        match self {
            Self::KeyLoaded(kid, previous) => tracing::info!(target: "audit", act, kid, previous, "audit"),
            Self::SignedUp(user) | Self::Deleted(user) | Self::Disabled(user) | Self::Enabled(user) => {
                tracing::info!(target: "audit", act, user_id = %user, "audit")
            }
            Self::LoggedIn(user, session) => {
                tracing::info!(target: "audit", act, user_id = %user, session_id = %session, "audit");
            }
            Self::RoleChanged(user, role) => {
                tracing::info!(target: "audit", act, user_id = %user, role = role.as_str(), "audit");
            }
            Self::KeyCreated(key_id) | Self::KeyRevoked(key_id) => {
                tracing::info!(target: "audit", act, key_id, "audit");
            }
            Self::LoginFailed => tracing::info!(target: "audit", act, "audit"),
            Self::LimitHit(limit) => tracing::info!(target: "audit", act, limit, "audit"),
            Self::Ended(user, ending) => {
                let by = ending.by.map(|by| by.to_string());
                tracing::info!(target: "audit", act, user_id = %user, session_id = %ending.session, by, "audit");
            }
        }
    }
}
