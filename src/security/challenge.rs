//! Challenges for passkeys, signed so that nothing is stored when one is issued: its purpose, what it is
//! bound to and until when it is valid come back with the credential, because the client signs them.
//!
//! That a challenge is used only once is ensured where it is used, under [`Challenge::id`] or the login
//! ticket it is bound to.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::config::TokenConfig;
use crate::domain::time::Timestamp;

/// How long a challenge is valid.
pub const VALID_FOR: Duration = Duration::from_secs(300);
/// Clocks of two nodes may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Separates challenges from anything else signed with the secret: a JWT's first byte is never 0.
const LABEL: &[u8] = b"\0webauthn challenge\0";
/// Purpose, expiry, random part.
const SIGNED_BYTES: usize = 1 + 8 + 16;
/// Bytes of the tag that are used: enough that nobody can guess them.
const TAG_BYTES: usize = 16;

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Adding a passkey.
    Register,
    /// Signing in, or authenticating again.
    Authenticate,
}

impl Purpose {
    const fn byte(self) -> u8 {
        match self {
            Self::Register => 1,
            Self::Authenticate => 2,
        }
    }
}

/// A challenge that this service made and that is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The random part, which identifies it.
    pub id: Uuid,
    /// Until when it is valid.
    pub valid_until: Timestamp,
}

/// Makes and verifies challenges.
pub struct Challenges {
    /// The key of the secret that signs, then those that only verify.
    keys: Vec<hmac::Key>,
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges")
    }
}

impl Challenges {
    /// With the secret of the refresh tokens.
    #[must_use]
    pub fn new(config: &TokenConfig) -> Self {
        let secrets = std::iter::once(&config.refresh_secret).chain(&config.previous_refresh_secrets);
        let key =
            |secret: &crate::config::Secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        Self { keys: secrets.map(key).collect() }
    }

    /// A challenge bound to a user or a login ticket, as base64url.
    #[must_use]
    pub fn make(&self, purpose: Purpose, bound_to: Uuid, now: Timestamp) -> String {
        let mut challenge = Vec::with_capacity(SIGNED_BYTES + TAG_BYTES);
        challenge.push(purpose.byte());
        challenge.extend(now.plus(VALID_FOR).millis().to_be_bytes());
        challenge.extend(Uuid::new_v4().as_bytes());
        let tag = self.keys.first().map(|key| hmac::sign(key, &signed(&challenge, bound_to)));
        challenge.extend(tag.iter().flat_map(|tag| &tag.as_ref()[..TAG_BYTES]));
        URL_SAFE_NO_PAD.encode(challenge)
    }

    /// The challenge, if it was made here for that purpose and binding, and has not expired.
    #[must_use]
    pub fn verify(
        &self,
        challenge: &str,
        purpose: Purpose,
        bound_to: Uuid,
        now: Timestamp,
    ) -> Option<Challenge> {
        let bytes = URL_SAFE_NO_PAD.decode(challenge).ok()?;
        let (part, tag) = bytes.split_at_checked(SIGNED_BYTES)?;
        let message = signed(part, bound_to);
        let is_ours = self.keys.iter().any(|key| {
            let expected = hmac::sign(key, &message);
            aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..TAG_BYTES], tag).is_ok()
        });
        let valid_until = Timestamp::from_millis(i64::from_be_bytes(part[1..9].try_into().ok()?));
        let in_time = valid_until > now && valid_until <= now.plus(VALID_FOR + CLOCK_SKEW);
        let id = Uuid::from_slice(&part[9..]).ok()?;
        (is_ours && in_time && part[0] == purpose.byte()).then_some(Challenge { id, valid_until })
    }
}

fn signed(part: &[u8], bound_to: Uuid) -> Vec<u8> {
    [LABEL, part, bound_to.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const BOUND_TO: Uuid = Uuid::from_u128(7);

    fn challenges() -> Challenges {
        let secret = ("JWT_REFRESH_SECRET".to_owned(), "0123456789abcdef0123456789abcdef".to_owned());
        let access = ("JWT_ACCESS_SECRET".to_owned(), "fedcba9876543210fedcba9876543210".to_owned());
        Challenges::new(&Config::parse(&[secret, access].into()).unwrap().tokens)
    }

    #[test]
    fn a_challenge_is_good_for_what_it_was_made_for_and_for_its_time() {
        let challenges = challenges();
        let made = challenges.make(Purpose::Register, BOUND_TO, NOW);
        let verify = |purpose, bound_to, now| challenges.verify(&made, purpose, bound_to, now);
        let end = NOW.plus(VALID_FOR);
        assert_eq!(
            verify(Purpose::Register, BOUND_TO, NOW).map(|challenge| challenge.valid_until),
            Some(end)
        );
        assert!(verify(Purpose::Register, BOUND_TO, end.minus(Duration::from_millis(1))).is_some());
        assert_eq!(verify(Purpose::Register, BOUND_TO, end), None);
        assert_eq!(
            verify(Purpose::Register, BOUND_TO, NOW.minus(CLOCK_SKEW + Duration::from_millis(1))),
            None
        );
        assert_eq!(verify(Purpose::Authenticate, BOUND_TO, NOW), None);
        assert_eq!(verify(Purpose::Register, Uuid::from_u128(8), NOW), None);
        assert_ne!(made, challenges.make(Purpose::Register, BOUND_TO, NOW));
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let challenges = challenges();
        let made = URL_SAFE_NO_PAD.decode(challenges.make(Purpose::Authenticate, BOUND_TO, NOW)).unwrap();
        for bit in 0..made.len() * 8 {
            let mut changed = made.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(challenges.verify(&changed, Purpose::Authenticate, BOUND_TO, NOW), None, "bit {bit}");
        }
        let cut = URL_SAFE_NO_PAD.encode(&made[..made.len() - 1]);
        assert_eq!(challenges.verify(&cut, Purpose::Authenticate, BOUND_TO, NOW), None);
        assert_eq!(challenges.verify("", Purpose::Authenticate, BOUND_TO, NOW), None);
    }
}
