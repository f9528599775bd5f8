//! The numbers the rules go by. They are asked for per user, so that roles can differ; no rule reads a global.

mod own;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use own::{OutOfRange, OwnPolicy};

use super::user::Role;

/// What happens to a login when the user has as many sessions as allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtLimit {
    /// The least recently active session ends to make room.
    EvictOldest,
    /// The login is refused.
    Reject,
}

impl AtLimit {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::EvictOldest, Self::Reject];

    /// The words for them, in the same order.
    pub const NAMES: &[&str] = &[Self::EvictOldest.as_str(), Self::Reject.as_str()];

    /// The word for it, in settings and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EvictOldest => "evict_oldest",
            Self::Reject => "reject",
        }
    }
}

/// The rules' numbers for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A session ends after this long without activity.
    pub idle_timeout: Duration,
    /// A session ends this long after it was opened.
    pub lifetime: Duration,
    /// Most live sessions of the user; at least 1.
    pub max_sessions: usize,
    /// What a login beyond that does.
    pub at_limit: AtLimit,
    /// How long after a rotation the token just replaced is answered with the current one.
    pub refresh_reuse_grace: Duration,
    /// How long an access token is good.
    pub access_expiry: Duration,
    /// How long before an idle deadline the session's devices are warned; none: never.
    pub warning: Option<Duration>,
    /// How long past an idle deadline a session is left alone, because activity seen by another node may still
    /// be on its way to the database; zero where one node serves alone.
    pub idle_margin: Duration,
}

/// Where a user's policy is found.
#[derive(Clone, Debug)]
pub struct Policies {
    everyone: Policy,
}

impl Policies {
    /// The same policy for every role.
    #[must_use]
    pub fn same_for_all(policy: Policy) -> Self {
        Self { everyone: policy }
    }

    /// The policy of users of that role.
    #[must_use]
    pub fn for_role(&self, role: Role) -> &Policy {
        match role {
            Role::Starter | Role::Pro | Role::Enterprise | Role::Admin => &self.everyone,
        }
    }

    /// The shortest time without stored activity after which any user's session ends: what the sweeper looks for.
    #[must_use]
    pub fn shortest_time_to_idle_ending(&self) -> Duration {
        self.everyone.idle_timeout + self.everyone.idle_margin
    }
}
