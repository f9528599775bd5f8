//! Looks up variables, parses them, and collects the errors instead of stopping at the first.
//!
//! A variable's form and default come from its declaration ([`super::declared`]). It must never put a
//! secret's content into an error, a warning or the listing. A refused value is replaced by its default, so
//! that the rest can be checked too; [`Source::finish`] then returns the errors and nothing else.

mod typed;

use std::collections::{HashMap, HashSet};

use super::variables::{Kind, Variables};
use super::{ConfigError, ConfigErrors, Secret, near_miss};
use crate::domain::user::Role;

/// Variables with their effective values, written as they could be set again.
pub(super) type Listing = Vec<(&'static str, String)>;

/// How much of a refused value is shown, in characters.
const SHOWN: usize = 80;

pub(super) struct Source<'a> {
    vars: &'a HashMap<String, String>,
    declared: &'static Variables,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
    listing: Listing,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        vars: &'a HashMap<String, String>,
        declared: &'static Variables,
        errors: Vec<ConfigError>,
    ) -> Self {
        Source { vars, declared, errors, warnings: Vec::new(), listing: Vec::new() }
    }

    /// The warnings and the effective values, if there were no errors.
    pub(super) fn finish(mut self) -> Result<(Vec<String>, Listing), ConfigErrors> {
        if !self.errors.is_empty() {
            return Err(ConfigErrors(self.errors));
        }
        self.list_the_rest();
        let declared = self.declared;
        self.listing.sort_by_key(|(name, _)| declared.position(name));
        Ok((self.warnings, self.listing))
    }

    pub(super) fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Refuses a value that may be shown.
    pub(super) fn refuse(&mut self, name: &'static str, value: &str, wants: impl Into<String>) {
        self.errors.push(ConfigError::new(name, quoted(value), wants));
    }

    /// Refuses a value of which only the length may be shown.
    pub(super) fn refuse_secret(&mut self, name: &'static str, length: usize, wants: impl Into<String>) {
        let got = format!("a secret of {length} bytes");
        self.errors.push(ConfigError::new(name, got, wants));
    }

    pub(super) fn refuse_missing(&mut self, name: &'static str, wants: impl Into<String>) {
        let got = match near_miss::meant_for(self.declared, self.vars.keys(), name) {
            Some(mistyped) => format!("nothing, but {mistyped} is set"),
            None => "nothing".to_owned(),
        };
        self.errors.push(ConfigError::new(name, got, wants));
    }

    /// Records the effective value, for `config check`. The typed readers in `typed` do it themselves.
    pub(super) fn list_value(&mut self, name: &'static str, value: impl Into<String>) {
        let variable = self.declared.get(name);
        debug_assert!(!variable.setting.secret, "{name} is a secret: use list_secret");
        self.note(name, value.into());
    }

    /// Records an address without a password, for a setting whose addresses may have one.
    pub(super) fn list_address(&mut self, name: &'static str, address: String) {
        self.note(name, address);
    }

    /// Records a secret's length.
    pub(super) fn list_secret(&mut self, name: &'static str, secret: Option<&Secret>) {
        self.note(name, secret.map(Secret::masked).unwrap_or_default());
    }

    /// Records the length of each of several secrets.
    pub(super) fn list_secrets(&mut self, name: &'static str, secrets: &[Secret]) {
        self.note(name, secrets.iter().map(Secret::masked).collect::<Vec<_>>().join(","));
    }

    /// Lists what the sections did not list themselves: it takes effect as given.
    fn list_the_rest(&mut self) {
        let listed: HashSet<_> = self.listing.iter().map(|(name, _)| *name).collect();
        let rest = self.declared.iter().filter(|variable| {
            let itself = variable.kind == Kind::Itself && variable.setting.stands_for.is_none();
            itself && !listed.contains(variable.name)
        });
        for variable in rest {
            match self.text(variable.name).unwrap_or_default() {
                text if variable.setting.secret && !text.is_empty() => {
                    self.list_secret(variable.name, Some(&Secret::new(text)));
                }
                text => self.note(variable.name, text.to_owned()),
            }
        }
    }

    fn note(&mut self, name: &'static str, value: String) {
        let variable = self.declared.get(name);
        let of_role = matches!(variable.kind, Kind::OfRole(_));
        if !of_role || self.text(name).is_some() {
            self.listing.push((variable.setting.stands_for.unwrap_or(name), value));
        }
    }

    /// The value without surrounding whitespace; an empty one counts as not set.
    pub(super) fn text(&self, name: &'static str) -> Option<&'a str> {
        self.declared.get(name);
        let value = self.vars.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The value byte for byte, since another service may verify signatures with the same one.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let trimmed = self.text(name)?;
        let value = self.vars.get(name)?;
        let warning = format!(
            "{name} begins or ends with blanks or a line end: of its {} bytes {} are those, which are part of the secret \
             here, but not in a list of previous secrets",
            value.len(),
            value.len() - trimmed.len(),
        );
        if value.len() > trimmed.len() && !self.warnings.contains(&warning) {
            self.warn(warning);
        }
        Some(Secret::new(value.as_str()))
    }

    /// The non-empty members of a comma-separated list.
    pub(super) fn list(&self, name: &'static str) -> Vec<&'a str> {
        let members = self.text(name).unwrap_or_default().split(',');
        members.map(str::trim).filter(|member| !member.is_empty()).collect()
    }

    /// The name of a setting for one role.
    pub(super) fn of_role(&self, name: &'static str, role: Role) -> &'static str {
        self.declared.of_role(name, role)
    }
}

/// The form in which a value may be shown: in quotes, with control characters escaped, and truncated.
pub(super) fn quoted(value: &str) -> String {
    let cut = value.chars().take(SHOWN).collect::<String>();
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::declared::ALL;

    fn vars(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn empty_counts_as_unset() {
        let vars = vars(&[("PORT", "  "), ("JWT_ACCESS_SECRET", "")]);
        let mut source = Source::new(&vars, &ALL, Vec::new());
        assert_eq!(source.integer::<u16>("PORT"), 4001);
        assert!(source.secret("JWT_ACCESS_SECRET").is_none());
        assert!(source.finish().is_ok());
    }

    #[test]
    fn decimals_are_plain_finite_and_in_range() {
        let read = |value: &str| {
            let vars = vars(&[("SESSION_TIMEOUT_MINUTES", value)]);
            let mut source = Source::new(&vars, &ALL, Vec::new());
            let duration = source.decimal("SESSION_TIMEOUT_MINUTES");
            source.finish().ok().map(|_| duration)
        };
        assert_eq!(read("0.05"), Some(Duration::from_secs(3)));
        assert_eq!(read("525600"), Some(Duration::from_secs(525_600 * 60)));
        for refused in ["0", "-1", "inf", "NaN", "1e1", "525600.1", "5m", "1,5", "."] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_long_value_is_cut() {
        let value = "é".repeat(500);
        let vars = HashMap::from([("PORT".to_owned(), value)]);
        let mut source = Source::new(&vars, &ALL, Vec::new());
        source.integer::<u16>("PORT");
        let told = source.finish().unwrap_err().to_string();
        assert!(told.len() < 300 && told.contains('…'), "{told}");
    }
}
