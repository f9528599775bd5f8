//! Access tokens whose signature was checked before: the same token shown again need not be checked again.
//!
//! A client shows one token hundreds of times. Found by a part of its signature and then compared in full, so that
//! nothing but the very same token is taken for it. Its time is checked at every use, by the caller.
//!
//! Bound: [`MAX_TOKENS`]; past that expired ones go, and if none has, all go.

use dashmap::DashMap;

use super::access_token::AccessClaims;
use crate::domain::time::Timestamp;

/// Most tokens held: about 600 bytes each.
const MAX_TOKENS: usize = 100_000;
/// Characters of the signature that a token is found by: 96 bits.
const KEY_LENGTH: usize = 16;

type Key = [u8; KEY_LENGTH];

#[derive(Debug)]
struct Verified {
    token: Box<str>,
    claims: AccessClaims,
    expires: i64,
}

/// Tokens that were found good.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens(DashMap<Key, Verified>);

impl VerifiedTokens {
    /// What the token says and when it expires (in seconds), if its signature was checked before.
    pub(super) fn lookup(&self, token: &str) -> Option<(AccessClaims, i64)> {
        let known = self.0.get(&key_of(token)?)?;
        (*known.token == *token).then_some((known.claims, known.expires))
    }

    /// Remembers a token whose signature was just checked.
    pub(super) fn add(&self, token: &str, claims: AccessClaims, expires: i64, now: Timestamp) {
        let Some(key) = key_of(token) else { return };
        if self.0.len() >= MAX_TOKENS {
            self.0.retain(|_, known| known.expires > now.seconds());
            if self.0.len() >= MAX_TOKENS {
                self.0.clear();
            }
        }
        self.0.insert(key, Verified { token: token.into(), claims, expires });
    }
}

/// The last characters, which belong to the signature and are as good as random.
fn key_of(token: &str) -> Option<Key> {
    token.as_bytes().last_chunk::<KEY_LENGTH>().copied()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::{SessionId, SessionToken, UserId};

    #[test]
    fn only_the_very_same_token_is_known() {
        let claims = AccessClaims {
            user: UserId::new(Uuid::from_u128(1)),
            session: SessionId::new(Uuid::from_u128(2)),
            token: SessionToken::new(Uuid::from_u128(3)),
        };
        let tokens = VerifiedTokens::default();
        tokens.add("header.claims.0123456789abcdef", claims, 9, Timestamp::default());
        assert_eq!(tokens.lookup("header.claims.0123456789abcdef"), Some((claims, 9)));
        assert_eq!(tokens.lookup("header.forged.0123456789abcdef"), None);
        assert_eq!(tokens.lookup("short"), None);
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let claims = AccessClaims {
            user: UserId::new(Uuid::nil()),
            session: SessionId::new(Uuid::nil()),
            token: SessionToken::new(Uuid::nil()),
        };
        let tokens = VerifiedTokens::default();
        for number in 0..=MAX_TOKENS + 10 {
            tokens.add(&format!("{number:020}"), claims, i64::MAX, Timestamp::default());
        }
        assert!(tokens.0.len() <= MAX_TOKENS);
        assert!(tokens.lookup(&format!("{:020}", MAX_TOKENS + 10)).is_some());
    }
}
