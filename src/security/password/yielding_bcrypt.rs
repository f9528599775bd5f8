//! bcrypt that yields: after every few rounds the thread offers its core to other threads that are ready to
//! run.
//!
//! A hash occupies a core for tenths of a second, and the scheduler lets a running thread continue for
//! milliseconds, whatever its priority. With hashes on all cores each session check could have to wait
//! that long: see docs/performance.md. The crate `bcrypt` cannot stop in between, so its loop is
//! reimplemented here, on the same block cipher; the text form of hashes is still the crate's. Both make
//! the same hashes, which is tested.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use bcrypt::{BASE_64, HashParts};
use blowfish::Blowfish;
use zeroize::Zeroizing;

use super::{MAX_COST, MIN_COST, Password, PasswordError};
use crate::domain::user::PASSWORD_MAX_BYTES;

/// Rounds between two yields; one takes 35 to 70 µs. With 32 the wait is noticeable, with 2 it is no
/// shorter than with this.
const ROUNDS_AT_A_STRETCH: u32 = 8;
const SALT_BYTES: usize = 16;
/// bcrypt computes 24 and has always returned 23.
const HASH_BYTES: usize = 23;
/// Where the hash begins in its text form, after version, cost and salt.
const HASH_BEGINS: usize = 29;
/// "OrpheanBeholderScryDoubt": what bcrypt encrypts.
const PLAIN: [[u32; 2]; 3] =
    [[0x4f72_7068, 0x6561_6e42], [0x6568_6f6c, 0x6465_7253], [0x6372_7944, 0x6f75_6274]];

/// A new hash with a random salt, as text of version `2b`.
///
/// # Errors
/// [`PasswordError::Failed`] if bcrypt has no such cost, or the system no random bytes.
pub(super) fn hash(password: &Password, cost: u32) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| PasswordError::Failed)?;
    let hash = digest(password, cost, salt)?;
    Ok(format!("$2b${cost:02}${}{}", BASE_64.encode(salt), BASE_64.encode(hash)))
}

/// Whether that is the password that was hashed. Compares in constant time.
///
/// # Errors
/// [`PasswordError::Failed`] if the text is not a bcrypt hash.
pub(super) fn verify(password: &Password, text: &str) -> Result<bool, PasswordError> {
    let parts: HashParts = text.parse().map_err(|_| PasswordError::Failed)?;
    let stored = text.get(HASH_BEGINS..).ok_or(PasswordError::Failed)?;
    let found = BASE_64.encode(digest(password, parts.get_cost(), parts.get_salt_raw())?);
    Ok(verify_slices_are_equal(found.as_bytes(), stored.as_bytes()).is_ok())
}

/// The password is hashed as a string that ends with a NUL, if that fits.
fn digest(password: &Password, cost: u32, salt: [u8; SALT_BYTES]) -> Result<[u8; HASH_BYTES], PasswordError> {
    let text = password.0.as_bytes();
    if !(MIN_COST..=MAX_COST).contains(&cost) || text.len() > PASSWORD_MAX_BYTES {
        return Err(PasswordError::Failed);
    }
    let mut key = Zeroizing::new([0; PASSWORD_MAX_BYTES]);
    key[..text.len()].copy_from_slice(text);
    let cipher = expensive_key(cost, &salt, &key[..PASSWORD_MAX_BYTES.min(text.len() + 1)]);
    let mut hash = [0; HASH_BYTES + 1];
    for (block, place) in PLAIN.into_iter().zip(hash.chunks_exact_mut(8)) {
        let [left, right] = (0..64).fold(block, |block, _| cipher.bc_encrypt(block));
        place[..4].copy_from_slice(&left.to_be_bytes());
        place[4..].copy_from_slice(&right.to_be_bytes());
    }
    let [hash @ .., _] = hash;
    Ok(hash)
}

/// Provos and Mazières, "A Future-Adaptable Password Scheme" (1999): `EksBlowfishSetup`.
fn expensive_key(cost: u32, salt: &[u8], key: &[u8]) -> Blowfish {
    let mut cipher = Blowfish::bc_init_state();
    cipher.salted_expand_key(salt, key);
    for round in 0..1_u32 << cost {
        if round % ROUNDS_AT_A_STRETCH == 0 {
            std::thread::yield_now();
        }
        cipher.bc_expand_key(key);
        cipher.bc_expand_key(salt);
    }
    cipher
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::parse_attempt(text.to_owned()).unwrap()
    }

    /// From jBCrypt's tests, via the crate `bcrypt`.
    #[test]
    fn hashes_of_others_are_known() {
        let hash = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";
        assert_eq!(verify(&password("a"), hash), Ok(true));
        assert_eq!(verify(&password("b"), hash), Ok(false));
        assert_eq!(verify(&password("a"), &hash[..59]), Err(PasswordError::Failed));
        for cost in ["03", "32"] {
            let hash = hash.replace("$06$", &format!("${cost}$"));
            assert_eq!(verify(&password("a"), &hash), Err(PasswordError::Failed), "{cost}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None,
            ..proptest::prelude::ProptestConfig::with_cases(200)
        })]

        #[test]
        fn it_is_the_bcrypt_of_the_crate(
            text in "[^\0]{1,72}", cost in 4..7_u32, salt: [u8; SALT_BYTES],
        ) {
            proptest::prop_assume!(text.len() <= PASSWORD_MAX_BYTES);
            let theirs = bcrypt::hash_with_salt(&text, cost, salt).unwrap().to_string();
            proptest::prop_assert_eq!(verify(&password(&text), &theirs), Ok(true));
            let ours = hash(&password(&text), cost).unwrap();
            proptest::prop_assert!(bcrypt::verify(&text, &ours).unwrap());
            proptest::prop_assert!(ours.parse::<HashParts>().unwrap().to_string() == ours);
            let other = format!("{text}x");
            if let Ok(other) = Password::parse_attempt(other) {
                proptest::prop_assert_eq!(verify(&other, &theirs), Ok(false));
            }
        }
    }

    #[test]
    fn the_longest_password_is_hashed_whole() {
        for length in 71..=PASSWORD_MAX_BYTES {
            let text = "x".repeat(length);
            let ours = hash(&password(&text), 4).unwrap();
            assert!(bcrypt::verify(&text, &ours).unwrap());
            assert_eq!(verify(&password(&text[1..]), &ours), Ok(false), "{length}");
        }
    }
}
