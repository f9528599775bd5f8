//! Access tokens whose signature was checked before: when the same token is presented again it need not
//! be checked again.
//!
//! A client presents one token hundreds of times. A token is identified by a keyed hash of all of it
//! (SipHash-1-3 with 128 bits, its key made at startup and kept secret), so that only the very same token
//! is taken for it. A forger never sees a hash, and a guess matches one of a million tokens with a chance of
//! 2⁻¹⁰⁸. Its time is checked at every use, by the caller.
//!
//! Bound: [`MAX_TOKENS`]; beyond that those are removed that were not presented recently.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use siphasher::sip128::SipHasher13;

use super::claims::AccessClaims;

/// Most tokens held, about 100 bytes each. As many as users may be resident by default.
const MAX_TOKENS: usize = 1_000_000;
/// How many there is room for at startup.
const USUAL_TOKENS: usize = 1_000;

#[derive(Clone, Copy, Debug)]
struct Verified {
    claims: AccessClaims,
    expires: i64,
}

/// Takes part of a key as its hash, because the key is one.
#[derive(Default)]
struct IsHashed(u64);

impl Hasher for IsHashed {
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        // No key is hashed in pieces.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Tokens that were found valid.
pub(super) struct VerifiedTokens {
    known: Cache<u128, Verified, UnitWeighter, BuildHasherDefault<IsHashed>>,
    key: [u8; 16],
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self::bounded(MAX_TOKENS)
    }
}

impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl VerifiedTokens {
    fn bounded(most: usize) -> Self {
        Self {
            known: Cache::with(
                USUAL_TOKENS,
                most as u64,
                UnitWeighter,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
            key: rand::random(),
        }
    }

    /// The token's claims and when it expires (in seconds), if its signature was checked before.
    pub(super) fn lookup(&self, token: &[u8]) -> Option<(AccessClaims, i64)> {
        self.known.get(&self.hash(token)).map(|known| (known.claims, known.expires))
    }

    /// Remembers a token whose signature was just checked.
    pub(super) fn add(&self, token: &[u8], claims: AccessClaims, expires: i64) {
        self.known.insert(self.hash(token), Verified { claims, expires });
    }

    fn hash(&self, token: &[u8]) -> u128 {
        SipHasher13::new_with_key(&self.key).hash(token).as_u128()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::{SessionId, SessionToken, UserId};

    fn claims(number: u128) -> AccessClaims {
        AccessClaims {
            user: UserId::new(Uuid::from_u128(number)),
            session: SessionId::new(Uuid::from_u128(number + 1)),
            token: SessionToken::new(Uuid::from_u128(number + 2)),
            generation: 1,
        }
    }

    #[test]
    fn only_the_very_same_token_is_known() {
        let tokens = VerifiedTokens::default();
        tokens.add(b"header.claims.0123456789abcdef", claims(1), 9);
        assert_eq!(tokens.lookup(b"header.claims.0123456789abcdef"), Some((claims(1), 9)));
        assert_eq!(tokens.lookup(b"header.forged.0123456789abcdef"), None);
        assert_eq!(tokens.lookup(b"header.claims.0123456789abcde"), None);
    }

    #[test]
    fn each_process_knows_them_by_another_hash() {
        let hash = || VerifiedTokens::default().hash(b"header.claims.signature");
        assert_ne!(hash(), hash());
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let tokens = VerifiedTokens::bounded(1_000);
        for number in 0..5_000 {
            tokens.add(format!("{number:020}").as_bytes(), claims(number), i64::MAX);
        }
        assert!((500..=1_000).contains(&tokens.known.len()), "{}", tokens.known.len());
        assert!((4_000..5_000).any(|number| tokens.lookup(format!("{number:020}").as_bytes()).is_some()));
    }
}
