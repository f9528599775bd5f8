//! Where the service runs, which decides some defaults and how strict the checks are.
//!
//! It must never decide what the service does: only defaults and refusals hang on it.

use super::source::Source;

/// The kind of place the service runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A person's machine: readable logs, generated secrets.
    Development,
    /// Automated tests.
    Test,
    /// Like production, with secrets not insisted on.
    Staging,
    /// Real people: weak secrets are refused.
    Production,
}

impl Environment {
    const NAMES: &[(&str, Environment)] = &[
        ("development", Environment::Development),
        ("test", Environment::Test),
        ("staging", Environment::Staging),
        ("production", Environment::Production),
    ];

    /// Whether weak settings must be refused rather than warned of.
    #[must_use]
    pub fn is_production(self) -> bool {
        self == Environment::Production
    }

    /// The name `APP_ENV` gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Environment::Development => "development",
            Environment::Test => "test",
            Environment::Staging => "staging",
            Environment::Production => "production",
        }
    }

    pub(super) fn parse(source: &mut Source<'_>) -> Environment {
        let name = match source.text("APP_ENV") {
            Some(_) => "APP_ENV",
            None => "NODE_ENV",
        };
        source.choice(name, Environment::Development, Self::NAMES)
    }
}
