//! The session rules an operator may set.
//!
//! It must never hold the rules themselves: they are in the domain.

use std::time::Duration;

use super::source::{Listing, Source, Unit};
use crate::domain::policy::AtLimit;

/// Within this much of its deadline a timeout is promised to be noticed; a flush may take a part of it.
const FLUSH_WITHIN_PROMISE: Duration = Duration::from_secs(3);

/// How long sessions last and how many there may be.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// A session ends after so long without activity.
    pub timeout: Duration,
    /// A session ends so long after its creation, whatever its activity.
    pub lifetime: Duration,
    /// Live sessions of one user at most.
    pub max_per_user: u32,
    /// What a login over that limit does.
    pub at_limit: AtLimit,
    /// Activity is in the database at most so late.
    pub activity_flush: Duration,
    /// Other services hear of a session's activity at most once in so long; zero is every time it is written.
    pub activity_event_interval: Duration,
    /// A device is warned so long before the idle deadline; zero is never.
    pub warning: Duration,
    /// Ended sessions are kept so long, with their reason.
    pub retention: Duration,
    /// What a node remembers may be trusted so long after it last looked.
    pub max_staleness: Duration,
}

impl SessionConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        let policies = AtLimit::ALL.map(|policy| (policy.as_str(), policy));
        let config = SessionConfig {
            timeout: source.decimal("SESSION_TIMEOUT_MINUTES", Unit::Minutes, 5.0, 0.001..=525_600.0),
            lifetime: source.decimal("SESSION_LIFETIME_HOURS", Unit::Hours, 168.0, 0.0001..=87_600.0),
            max_per_user: source.integer("MAX_SESSIONS_PER_USER", 5, 1..=1000),
            at_limit: source.choice("MAX_SESSIONS_POLICY", AtLimit::EvictOldest, &policies),
            activity_flush: source.decimal("ACTIVITY_FLUSH_SECONDS", Unit::Seconds, 1.0, 0.01..=60.0),
            activity_event_interval: source.decimal(
                "ACTIVITY_EVENT_SECONDS",
                Unit::Seconds,
                10.0,
                0.0..=86_400.0,
            ),
            warning: source.decimal("SESSION_WARNING_SECONDS", Unit::Seconds, 60.0, 0.0..=86_400.0),
            retention: source.decimal("SESSION_RETENTION_DAYS", Unit::Days, 30.0, 0.0001..=3650.0),
            max_staleness: source.decimal(
                "REVOCATION_MAX_STALENESS_MS",
                Unit::Milliseconds,
                1000.0,
                100.0..=60_000.0,
            ),
        };
        if config.activity_flush > FLUSH_WITHIN_PROMISE {
            source.warn(
                "ACTIVITY_FLUSH_SECONDS is over 3: idle sessions may end later than 5 s after their deadline",
            );
        }
        config
    }

    pub(super) fn list(&self, listing: &mut Listing) {
        listing.extend([
            ("SESSION_TIMEOUT_MINUTES", Unit::Minutes.show(self.timeout)),
            ("SESSION_LIFETIME_HOURS", Unit::Hours.show(self.lifetime)),
            ("MAX_SESSIONS_PER_USER", self.max_per_user.to_string()),
            ("MAX_SESSIONS_POLICY", self.at_limit.as_str().to_owned()),
            ("ACTIVITY_FLUSH_SECONDS", Unit::Seconds.show(self.activity_flush)),
            ("ACTIVITY_EVENT_SECONDS", Unit::Seconds.show(self.activity_event_interval)),
            ("SESSION_WARNING_SECONDS", Unit::Seconds.show(self.warning)),
            ("SESSION_RETENTION_DAYS", Unit::Days.show(self.retention)),
            ("REVOCATION_MAX_STALENESS_MS", Unit::Milliseconds.show(self.max_staleness)),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, refused};
    use super::*;

    #[test]
    fn defaults() {
        let sessions = parse(&[]).sessions;
        assert_eq!(sessions.timeout, Duration::from_secs(300));
        assert_eq!(sessions.lifetime, Duration::from_secs(168 * 3600));
        assert_eq!((sessions.max_per_user, sessions.at_limit), (5, AtLimit::EvictOldest));
        assert_eq!(sessions.max_staleness, Duration::from_secs(1));
        assert_eq!(sessions.retention, Duration::from_secs(30 * 86_400));
    }

    #[test]
    fn decimals_and_boundaries() {
        let sessions = parse(&[
            ("SESSION_TIMEOUT_MINUTES", "0.05"),
            ("SESSION_LIFETIME_HOURS", "0.001"),
            ("MAX_SESSIONS_PER_USER", "1000"),
            ("MAX_SESSIONS_POLICY", "reject"),
            ("REVOCATION_MAX_STALENESS_MS", "100"),
        ])
        .sessions;
        assert_eq!(sessions.timeout, Duration::from_secs(3));
        assert_eq!(sessions.lifetime, Duration::from_millis(3600));
        assert_eq!((sessions.max_per_user, sessions.at_limit), (1000, AtLimit::Reject));
        for (name, value) in [
            ("SESSION_TIMEOUT_MINUTES", "0"),
            ("SESSION_LIFETIME_HOURS", "forever"),
            ("MAX_SESSIONS_PER_USER", "0"),
            ("MAX_SESSIONS_PER_USER", "1001"),
            ("MAX_SESSIONS_POLICY", "evict"),
            ("REVOCATION_MAX_STALENESS_MS", "99"),
            ("ACTIVITY_FLUSH_SECONDS", "0"),
        ] {
            assert_eq!(refused(&[(name, value)]), [name], "{value}");
        }
    }
}
