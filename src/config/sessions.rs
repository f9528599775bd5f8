//! The session rules an operator may set.
//!
//! It must never contain the rules themselves: they are in the domain.

use std::time::Duration;

use super::setting::{Form, Preset, Setting, Unit};
use super::source::Source;
use crate::domain::policy::AtLimit;
use crate::domain::user::Role;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        TIMEOUT,
        Form::Decimal(Unit::Minutes, 0.001, 525_600.0),
        Preset::Value("5"),
        "A session ends after this time without activity.",
    )
    .by_role(),
    Setting::new(
        LIFETIME,
        Form::Decimal(Unit::Hours, 0.0001, 87_600.0),
        Preset::Value("168"),
        "A session ends this long after its creation.",
    )
    .by_role(),
    Setting::new(MAX_PER_USER, Form::Number(1, 1000), Preset::Value("5"), "Most live sessions of one user.")
        .by_role(),
    Setting::new(
        AT_LIMIT,
        Form::Word(AtLimit::NAMES),
        Preset::Value("evict_oldest"),
        "What a login over that limit does: it ends the least recently active session, or is refused.",
    )
    .by_role(),
    Setting::new(
        "ACTIVITY_FLUSH_SECONDS",
        Form::Decimal(Unit::Seconds, 0.01, 60.0),
        Preset::Value("1"),
        "Activity reaches the database at most this late. The same on all nodes.",
    )
    .note("over 3 is warned about"),
    Setting::new(
        "ACTIVITY_EVENT_SECONDS",
        Form::Decimal(Unit::Seconds, 0.0, 86_400.0),
        Preset::Value("10"),
        "Time between two events about one session's activity; 0 is one for each.",
    ),
    Setting::new(
        WARNING,
        Form::Decimal(Unit::Seconds, 0.0, 86_400.0),
        Preset::Value("60"),
        "A connected device is warned this long before its idle deadline; 0 is never.",
    )
    .note("no warning where it is not shorter than the timeout")
    .by_role(),
    Setting::new(
        REMEMBER_TIMEOUT,
        Form::Decimal(Unit::Minutes, 0.001, 525_600.0),
        Preset::Unset,
        "In place of `SESSION_TIMEOUT_MINUTES` where a login asks for `remember: true`.",
    ),
    Setting::new(
        REMEMBER_LIFETIME,
        Form::Decimal(Unit::Hours, 0.0001, 87_600.0),
        Preset::Unset,
        "In place of `SESSION_LIFETIME_HOURS` where a login asks for `remember: true`.",
    ),
    Setting::new(
        "FRESH_AUTH_SECONDS",
        Form::Decimal(Unit::Seconds, 1.0, 86_400.0),
        Preset::Value("300"),
        "What touches the account itself wants a proof of the person that is at most this old.",
    ),
    Setting::new(
        "ACCOUNT_DELETION_DAYS",
        Form::Decimal(Unit::Days, 0.0, 365.0),
        Preset::Unset,
        "Lets people delete their own account: 0 deletes it immediately, else it is deleted this many days after they ask, unless they \
         sign in before. Where it is not set they cannot.",
    ),
    Setting::new(
        "SESSION_RETENTION_DAYS",
        Form::Decimal(Unit::Days, 0.0001, 3650.0),
        Preset::Value("30"),
        "Ended sessions are kept this long, with their reason.",
    ),
    Setting::new(
        "REVOCATION_MAX_STALENESS_MS",
        Form::Decimal(Unit::Milliseconds, 100.0, 60_000.0),
        Preset::Value("1000"),
        "On PostgreSQL: how long a node may trust what it remembers. Past it, protected requests are answered 503 \
         until the database can be read again.",
    ),
];

const TIMEOUT: &str = "SESSION_TIMEOUT_MINUTES";
const LIFETIME: &str = "SESSION_LIFETIME_HOURS";
const MAX_PER_USER: &str = "MAX_SESSIONS_PER_USER";
const AT_LIMIT: &str = "MAX_SESSIONS_POLICY";
const REMEMBER_TIMEOUT: &str = "REMEMBER_TIMEOUT_MINUTES";
const REMEMBER_LIFETIME: &str = "REMEMBER_LIFETIME_HOURS";
const WARNING: &str = "SESSION_WARNING_SECONDS";

/// The part that a flush may take of the time within which a timeout is promised to be noticed.
const FLUSH_WITHIN_PROMISE: Duration = Duration::from_secs(3);

/// How long sessions last and how many there may be.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// A session ends after this long without activity.
    pub timeout: Duration,
    /// A session ends this long after its creation, whatever its activity.
    pub lifetime: Duration,
    /// Most live sessions of one user.
    pub max_per_user: u32,
    /// What a login over that limit does.
    pub at_limit: AtLimit,
    /// Activity is written to the database after at most this delay.
    pub activity_flush: Duration,
    /// Other services are notified of a session's activity at most once in this time; zero means every time
    /// it is written.
    pub activity_event_interval: Duration,
    /// A device is warned this long before the idle deadline; zero means never.
    pub warning: Duration,
    /// What applies to users of each role, in the order of [`Role::ALL`].
    pub by_role: [SessionRules; Role::ALL.len()],
    /// Replaces the timeout if a login asks to be remembered.
    pub remember_timeout: Option<Duration>,
    /// Replaces the lifetime if a login asks to be remembered.
    pub remember_lifetime: Option<Duration>,
    /// Changes to the account itself require a proof that is at most this old.
    pub fresh_auth: Duration,
    /// An account is deleted this long after the person requested it; `None` if people cannot.
    pub account_deletion: Option<Duration>,
    /// Ended sessions are stored for this long, with their reason.
    pub retention: Duration,
    /// How long after its last poll a node may trust what it has cached.
    pub max_staleness: Duration,
}

/// The rules that may differ from role to role.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionRules {
    /// A session ends after this time without activity.
    pub timeout: Duration,
    /// A session ends this long after its creation.
    pub lifetime: Duration,
    /// Most live sessions of one user.
    pub max_per_user: u32,
    /// What a login over that limit does.
    pub at_limit: AtLimit,
    /// A device is warned this long before the idle deadline; zero means never.
    pub warning: Duration,
}

impl SessionRules {
    fn parse(source: &mut Source<'_>) -> Self {
        SessionRules {
            timeout: source.decimal(TIMEOUT),
            lifetime: source.decimal(LIFETIME),
            max_per_user: source.integer(MAX_PER_USER),
            at_limit: source.choice(AT_LIMIT, &AtLimit::ALL.map(|policy| (policy.as_str(), policy))),
            warning: source.decimal(WARNING),
        }
    }

    /// The values of the settings that end in the role's name, and otherwise these.
    fn of_role(self, source: &mut Source<'_>, role: Role) -> Self {
        let policies = AtLimit::ALL.map(|policy| (policy.as_str(), policy));
        SessionRules {
            timeout: source.decimal_or(source.of_role(TIMEOUT, role), self.timeout),
            lifetime: source.decimal_or(source.of_role(LIFETIME, role), self.lifetime),
            max_per_user: source.integer_or(source.of_role(MAX_PER_USER, role), self.max_per_user),
            at_limit: source.choice_or(source.of_role(AT_LIMIT, role), self.at_limit, &policies),
            warning: source.decimal_or(source.of_role(WARNING, role), self.warning),
        }
    }
}

impl SessionConfig {
    /// The rules for users of that role.
    #[must_use]
    pub fn for_role(&self, role: Role) -> SessionRules {
        let position = Role::ALL.iter().position(|other| *other == role).unwrap_or_default();
        self.by_role[position]
    }

    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        let rules = SessionRules::parse(source);
        let config = SessionConfig {
            timeout: rules.timeout,
            lifetime: rules.lifetime,
            max_per_user: rules.max_per_user,
            at_limit: rules.at_limit,
            warning: rules.warning,
            by_role: Role::ALL.map(|role| rules.of_role(source, role)),
            activity_flush: source.decimal("ACTIVITY_FLUSH_SECONDS"),
            activity_event_interval: source.decimal("ACTIVITY_EVENT_SECONDS"),
            remember_timeout: source.optional_decimal(REMEMBER_TIMEOUT),
            remember_lifetime: source.optional_decimal(REMEMBER_LIFETIME),
            fresh_auth: source.decimal("FRESH_AUTH_SECONDS"),
            account_deletion: source.optional_decimal("ACCOUNT_DELETION_DAYS"),
            retention: source.decimal("SESSION_RETENTION_DAYS"),
            max_staleness: source.decimal("REVOCATION_MAX_STALENESS_MS"),
        };
        if config.activity_flush > FLUSH_WITHIN_PROMISE {
            source.warn(
                "ACTIVITY_FLUSH_SECONDS is over 3: idle sessions may end later than 5 s after their deadline",
            );
        }
        config
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
    fn a_role_may_have_its_own() {
        let sessions = parse(&[
            ("SESSION_TIMEOUT_MINUTES", "10"),
            ("SESSION_TIMEOUT_MINUTES_ADMIN", "0.5"),
            ("MAX_SESSIONS_PER_USER_PRO", "9"),
            ("MAX_SESSIONS_POLICY_STARTER", "reject"),
        ])
        .sessions;
        assert_eq!(sessions.for_role(Role::Admin).timeout, Duration::from_secs(30));
        assert_eq!(sessions.for_role(Role::Pro).timeout, Duration::from_secs(600));
        let most = Role::ALL.map(|role| sessions.for_role(role).max_per_user);
        assert_eq!(most, [5, 9, 5, 5]);
        assert_eq!(sessions.for_role(Role::Starter).at_limit, AtLimit::Reject);
        assert_eq!(sessions.at_limit, AtLimit::EvictOldest);
        let wrong = [("SESSION_TIMEOUT_MINUTES_ADMIN", "0"), ("MAX_SESSIONS_POLICY_PRO", "evict")];
        assert_eq!(refused(&wrong), ["MAX_SESSIONS_POLICY_PRO", "SESSION_TIMEOUT_MINUTES_ADMIN"]);
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
