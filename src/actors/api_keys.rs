//! The API keys this node knows. They are read with each poll of the feed of changes, so that a key
//! revoked anywhere is refused here within the bound on staleness; keys that were read longer ago than
//! that are not trusted.
//!
//! Bound: the table, a few rows; all of it is in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::freshness::Freshness;
use crate::clock::Moment;
use crate::domain::time::Timestamp;
use crate::security::api_key::{ApiKey, PresentedKey};

/// Why a key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// What this node knows is too old to be trusted.
    Stale,
    /// There is no such key, or it was revoked.
    Unknown,
    /// It was valid until a while ago.
    Expired,
}

/// Keys by id.
#[derive(Debug)]
pub struct ApiKeys {
    known: ArcSwap<HashMap<String, Arc<ApiKey>>>,
    freshness: Freshness,
}

impl ApiKeys {
    /// No keys yet; what is learned is trusted for `bound`, or for ever.
    #[must_use]
    pub fn new(bound: Option<Duration>) -> Self {
        Self { known: ArcSwap::default(), freshness: Freshness::new(bound) }
    }

    /// Takes over what the database contained when it was queried.
    pub fn learn(&self, keys: Vec<ApiKey>, asked: Moment) {
        let keep = |key: ApiKey| (key.id.clone(), Arc::new(key));
        let keys = keys.into_iter().filter(|key| key.revoked_at.is_none());
        self.known.store(Arc::new(keys.map(keep).collect()));
        self.freshness.looked(asked);
    }

    /// The key that a request came with.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    pub fn admit(&self, shown: PresentedKey<'_>, now: Timestamp) -> Result<Arc<ApiKey>, KeyRefusal> {
        let key = self.lookup(shown.id, now);
        match key {
            Ok(key) if !shown.matches(&key) => Err(KeyRefusal::Unknown),
            // Only a holder of the secret learns that the key existed.
            Err(KeyRefusal::Expired) if !self.is_expired_one(shown) => Err(KeyRefusal::Unknown),
            key => key,
        }
    }

    /// The key with that id, which was presented before.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    pub fn lookup(&self, id: &str, now: Timestamp) -> Result<Arc<ApiKey>, KeyRefusal> {
        if !self.freshness.is_fresh() {
            return Err(KeyRefusal::Stale);
        }
        match self.known.load().get(id) {
            None => Err(KeyRefusal::Unknown),
            Some(key) if key.expires_at.is_some_and(|end| end <= now) => Err(KeyRefusal::Expired),
            Some(key) => Ok(Arc::clone(key)),
        }
    }

    fn is_expired_one(&self, shown: PresentedKey<'_>) -> bool {
        self.known.load().get(shown.id).is_some_and(|key| shown.matches(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::api_key::{NewKey, Scope, Scopes};

    fn made(expires_at: Option<i64>) -> NewKey {
        let expires_at = expires_at.map(Timestamp::from_millis);
        NewKey::generate(None, Scopes::of(&[Scope::UsersRead]), Timestamp::default(), expires_at)
    }

    fn ask(keys: &ApiKeys, text: &str, at: i64) -> Result<String, KeyRefusal> {
        let shown = PresentedKey::parse(text.as_bytes()).unwrap();
        keys.admit(shown, Timestamp::from_millis(at)).map(|key| key.id.clone())
    }

    #[test]
    fn a_key_is_good_until_it_expires_or_is_revoked() {
        let keys = ApiKeys::new(None);
        let (one, other) = (made(Some(1_000)), made(None));
        keys.learn(vec![one.key.clone(), other.key.clone()], Moment::now());
        assert_eq!(ask(&keys, &one.text, 999), Ok(one.key.id.clone()));
        assert_eq!(ask(&keys, &one.text, 1_000), Err(KeyRefusal::Expired));
        assert_eq!(ask(&keys, &other.text, 1_000_000), Ok(other.key.id.clone()));
        let guess = format!("ak_{}_{}", one.key.id, "0".repeat(64));
        assert_eq!(ask(&keys, &guess, 1_000), Err(KeyRefusal::Unknown));
        assert_eq!(ask(&keys, &guess, 1), Err(KeyRefusal::Unknown));
        let revoked = ApiKey { revoked_at: Some(Timestamp::default()), ..other.key.clone() };
        keys.learn(vec![revoked], Moment::now());
        assert_eq!(ask(&keys, &other.text, 1), Err(KeyRefusal::Unknown));
    }

    #[test]
    fn what_was_read_too_long_ago_is_not_trusted() {
        let bound = Some(Duration::from_secs(20));
        let (keys, key) = (ApiKeys::new(bound), made(None));
        assert_eq!(ask(&keys, &key.text, 1), Err(KeyRefusal::Stale));
        keys.learn(vec![key.key.clone()], Moment::now());
        assert_eq!(ask(&keys, &key.text, 1), Ok(key.key.id.clone()));
    }
}
