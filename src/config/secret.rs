//! Text that must not be seen: signing secrets, and addresses that contain a password.
//!
//! It must never show its content: no `Display`, no `Serialize`, and a `Debug` that shows only the length.

use std::fmt;

/// The shortest signing secret, in bytes: as long as the HMAC-SHA-256 it keys.
pub(super) const SHORTEST: usize = 32;

/// A string whose content only [`Secret::expose`] returns.
///
/// Equality is for comparing settings and is not constant-time: never check a caller's proof with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The content, for the code that signs or connects with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What `config check` shows for it.
    pub(super) fn masked(&self) -> String {
        format!("({} bytes)", self.0.len())
    }

    /// Why it is unfit for signing, as the words after "wants".
    pub(super) fn weakness(&self) -> Option<&'static str> {
        if self.0.len() < SHORTEST {
            Some("at least 32 random bytes (openssl rand -hex 32)")
        } else if is_well_known(&self.0) || is_pattern(self.0.as_bytes()) {
            Some("one that is neither well-known nor easy to guess (openssl rand -hex 32)")
        } else {
            None
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Secrets from examples, tutorials and templates, in lower case and without separators. Whatever contains
/// one is refused.
const WELL_KNOWN: &[&str] = &[
    "accesssecrethere",
    "astringsecretatleast",
    "changein",
    "changeme",
    "changethis",
    "correcthorsebatterystaple",
    "defaultsecret",
    "developmentaccess",
    "developmentrefresh",
    "developmentsecret",
    "devaccesssecret",
    "devrefreshsecret",
    "devsecret",
    "donotuse",
    "examplesecret",
    "insecure",
    "keyboardcat",
    "mysecret",
    "notasecret",
    "notforproduction",
    "placeholder",
    "refreshsecrethere",
    "replaceme",
    "replacethis",
    "replacewith",
    "secretkeyhere",
    "supersecret",
    "thisisasecret",
    "thisismysecret",
    "youraccess",
    "yourjwt",
    "yourrefresh",
    "yoursecret",
    "yoursupersecret",
    "your256bit",
];

/// Words that are refused if nothing but digits and punctuation is added to them.
const WELL_KNOWN_STEMS: &[&str] = &[
    "secret",
    "jwtsecret",
    "secretkey",
    "jwtsecretkey",
    "accesssecret",
    "refreshsecret",
    "jwtaccesssecret",
    "jwtrefreshsecret",
    "accesstokensecret",
    "refreshtokensecret",
    "password",
    "letmein",
    "qwerty",
    "admin",
    "test",
    "testsecret",
];

fn is_well_known(secret: &str) -> bool {
    let letters = |keep: fn(&char) -> bool| secret.to_lowercase().chars().filter(keep).collect::<String>();
    let plain = letters(|c| c.is_alphanumeric());
    let stem = letters(|c| c.is_alphabetic());
    WELL_KNOWN.iter().any(|known| plain.contains(known)) || WELL_KNOWN_STEMS.contains(&stem.as_str())
}

/// Whether it has few distinct characters, repeats a short unit, or runs through the alphabet.
fn is_pattern(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let distinct = seen.iter().filter(|seen| **seen).count();
    let repeats = (1..=8).any(|unit| bytes.iter().zip(&bytes[unit..]).all(|(a, b)| a == b));
    let steps = bytes.windows(2).filter(|pair| pair[0].checked_add(1) == Some(pair[1])).count();
    distinct < 8 || repeats || steps * 4 > bytes.len() * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_the_length_alone() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(7 bytes)");
    }

    #[test]
    fn random_secrets_are_strong() {
        for strong in [
            "9f2c7a51e08b4d6633c1a0f5be7d2894c3b2f9a6675d41e80b1c2d3e4f5a6978",
            "pV3kq9Zr1xW8mT5yB7nC2dF4gH6jL0sA",
            "c2Vzc2lvbi1rZXktb2YtdGhlLXRlc3RzIQ+/xQ==",
        ] {
            assert_eq!(Secret::new(strong).weakness(), None, "{strong}");
        }
    }

    #[test]
    fn the_bound_is_in_bytes() {
        let strong = "pV3kq9Zr1xW8mT5yB7nC2dF4gH6jL0sA";
        assert!(Secret::new(&strong[1..]).weakness().is_some());
        assert!(Secret::new(strong).weakness().is_none());
    }

    #[test]
    fn known_and_patterned_secrets_are_weak() {
        for weak in [
            "your-256-bit-secret-your-256-bit-secret",
            "development-access-secret-change-in-production",
            "Change_Me_Change_Me_Change_Me_Now_123",
            "a-string-secret-at-least-256-bits-long",
            "secret-00000000000000000000000000000000001",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "secretsecretsecretsecretsecretsecretsecret",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz012345",
        ] {
            assert!(Secret::new(weak).weakness().is_some(), "{weak}");
        }
    }
}
