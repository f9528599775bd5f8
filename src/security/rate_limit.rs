//! How often something may be done: fixed windows that begin with the first try, counted in this process.
//!
//! Bound: [`MAX_KEYS`] counters; past that the expired ones go, and if none has, a new key is not counted (the
//! alternative, refusing strangers because strangers are many, would let an attacker close the door for all).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;

use crate::domain::time::Timestamp;

/// Most counters held at once: about 100 bytes each.
const MAX_KEYS: usize = 200_000;

/// What is limited; each has its own number and window.
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
        }
    }
}

/// How many in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Most in a window; 0 means no limit.
    pub count: u32,
    /// Length of the window.
    pub window: Duration,
}

/// Too many; try again after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Until the window ends.
    pub retry_after: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    count: u32,
    ends: Timestamp,
}

impl Window {
    fn beginning(quota: Quota, now: Timestamp) -> Self {
        Self { count: 0, ends: now.plus(quota.window) }
    }

    fn count(&mut self, quota: Quota, now: Timestamp) -> Result<(), Exceeded> {
        if self.ends <= now {
            *self = Self::beginning(quota, now);
        }
        if self.count >= quota.count {
            return Err(Exceeded { retry_after: now.until(self.ends) });
        }
        self.count += 1;
        Ok(())
    }
}

/// One counter of its own, for whoever has a place to keep it.
#[derive(Debug, Default)]
pub struct Counter(Mutex<Option<Window>>);

impl Counter {
    /// Counts one try, unless the quota is used up.
    ///
    /// # Errors
    /// [`Exceeded`]; a refused try is not counted.
    pub fn count(&self, quota: Quota, now: Timestamp) -> Result<(), Exceeded> {
        if quota.count == 0 {
            return Ok(());
        }
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.get_or_insert_with(|| Window::beginning(quota, now)).count(quota, now)
    }
}

/// Counters of this process.
#[derive(Debug, Default)]
pub struct LocalCounters {
    windows: DashMap<(Limit, String), Window>,
}

impl LocalCounters {
    /// Counts one try, unless the quota is used up.
    ///
    /// # Errors
    /// [`Exceeded`]; a refused try is not counted.
    pub fn count(&self, limit: Limit, key: &str, quota: Quota, now: Timestamp) -> Result<(), Exceeded> {
        if quota.count == 0 {
            return Ok(());
        }
        let key = (limit, key.to_owned());
        if let Some(mut window) = self.windows.get_mut(&key) {
            return window.count(quota, now);
        }
        self.make_room(now);
        if self.windows.len() >= MAX_KEYS {
            return Ok(());
        }
        self.windows.entry(key).or_insert_with(|| Window::beginning(quota, now)).count(quota, now)
    }

    /// Whether one more would be allowed, counting nothing.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn check(&self, limit: Limit, key: &str, quota: Quota, now: Timestamp) -> Result<(), Exceeded> {
        match self.windows.get(&(limit, key.to_owned())) {
            Some(window) if quota.count > 0 && window.ends > now && window.count >= quota.count => {
                Err(Exceeded { retry_after: now.until(window.ends) })
            }
            _ => Ok(()),
        }
    }

    fn make_room(&self, now: Timestamp) {
        if self.windows.len() >= MAX_KEYS {
            self.windows.retain(|_, window| window.ends > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { count: 3, window: Duration::from_secs(60) };

    #[test]
    fn as_many_as_allowed_and_no_more_until_the_window_ends() {
        let counters = LocalCounters::default();
        let start = Timestamp::from_millis(1_000);
        for _ in 0..3 {
            assert_eq!(counters.count(Limit::Login, "a", QUOTA, start), Ok(()));
        }
        let later = start.plus(Duration::from_secs(20));
        let exceeded = Exceeded { retry_after: Duration::from_secs(40) };
        assert_eq!(counters.count(Limit::Login, "a", QUOTA, later), Err(exceeded));
        assert_eq!(counters.check(Limit::Login, "a", QUOTA, later), Err(exceeded));
        assert_eq!(counters.count(Limit::Login, "b", QUOTA, later), Ok(()));
        assert_eq!(counters.count(Limit::Signup, "a", QUOTA, later), Ok(()));
        assert_eq!(counters.count(Limit::Login, "a", QUOTA, start.plus(QUOTA.window)), Ok(()));
    }

    #[test]
    fn zero_is_no_limit() {
        let counters = LocalCounters::default();
        let none = Quota { count: 0, window: Duration::from_secs(1) };
        assert!((0..100).all(|_| counters.count(Limit::Api, "a", none, Timestamp::default()).is_ok()));
    }
}
