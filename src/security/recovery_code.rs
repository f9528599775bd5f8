//! Recovery codes: 120 random bits that are shown once and stored as a keyed hash. Guessing one is
//! infeasible, so attempts are not counted.

use aws_lc_rs::rand;

use super::encryption::{Encryption, EncryptionError, Purpose};
use crate::domain::ids::UserId;

/// Codes that are issued at a time.
pub const COUNT: usize = 10;
const RANDOM_BYTES: usize = 15;
/// Characters of a code, and of each group in which it is written.
const LENGTH: usize = RANDOM_BYTES * 8 / 5;
const GROUP: usize = 6;
/// Crockford's base32 in lower case: no i, l, o or u, which are easily misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A recovery code. Never printed except in the answer that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode([u8; LENGTH]);

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode(hidden)")
    }
}

impl RecoveryCode {
    /// A new code. `None` if the system provides no randomness.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let mut random = [0; RANDOM_BYTES];
        rand::fill(&mut random).ok()?;
        let mut code = [0; LENGTH];
        for (digits, bytes) in code.chunks_mut(8).zip(random.chunks(5)) {
            let bits = bytes.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for (place, digit) in digits.iter_mut().enumerate() {
                *digit = ALPHABET[usize::try_from(bits >> (35 - 5 * place) & 31).unwrap_or(0)];
            }
        }
        Some(Self(code))
    }

    /// A code as a person types it: in upper or lower case, with or without dashes and spaces, and with
    /// o, i and l read as digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = Vec::with_capacity(LENGTH);
        for character in text.chars().filter(|character| *character != '-' && !character.is_whitespace()) {
            let digit = match character.to_ascii_lowercase() {
                'o' => b'0',
                'i' | 'l' => b'1',
                other => u8::try_from(other).ok()?,
            };
            if code.len() == LENGTH || !ALPHABET.contains(&digit) {
                return None;
            }
            code.push(digit);
        }
        code.try_into().ok().map(Self)
    }

    /// The code as it is shown: groups with dashes between them.
    #[must_use]
    pub fn expose(&self) -> String {
        let groups = self.0.chunks(GROUP).map(|group| String::from_utf8_lossy(group).into_owned());
        groups.collect::<Vec<_>>().join("-")
    }
}

impl RecoveryCode {
    /// The hash that is stored of a user's new code.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn hash(&self, user: UserId, keys: &Encryption) -> Result<[u8; 32], EncryptionError> {
        keys.mac(Purpose::RecoveryCode, &[user.uuid().as_bytes(), &self.0])
    }

    /// The hashes that may be stored of it: earlier secrets made other hashes.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn hashes(&self, user: UserId, keys: &Encryption) -> Result<Vec<[u8; 32]>, EncryptionError> {
        keys.macs(Purpose::RecoveryCode, &[user.uuid().as_bytes(), &self.0])
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::config::{EncryptionConfig, Secret};

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = RecoveryCode::generate().unwrap();
        let shown = code.expose();
        assert_eq!(shown.len(), LENGTH + 3, "{shown}");
        let typed = [
            shown.clone(),
            shown.to_uppercase(),
            shown.replace('-', ""),
            shown.replace('-', " "),
            format!(" {shown}\n"),
            shown.replace('0', "O").replace('1', "l"),
        ];
        for typed in typed {
            assert_eq!(RecoveryCode::parse(&typed).as_ref(), Some(&code), "{typed}");
        }
        for text in ["", "0", &shown[1..], &format!("{shown}0"), &shown.replacen(&shown[..1], "u", 1), "é"] {
            assert_eq!(RecoveryCode::parse(text), None, "{text}");
        }
        assert_ne!(RecoveryCode::generate(), Some(code));
    }

    fn keys(secret: &str, previous: &[&str]) -> Encryption {
        let secret = Some(Secret::new(secret));
        let previous = previous.iter().map(|secret| Secret::new(*secret)).collect();
        Encryption::new(&EncryptionConfig { secret, previous }).unwrap()
    }

    #[test]
    fn a_hash_is_bound_to_its_user_and_its_secret() {
        let (old, new) = (keys("old", &[]), keys("new", &["old"]));
        let code = RecoveryCode::generate().unwrap();
        let [ada, bob] = [1, 2].map(|id| UserId::new(Uuid::from_u128(id)));
        let stored = code.hash(ada, &old).unwrap();
        assert!(code.hashes(ada, &new).unwrap().contains(&stored), "an earlier secret still verifies");
        assert_ne!(code.hash(ada, &new).unwrap(), stored, "and makes no new ones");
        assert_ne!(code.hash(bob, &old).unwrap(), stored);
    }
}
