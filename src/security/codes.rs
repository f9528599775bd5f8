//! Codes in mails: 8 digits, a function of the secret and of the request. None is stored, so nobody can
//! read one.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use uuid::Uuid;

use super::encryption::{Encryption, EncryptionError, Purpose};
use crate::domain::mail::CodePurpose;
use crate::domain::time::Timestamp;

/// How many codes there are: those of 8 digits.
const CODES: u64 = 100_000_000;

/// What a code is derived from.
#[derive(Clone, Copy)]
pub struct CodeOf<'a> {
    /// Its purpose.
    pub purpose: CodePurpose,
    /// Where it goes.
    pub address: &'a str,
    /// When it was requested.
    pub at: Timestamp,
    /// The request's random id.
    pub request: Uuid,
}

impl Encryption {
    /// The code to mail.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn code(&self, of: CodeOf<'_>) -> Result<String, EncryptionError> {
        let at = of.at.millis().to_be_bytes();
        self.mac(Purpose::MailCode, &parts(&of, &at)).map(digits)
    }

    /// Whether it is the code, in a time that does not depend on how much of it was right.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn is_code(&self, of: CodeOf<'_>, given: &str) -> Result<bool, EncryptionError> {
        let at = of.at.millis().to_be_bytes();
        // People may group digits with blanks or dashes.
        let given: String = given.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        let codes = self.macs(Purpose::MailCode, &parts(&of, &at))?.into_iter().map(digits);
        let equal = |code: String| verify_slices_are_equal(code.as_bytes(), given.as_bytes()).is_ok();
        Ok(codes.fold(false, |found, code| equal(code) | found))
    }
}

fn parts<'a>(of: &'a CodeOf<'_>, at: &'a [u8; 8]) -> [&'a [u8]; 4] {
    [of.purpose.as_str().as_bytes(), of.address.as_bytes(), at, of.request.as_bytes()]
}

/// The bias of the remainder is less than one in 10^11.
fn digits(mac: [u8; 32]) -> String {
    let number = mac[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:08}", number % CODES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EncryptionConfig, Secret};

    fn keys(secret: &str, previous: &[&str]) -> Encryption {
        let previous = previous.iter().map(|secret| Secret::new(*secret)).collect();
        Encryption::new(&EncryptionConfig { secret: Some(Secret::new(secret)), previous }).unwrap()
    }

    #[test]
    fn a_code_is_good_for_what_it_was_made_for_alone() {
        let keys = keys("one", &[]);
        let of = CodeOf {
            purpose: CodePurpose::PasswordReset,
            address: "ada@example.com",
            at: Timestamp::from_millis(1_700_000_000_000),
            request: Uuid::from_u128(7),
        };
        let code = keys.code(of).unwrap();
        assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(keys.is_code(of, &code).unwrap());
        assert!(keys.is_code(of, &format!("{} {}", &code[..4], &code[4..])).unwrap());
        for other in [
            CodeOf { purpose: CodePurpose::EmailChange, ..of },
            CodeOf { address: "eve@example.com", ..of },
            CodeOf { at: Timestamp::from_millis(1_700_000_000_001), ..of },
            CodeOf { request: Uuid::from_u128(8), ..of },
        ] {
            assert!(!keys.is_code(other, &code).unwrap());
        }
        assert!(!keys.is_code(of, "").unwrap() && !keys.is_code(of, &code[..7]).unwrap());
    }

    #[test]
    fn a_code_outlives_a_change_of_the_secret() {
        let of = CodeOf {
            purpose: CodePurpose::Signup,
            address: "ada@example.com",
            at: Timestamp::default(),
            request: Uuid::nil(),
        };
        let code = keys("old", &[]).code(of).unwrap();
        assert!(keys("new", &["old"]).is_code(of, &code).unwrap());
        assert!(!keys("new", &[]).is_code(of, &code).unwrap());
    }
}
