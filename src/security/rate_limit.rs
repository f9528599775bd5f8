//! Rate limits: fixed windows that begin with the first attempt, counted in this process.
//!
//! Bound: [`MAX_KEYS`] counters, whose keys have the same length whatever was counted. Expired ones are
//! removed in time. Beyond the bound a new key is not counted (the alternative, refusing strangers
//! because there are many of them, would let an attacker lock everybody out).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;

use crate::domain::time::Timestamp;
use crate::telemetry::pseudonyms::CounterKey;

/// Most counters held at once: about 35 bytes each.
const MAX_KEYS: usize = 200_000;
/// Shortest time between two searches for expired counters, in ms: with very many counters a search takes
/// some ms.
const CLEANUP_INTERVAL: i64 = 1_000;
/// A map of up to this capacity is not worth shrinking.
const SMALL: usize = 4_096;

/// What is limited; each has its own count and window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Logins from an address.
    Login,
    /// Failed logins of an account from an address.
    LoginFailures,
    /// Sign-ups from an address.
    Signup,
    /// Refreshes of a session.
    Refresh,
    /// Other requests of a user.
    Api,
    /// Messages on a WebSocket.
    Messages,
    /// Requests of a user that a gateway verifies.
    Verify,
    /// Requests with an API key.
    Admin,
    /// Mails to an address, requested from one address or from anywhere.
    Mail,
    /// Requests that mail something, from an address.
    MailRequests,
    /// Wrong codes.
    CodeFailures,
}

impl Limit {
    /// The name used in keys and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailures => "login_failures",
            Self::Signup => "signup",
            Self::Refresh => "refresh",
            Self::Api => "api",
            Self::Messages => "messages",
            Self::Verify => "verify",
            Self::Admin => "admin",
            Self::Mail => "mail",
            Self::MailRequests => "mail_requests",
            Self::CodeFailures => "code_failures",
        }
    }
}

/// How many are allowed in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most in a window; 0 means no limit.
    pub count: u32,
    /// Length of the window.
    pub window: Duration,
}

/// How much of a quota is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The quota.
    pub quota: Quota,
    /// How many more are allowed in this window.
    pub remaining: u32,
    /// Time until the window ends.
    pub reset: Duration,
}

/// The quota is used up until the window ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded(pub Usage);

impl Exceeded {
    /// Nothing is left of that quota for that time.
    #[must_use]
    pub fn until(quota: Quota, reset: Duration) -> Self {
        Self(Usage { quota, remaining: 0, reset })
    }

    /// How long the client should wait before the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.0.reset
    }
}

/// The outcome of an attempt; `None` if there is no limit.
pub type Counted = Result<Option<Usage>, Exceeded>;

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    count: u32,
    ends: Timestamp,
}

impl Window {
    fn beginning(quota: Quota, now: Timestamp) -> Self {
        Self { count: 0, ends: now.plus(quota.window) }
    }

    fn count(&mut self, quota: Quota, now: Timestamp) -> Counted {
        if self.ends <= now {
            *self = Self::beginning(quota, now);
        }
        let reset = now.until(self.ends);
        if self.count >= quota.count {
            return Err(Exceeded::until(quota, reset));
        }
        self.count += 1;
        Ok(Some(Usage { quota, remaining: quota.count - self.count, reset }))
    }
}

/// A counter outside the map, for a caller that holds it.
#[derive(Debug, Default)]
pub struct Counter(Mutex<Window>);

impl Counter {
    /// Counts one attempt, unless the quota is used up.
    ///
    /// # Errors
    /// [`Exceeded`]; a refused attempt is not counted.
    pub fn count(&self, quota: Quota, now: Timestamp) -> Counted {
        if quota.count == 0 {
            return Ok(None);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count(quota, now)
    }
}

/// Counters of this process.
#[derive(Debug, Default)]
pub struct LocalCounters {
    windows: DashMap<u64, Window>,
    /// When expired counters were last searched for, in ms.
    looked: AtomicI64,
}

impl LocalCounters {
    /// Counts one attempt, unless the quota is used up.
    ///
    /// # Errors
    /// [`Exceeded`]; a refused attempt is not counted.
    pub fn count(&self, key: CounterKey, quota: Quota, now: Timestamp) -> Counted {
        if quota.count == 0 {
            return Ok(None);
        }
        let key = key.short();
        if let Some(mut window) = self.windows.get_mut(&key) {
            return window.count(quota, now);
        }
        if self.windows.len() >= MAX_KEYS {
            self.remove_expired_if_due(now);
            if self.windows.len() >= MAX_KEYS {
                return Ok(None);
            }
        }
        self.windows.entry(key).or_insert_with(|| Window::beginning(quota, now)).count(quota, now)
    }

    /// Whether one more would be allowed, without counting it.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn check(&self, key: CounterKey, quota: Quota, now: Timestamp) -> Counted {
        match self.windows.get(&key.short()) {
            Some(window) if quota.count > 0 && window.ends > now && window.count >= quota.count => {
                Err(Exceeded::until(quota, now.until(window.ends)))
            }
            _ => Ok(None),
        }
    }

    /// Removes the counters whose window has ended, and frees their memory.
    pub fn forget_expired(&self, now: Timestamp) {
        self.windows.retain(|_, window| window.ends > now);
        if self.windows.capacity() > SMALL.max(4 * self.windows.len()) {
            self.windows.shrink_to_fit();
        }
    }

    fn remove_expired_if_due(&self, now: Timestamp) {
        let looked = self.looked.load(Ordering::Relaxed);
        let is_due = now.millis() - looked >= CLEANUP_INTERVAL;
        let is_mine = || {
            self.looked.compare_exchange(looked, now.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if is_due && is_mine() {
            self.forget_expired(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::telemetry::pseudonyms::Pseudonyms;

    const QUOTA: Quota = Quota { count: 3, window: Duration::from_secs(60) };

    fn key(of: &str) -> CounterKey {
        Pseudonyms::new(&Secret::new("a secret")).counter("tests", of)
    }

    #[test]
    fn as_many_as_allowed_and_no_more_until_the_window_ends() {
        let counters = LocalCounters::default();
        let start = Timestamp::from_millis(1_000);
        let left = |remaining, reset| Ok(Some(Usage { quota: QUOTA, remaining, reset }));
        for remaining in [2, 1, 0] {
            assert_eq!(counters.count(key("a"), QUOTA, start), left(remaining, QUOTA.window));
        }
        let later = start.plus(Duration::from_secs(20));
        let exceeded = Exceeded::until(QUOTA, Duration::from_secs(40));
        assert_eq!(counters.count(key("a"), QUOTA, later), Err(exceeded));
        assert_eq!(counters.check(key("a"), QUOTA, later), Err(exceeded));
        assert_eq!(counters.count(key("b"), QUOTA, later), left(2, QUOTA.window));
        assert_eq!(counters.count(key("a"), QUOTA, start.plus(QUOTA.window)), left(2, QUOTA.window));
    }

    #[test]
    fn zero_is_no_limit() {
        let counters = LocalCounters::default();
        let none = Quota { count: 0, window: Duration::from_secs(1) };
        assert!((0..100).all(|_| counters.count(key("a"), none, Timestamp::default()) == Ok(None)));
    }

    #[test]
    fn the_number_of_counters_is_bounded_and_expired_ones_go() {
        let counters = LocalCounters::default();
        let pseudonyms = Pseudonyms::new(&Secret::new("a secret"));
        let start = Timestamp::from_millis(1_000_000);
        let one = Quota { count: 1, window: Duration::from_secs(60) };
        for number in 0..MAX_KEYS + 1_000 {
            let key = pseudonyms.counter("tests", &number.to_string());
            assert!(counters.count(key, one, start).is_ok());
        }
        assert_eq!(counters.windows.len(), MAX_KEYS);
        // Once windows have ended there is room again.
        let later = start.plus(one.window);
        assert!(counters.count(key("newcomer"), one, later).is_ok());
        assert!(counters.count(key("newcomer"), one, later).is_err(), "it is counted");
        counters.forget_expired(later.plus(one.window));
        assert_eq!(counters.windows.len(), 0);
        assert!(counters.windows.capacity() <= SMALL, "{}", counters.windows.capacity());
    }
}
