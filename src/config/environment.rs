//! Where the service runs, which decides some defaults and how strict the checks are.
//!
//! It must never decide what the service does: only defaults and refusals depend on it.

use super::source::Source;

/// The values that `APP_ENV` accepts.
pub(super) const NAMES: &[&str] = &["development", "test", "staging", "production"];

/// The kind of environment the service runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A person's machine: readable logs, generated secrets.
    Development,
    /// Automated tests.
    Test,
    /// Like production, but secrets are not required.
    Staging,
    /// Real users: weak secrets are refused.
    Production,
}

impl Environment {
    /// Whether weak settings must be refused rather than warned about.
    #[must_use]
    pub fn is_production(self) -> bool {
        self == Environment::Production
    }

    pub(super) fn parse(source: &mut Source<'_>) -> Environment {
        let name = match source.text("APP_ENV") {
            Some(_) => "APP_ENV",
            None => "NODE_ENV",
        };
        let environments =
            [Environment::Development, Environment::Test, Environment::Staging, Environment::Production];
        let choices = NAMES.iter().copied().zip(environments).collect::<Vec<_>>();
        source.choice(name, &choices)
    }
}
