//! What a new password must not be: too short, one of the most common, one that can be guessed from the
//! person's or the service's name, or one that is known from a breach. Existing passwords are not
//! checked.

mod breaches;

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use super::password::Password;
use crate::config::PasswordConfig;
use crate::io::Io;
use crate::telemetry::metrics::Metrics;
use breaches::Breaches;

/// Common passwords of 8 characters and more, in lower case, sorted by bytes. Source and licence are in
/// the same folder.
static COMMON: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("password_rules/common.txt").lines().collect());

/// A password is guessable if it has a guessable word and at most this many other characters.
const FURTHER: usize = 4;
/// Shorter words are in too many passwords to make them guessable.
const SHORTEST_WORD: usize = 3;

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeakPassword {
    /// It is shorter than this service requires.
    TooShort,
    /// It is one of the most common.
    TooCommon,
    /// It is hardly more than the person's or the service's name.
    TooGuessable,
    /// It is known from a breach.
    Breached,
}

impl WeakPassword {
    /// Every reason, as [`crate::telemetry::metrics::Meters::passwords_refused`] counts it.
    pub const NAMES: &[&str] = &["too_short", "too_common", "too_guessable", "breached"];

    /// The code in answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooCommon => "too_common",
            Self::TooGuessable => "too_guessable",
            Self::Breached => "breached",
        }
    }

    /// The message for the person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooShort => "This password is too short.",
            Self::TooCommon => "This is one of the most common passwords; choose another one.",
            Self::TooGuessable => "This is too close to your name, your address or the name of this service.",
            Self::Breached => "This password is known from a data breach; choose another one.",
        }
    }
}

/// The rules of this service.
#[derive(Debug)]
pub struct PasswordRules {
    min_chars: usize,
    context: Vec<String>,
    breaches: Option<Breaches>,
    metrics: Metrics,
}

impl PasswordRules {
    /// The rules of the configuration.
    #[must_use]
    pub fn new(config: &PasswordConfig, service_name: &str, io: Io, metrics: Metrics) -> Self {
        let context = config.context_words.iter().map(String::as_str).chain([service_name]);
        Self {
            min_chars: config.min_length,
            context: context.flat_map(words).collect(),
            breaches: config.breach_url.clone().map(|url| Breaches::new(url, io)),
            metrics,
        }
    }

    /// Whether a new password is accepted; `person` is what is known of the person: name and address.
    ///
    /// # Errors
    /// [`WeakPassword`], counted.
    pub async fn check(&self, password: &Password, person: &[&str]) -> Result<(), WeakPassword> {
        self.check_here(password, person)?;
        self.check_breaches(password).await.inspect_err(|weak| self.count(*weak))
    }

    /// Checks the rules that need no other service: all except the breach list.
    ///
    /// # Errors
    /// [`WeakPassword`], counted.
    pub fn check_here(&self, password: &Password, person: &[&str]) -> Result<(), WeakPassword> {
        self.judge(password, person).inspect_err(|weak| self.count(*weak))
    }

    fn count(&self, weak: WeakPassword) {
        self.metrics.passwords_refused.with_label_values(&[weak.as_str()]).inc();
    }

    /// The length is that of the password as it was typed; a login takes the other form too, so neither may
    /// be a bad one.
    fn judge(&self, password: &Password, person: &[&str]) -> Result<(), WeakPassword> {
        if password.expose().chars().count() < self.min_chars {
            return Err(WeakPassword::TooShort);
        }
        let other = password.in_other_form();
        std::iter::once(password).chain(&other).try_for_each(|form| self.judge_form(form.expose(), person))
    }

    fn judge_form(&self, password: &str, person: &[&str]) -> Result<(), WeakPassword> {
        let lower = password.to_lowercase();
        if COMMON.binary_search(&lower.as_str()).is_ok() {
            Err(WeakPassword::TooCommon)
        } else if self.is_guessable(&lower, person) {
            Err(WeakPassword::TooGuessable)
        } else {
            Ok(())
        }
    }

    fn is_guessable(&self, lower: &str, person: &[&str]) -> bool {
        let length = lower.chars().count();
        let gives_away = |word: &str| lower.contains(word) && length - word.chars().count() <= FURTHER;
        let mut of_person = person.iter().flat_map(|text| words(text));
        self.context.iter().any(|word| gives_away(word)) || of_person.any(|word| gives_away(&word))
    }

    /// If the list does not answer in time the password is accepted, and the failure is counted.
    async fn check_breaches(&self, password: &Password) -> Result<(), WeakPassword> {
        let Some(breaches) = &self.breaches else { return Ok(()) };
        let other = password.in_other_form();
        for form in std::iter::once(password).chain(&other) {
            match breaches.holds(form.expose()).await {
                Ok(true) => return Err(WeakPassword::Breached),
                Ok(false) => {}
                Err(error) => {
                    self.metrics.breach_list_failures.inc();
                    tracing::warn!(%error, "password.breach_list_failed");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// What may be guessed from a name or an address: the whole, its parts, and the parts of the local part
/// joined by each separator or none. In composed form: a combining character would count as a separator.
fn words(text: &str) -> Vec<String> {
    let lower = text.trim().nfc().collect::<String>().to_lowercase();
    let mut found = vec![lower.clone()];
    let local = lower.rsplit_once('@').map_or(lower.as_str(), |(local, _)| local);
    let parts: Vec<_> = lower.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let of_local: Vec<_> = local.split(|c: char| !c.is_alphanumeric()).collect();
    found.push(local.to_owned());
    for separator in ["", ".", "-", "_"] {
        found.push(of_local.join(separator));
    }
    found.extend(parts.into_iter().map(str::to_owned));
    found.retain(|word| word.chars().count() >= SHORTEST_WORD);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(min_chars: usize, context: &[&str]) -> PasswordRules {
        let metrics = Metrics::new().unwrap();
        let context = context.iter().flat_map(|word| words(word)).collect();
        PasswordRules { min_chars, context, breaches: None, metrics }
    }

    fn password(text: &str) -> Password {
        Password::parse_attempt(text.to_owned()).unwrap()
    }

    #[test]
    fn the_list_is_sorted_long_and_of_long_ones() {
        assert!(COMMON.len() >= 8_000, "{}", COMMON.len());
        assert!(COMMON.is_sorted());
        for word in COMMON.iter() {
            assert!(word.chars().count() >= 8 && word.to_lowercase() == *word, "{word}");
        }
    }

    #[test]
    fn common_ones_are_refused_in_any_case() {
        let rules = rules(8, &[]);
        for common in ["12345678", "password", "PassWord", "iloveyou", "qwertyuiop", "password123"] {
            assert_eq!(rules.judge(&password(common), &[]), Err(WeakPassword::TooCommon), "{common}");
        }
        assert_eq!(rules.judge(&password("correct horse battery"), &[]), Ok(()));
    }

    #[test]
    fn names_with_little_more_are_refused() {
        let rules = rules(8, &["auth-service", "Acme"]);
        let ada = ["Ada Lovelace", "ada.lovelace@example.com"];
        for guessable in [
            "adalovelace",
            "Ada.Lovelace",
            "lovelace",
            "LOVELACE1815",
            "ada.lovelace@example.com",
            "auth-service!",
            "authservice2026",
            "acme2026",
        ] {
            assert_eq!(
                rules.judge(&password(guessable), &ada),
                Err(WeakPassword::TooGuessable),
                "{guessable}"
            );
        }
        for fine in ["lovelace and numbers", "lovelace18151", "acme is a fine place"] {
            assert_eq!(rules.judge(&password(fine), &ada), Ok(()), "{fine}");
        }
    }

    #[test]
    fn the_length_is_the_services_own() {
        assert_eq!(rules(12, &[]).judge(&password("elevenchars"), &[]), Err(WeakPassword::TooShort));
        assert_eq!(rules(12, &[]).judge(&password("twelve chars"), &[]), Ok(()));
    }
}
