//! Codes of authenticator apps (RFC 6238: SHA-1, 6 digits, 30 s). Which steps were used already is stored
//! in the database.

use aws_lc_rs::rand;
use totp_rs::{Algorithm, Builder, Secret, Totp, TotpError};

use super::encryption::{Encryption, EncryptionError, Purpose};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// Length of a step, in seconds.
const STEP_SECONDS: u64 = 30;
const DIGITS: usize = 6;
/// Bytes of a secret: as many as the HMAC's output has (RFC 4226, section 4, R6).
const SECRET_BYTES: usize = 20;

/// The secret that an app and the service share. Shown to the person once, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Vec<u8>);

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpSecret(hidden)")
    }
}

/// Where a sealed secret is stored: it can be opened only for that row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The row of an app that is not confirmed yet.
    Pending,
    /// The row of the user's confirmed app.
    Confirmed,
}

impl Place {
    fn row(self, user: UserId) -> Vec<u8> {
        let kind: &[u8] = match self {
            Self::Pending => b"pending",
            Self::Confirmed => b"confirmed",
        };
        [user.uuid().as_bytes(), kind].concat()
    }
}

/// No secret can be generated, because the system provides no randomness.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gave no randomness")]
pub struct NoRandomness;

impl TotpSecret {
    /// A new secret of 160 random bits.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = vec![0; SECRET_BYTES];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The secret as it is stored.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn seal(&self, keys: &Encryption, user: UserId, place: Place) -> Result<Vec<u8>, EncryptionError> {
        keys.seal(Purpose::TotpSecret, &place.row(user), &self.0)
    }

    /// Opens a stored secret.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn open(
        keys: &Encryption,
        user: UserId,
        place: Place,
        sealed: &[u8],
    ) -> Result<Self, EncryptionError> {
        let opened = keys.open(Purpose::TotpSecret, &place.row(user), sealed)?;
        Ok(Self(opened.content.to_vec()))
    }

    /// The sealed value, resealed with the newest secret; `None` if the newest has sealed it.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn rewrap(
        keys: &Encryption,
        user: UserId,
        place: Place,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, EncryptionError> {
        let opened = keys.open(Purpose::TotpSecret, &place.row(user), sealed)?;
        let anew = || keys.seal(Purpose::TotpSecret, &place.row(user), &opened.content);
        (!opened.is_current).then(anew).transpose()
    }

    /// The secret in base32, to be typed in.
    #[must_use]
    pub fn base32(&self) -> String {
        Secret::from(self.0.clone()).to_base32()
    }

    /// What an app reads from a QR code.
    ///
    /// # Errors
    /// [`TotpError`] if the account has no name.
    pub fn otpauth_uri(&self, issuer: &str, account: &str) -> Result<String, TotpError> {
        // A colon separates the two.
        let plain = |text: &str| text.replace(':', " ");
        let builder = Builder::new().with_secret(self.0.clone()).with_account_name(plain(account));
        builder.with_issuer(Some(plain(issuer))).build()?.to_url()
    }

    /// The step that the code belongs to: the current one or the one before. `None` for any other, and
    /// for text that is not a code.
    #[must_use]
    pub fn matching_step(&self, code: &str, now: Timestamp) -> Option<i64> {
        let code = code.trim();
        if code.len() != DIGITS {
            return None;
        }
        let totp = self.totp()?;
        let now = u64::try_from(now.seconds()).ok()?;
        let matches = |time: Option<u64>| time.and_then(|time| totp.check(code, time));
        // Both are always compared, so that the time does not reveal which one it was.
        let (present, before) = (matches(Some(now)), matches(now.checked_sub(STEP_SECONDS)));
        present.or(before).and_then(|step| i64::try_from(step).ok())
    }

    fn totp(&self) -> Option<Totp> {
        let builder = Builder::new().with_algorithm(Algorithm::SHA1).with_secret(self.0.clone());
        // The crate's window would also accept the next step.
        builder.with_skew(0).with_step_duration(STEP_SECONDS).build().ok()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::config::{EncryptionConfig, Secret};

    /// RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = TotpSecret(b"12345678901234567890".to_vec());
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let at = |seconds: i64| secret.matching_step(code, Timestamp::from_millis(seconds * 1000));
            let step = seconds / 30;
            assert_eq!(at(seconds), Some(step));
            assert_eq!(at(step * 30 + 30), Some(step), "the step before is taken");
            assert_eq!(at(step * 30 + 59), Some(step));
            assert_eq!(at(step * 30 + 60), None, "an older one is not");
            assert_eq!(at(step * 30 - 1), None, "nor is one to come");
        }
    }

    #[test]
    fn what_is_no_code_matches_nothing() {
        let secret = TotpSecret(b"12345678901234567890".to_vec());
        let now = Timestamp::from_millis(59_000);
        assert_eq!(secret.matching_step(" 287082\n", now), Some(1));
        for text in ["", "28708", "2870820", "+87082", "28708a", "٢٨٧٠٨٢"] {
            assert_eq!(secret.matching_step(text, now), None, "{text:?}");
        }
    }

    #[test]
    fn a_sealed_secret_opens_in_its_place_alone() {
        let secret = Some(Secret::new("a secret"));
        let keys = Encryption::new(&EncryptionConfig { secret, previous: Vec::new() }).unwrap();
        let [ada, bob] = [1, 2].map(|id| UserId::new(Uuid::from_u128(id)));
        let secret = TotpSecret::generate().unwrap();
        let sealed = secret.seal(&keys, ada, Place::Pending).unwrap();
        let open = |user, place| TotpSecret::open(&keys, user, place, &sealed);
        assert_eq!(open(ada, Place::Pending), Ok(secret));
        for (user, place) in [(ada, Place::Confirmed), (bob, Place::Pending)] {
            assert_eq!(open(user, place), Err(EncryptionError::Damaged));
        }
    }

    #[test]
    fn an_app_is_given_what_it_needs() {
        let secret = TotpSecret(b"12345678901234567890".to_vec());
        assert_eq!(
            secret.otpauth_uri("auth:eu", "ada@example.com").unwrap(),
            "otpauth://totp/auth%20eu:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=auth%20eu"
        );
        assert_eq!(secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_ne!(TotpSecret::generate().unwrap(), TotpSecret::generate().unwrap());
        assert_eq!(format!("{secret:?}"), "TotpSecret(hidden)");
    }
}
