//! Looks variables up, turns them into values, and collects what is wrong with them instead of stopping.
//!
//! It must never put a secret's content into an error or a warning. A value that is refused is replaced by its default,
//! so that the rest can be checked too; [`Source::finish`] then hands out the errors and nothing else.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::{ConfigError, ConfigErrors, Secret, VARIABLES};

/// Variables with the values in force.
pub(super) type Listing = Vec<(&'static str, String)>;

/// What of a refused value is shown at most, in characters.
const SHOWN: usize = 80;

pub(super) struct Source<'a> {
    vars: &'a HashMap<String, String>,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl<'a> Source<'a> {
    pub(super) fn new(vars: &'a HashMap<String, String>, errors: Vec<ConfigError>) -> Self {
        Source { vars, errors, warnings: Vec::new() }
    }

    /// The warnings, if nothing was wrong.
    pub(super) fn finish(self) -> Result<Vec<String>, ConfigErrors> {
        if self.errors.is_empty() { Ok(self.warnings) } else { Err(ConfigErrors(self.errors)) }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Refuses a value that may be shown.
    pub(super) fn refuse(&mut self, name: &'static str, value: &str, wants: impl Into<String>) {
        let cut = value.chars().take(SHOWN).collect::<String>();
        let more = if cut.len() < value.len() { "…" } else { "" };
        self.errors.push(ConfigError::new(name, format!("{cut:?}{more}"), wants));
    }

    /// Refuses a value of which only the length may be shown.
    pub(super) fn refuse_secret(&mut self, name: &'static str, length: usize, wants: impl Into<String>) {
        let got = format!("a secret of {length} bytes");
        self.errors.push(ConfigError::new(name, got, wants));
    }

    pub(super) fn refuse_missing(&mut self, name: &'static str, wants: impl Into<String>) {
        self.errors.push(ConfigError::new(name, "nothing", wants));
    }

    /// The value without the blanks around it; an empty one counts as not set.
    pub(super) fn text(&self, name: &'static str) -> Option<&'a str> {
        debug_assert!(VARIABLES.contains(&name), "{name} is missing in VARIABLES");
        let value = self.vars.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The value to the byte, since another service may check signatures with the same one.
    pub(super) fn secret(&self, name: &'static str) -> Option<Secret> {
        self.text(name)?;
        self.vars.get(name).cloned().map(Secret::new)
    }

    pub(super) fn text_or(&mut self, name: &'static str, default: &str) -> String {
        let Some(value) = self.text(name) else {
            return default.to_owned();
        };
        if value.chars().any(char::is_control) || value.len() > 255 {
            self.refuse(name, value, "at most 255 bytes without control characters");
        }
        value.to_owned()
    }

    /// The non-empty members of a comma-separated list.
    pub(super) fn list(&self, name: &'static str) -> Vec<&'a str> {
        let members = self.text(name).unwrap_or_default().split(',');
        members.map(str::trim).filter(|member| !member.is_empty()).collect()
    }

    pub(super) fn integer<T>(&mut self, name: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.text(name) else {
            return default;
        };
        match value.parse::<T>() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let wants = format!("a whole number from {} to {}", range.start(), range.end());
                self.refuse(name, value, wants);
                default
            }
        }
    }

    /// A number with decimals in `unit`, as a duration in whole milliseconds.
    pub(super) fn decimal(
        &mut self,
        name: &'static str,
        unit: Unit,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Duration {
        let Some(value) = self.text(name) else {
            return unit.duration(default);
        };
        let plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match value.parse::<f64>() {
            Ok(number) if plain && range.contains(&number) => unit.duration(number),
            _ => {
                let (low, high) = range.into_inner();
                self.refuse(name, value, format!("{} from {low} to {high}, decimals allowed", unit.name()));
                unit.duration(default)
            }
        }
    }

    pub(super) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        let Some(value) = self.text(name) else {
            return default;
        };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.refuse(name, value, "true or false");
                default
            }
        }
    }

    /// One of a few words, in any case.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.text(name) else {
            return default;
        };
        match choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(value)) {
            Some((_, choice)) => *choice,
            None => {
                let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>();
                self.refuse(name, value, format!("one of {}", words.join(", ")));
                default
            }
        }
    }
}

/// The unit in a variable's name.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "milliseconds",
            Unit::Seconds => "seconds",
            Unit::Minutes => "minutes",
            Unit::Hours => "hours",
            Unit::Days => "days",
        }
    }

    fn milliseconds(self) -> f64 {
        match self {
            Unit::Milliseconds => 1.0,
            Unit::Seconds => 1_000.0,
            Unit::Minutes => 60_000.0,
            Unit::Hours => 3_600_000.0,
            Unit::Days => 86_400_000.0,
        }
    }

    fn duration(self, number: f64) -> Duration {
        // In bounds: every range given to `decimal` is positive and far below what u64 milliseconds hold.
        Duration::from_millis((number * self.milliseconds()).round() as u64)
    }

    /// The number that [`Source::decimal`] reads as this duration.
    pub(super) fn show(self, duration: Duration) -> String {
        (duration.as_secs_f64() * 1_000.0 / self.milliseconds()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn empty_counts_as_unset() {
        let vars = vars(&[("PORT", "  "), ("JWT_ACCESS_SECRET", "")]);
        let mut source = Source::new(&vars, Vec::new());
        assert_eq!(source.integer("PORT", 7_u16, 0..=9), 7);
        assert!(source.secret("JWT_ACCESS_SECRET").is_none());
        assert!(source.finish().is_ok());
    }

    #[test]
    fn decimals_are_plain_finite_and_in_range() {
        let read = |value: &str| {
            let vars = vars(&[("SESSION_TIMEOUT_MINUTES", value)]);
            let mut source = Source::new(&vars, Vec::new());
            let duration = source.decimal("SESSION_TIMEOUT_MINUTES", Unit::Minutes, 5.0, 0.001..=100.0);
            source.finish().ok().map(|_| duration)
        };
        assert_eq!(read("0.05"), Some(Duration::from_secs(3)));
        assert_eq!(read("100"), Some(Duration::from_secs(6000)));
        for refused in ["0", "-1", "inf", "NaN", "1e1", "100.1", "5m", "1,5", "."] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let value = "é".repeat(500);
        let vars = HashMap::from([("PORT".to_owned(), value)]);
        let mut source = Source::new(&vars, Vec::new());
        source.integer("PORT", 1_u16, 0..=9);
        let told = source.finish().unwrap_err().to_string();
        assert!(told.len() < 300 && told.contains('…'), "{told}");
    }
}
