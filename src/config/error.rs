//! The errors of the configuration, one line for each variable.
//!
//! They must never contain a secret: an error about a secret states its length.

use std::fmt;

/// One variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: got {got}, wants {wants}")]
pub struct ConfigError {
    /// The variable's name.
    pub variable: &'static str,
    /// Its value, quoted and truncated; for a secret, its length.
    pub got: String,
    /// What would be accepted, with unit and bounds.
    pub wants: String,
}

impl ConfigError {
    pub(super) fn new(variable: &'static str, got: impl Into<String>, wants: impl Into<String>) -> Self {
        ConfigError { variable, got: got.into(), wants: wants.into() }
    }
}

/// All errors, in the order they were found; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
