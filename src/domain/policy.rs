//! The limits and timeouts that the rules apply. They are looked up per user, so that roles can differ;
//! no rule reads a global.

mod own;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use own::{OutOfRange, OwnPolicy};

use super::role::Role;
use super::session::Times;
use super::time::Timestamp;

/// What happens to a login when the user has reached the session limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtLimit {
    /// The least recently active session ends to make room.
    EvictOldest,
    /// The login is refused.
    Reject,
    /// The person chooses which sessions end.
    Ask,
}

impl AtLimit {
    /// Every variant.
    pub const ALL: [Self; 3] = [Self::EvictOldest, Self::Reject, Self::Ask];

    /// Their names, in the same order.
    pub const NAMES: &[&str] = &[Self::EvictOldest.as_str(), Self::Reject.as_str(), Self::Ask.as_str()];

    /// The name in settings and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EvictOldest => "evict_oldest",
            Self::Reject => "reject",
            Self::Ask => "ask",
        }
    }
}

/// The rules' limits and timeouts for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A session ends after this long without activity.
    pub idle_timeout: Duration,
    /// A session ends this long after it was opened.
    pub lifetime: Duration,
    /// Replaces the idle timeout if the person asked to stay signed in.
    pub remember_timeout: Option<Duration>,
    /// Replaces the lifetime if the person asked to stay signed in.
    pub remember_lifetime: Option<Duration>,
    /// Most live sessions of the user; at least 1.
    pub max_sessions: usize,
    /// What a login beyond that does.
    pub at_limit: AtLimit,
    /// How long after a rotation the token just replaced is answered with the current one.
    pub refresh_reuse_grace: Duration,
    /// How long an access token is valid.
    pub access_expiry: Duration,
    /// How long before an idle deadline the session's devices are warned; `None`: never.
    pub warning: Option<Duration>,
    /// How long after its idle deadline a session is left alone, because activity seen by another node
    /// may not have reached the database yet; zero where a single node serves.
    pub idle_margin: Duration,
}

impl Policy {
    /// When a session that was opened at that time is over.
    #[must_use]
    pub fn times(&self, created_at: Timestamp, remember: Option<bool>) -> Times {
        let longer = |it: Option<Duration>| it.filter(|_| remember == Some(true));
        Times {
            idle_timeout: longer(self.remember_timeout).unwrap_or(self.idle_timeout),
            expires_at: created_at.plus(longer(self.remember_lifetime).unwrap_or(self.lifetime)),
        }
    }
}

/// The policies of all roles.
#[derive(Clone, Debug)]
pub struct Policies {
    /// In the order of [`Role::ALL`].
    by_role: [Policy; Role::ALL.len()],
}

impl Policies {
    /// The same policy for every role.
    #[must_use]
    pub fn same_for_all(policy: Policy) -> Self {
        Self { by_role: [policy.clone(), policy.clone(), policy.clone(), policy] }
    }

    /// The policy of each role.
    #[must_use]
    pub fn by_role(policy: impl Fn(Role) -> Policy) -> Self {
        Self { by_role: Role::ALL.map(policy) }
    }

    /// The policy of users of that role.
    #[must_use]
    pub fn for_role(&self, role: Role) -> &Policy {
        let [starter, pro, enterprise, admin] = &self.by_role;
        match role {
            Role::Starter => starter,
            Role::Pro => pro,
            Role::Enterprise => enterprise,
            Role::Admin => admin,
        }
    }

    /// The policy of a user with that role; `own` takes precedence.
    #[must_use]
    pub fn of(&self, role: Role, own: Option<&OwnPolicy>) -> Policy {
        let of_role = self.for_role(role);
        own.map_or_else(|| of_role.clone(), |own| own.applied_to(of_role))
    }

    /// The longest `idle_margin` of any role.
    #[must_use]
    pub fn idle_margin(&self) -> Duration {
        self.by_role.iter().map(|policy| policy.idle_margin).max().unwrap_or_default()
    }
}
