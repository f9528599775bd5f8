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
    /// Requests of a user that a gateway asks about.
    Verify,
    /// Requests with an API key.
    Admin,
    /// Mails to an address, asked for from an address or from anywhere.
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
            Self::Verify => "verify",
            Self::Admin => "admin",
            Self::Mail => "mail",
            Self::MailRequests => "mail_requests",
            Self::CodeFailures => "code_failures",
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

/// How much of a quota is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Of which.
    pub quota: Quota,
    /// How many more there may be in this window.
    pub remaining: u32,
    /// Until the window ends.
    pub reset: Duration,
}

/// Too many; try again when the window has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded(pub Usage);

impl Exceeded {
    /// Nothing is left of that quota for so long.
    #[must_use]
    pub fn until(quota: Quota, reset: Duration) -> Self {
        Self(Usage { quota, remaining: 0, reset })
    }

    /// How long there is nothing to be tried.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.0.reset
    }
}

/// What a try came to; nothing is told of a quota that is no limit.
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

/// One counter of its own, for whoever has a place to keep it.
#[derive(Debug, Default)]
pub struct Counter(Mutex<Window>);

impl Counter {
    /// Counts one try, unless the quota is used up.
    ///
    /// # Errors
    /// [`Exceeded`]; a refused try is not counted.
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
    windows: DashMap<String, Window>,
}

impl LocalCounters {
    /// Counts one try, unless the quota is used up.
    ///
    /// # Errors
    /// [`Exceeded`]; a refused try is not counted.
    pub fn count(&self, key: &str, quota: Quota, now: Timestamp) -> Counted {
        if quota.count == 0 {
            return Ok(None);
        }
        if let Some(mut window) = self.windows.get_mut(key) {
            return window.count(quota, now);
        }
        self.make_room(now);
        if self.windows.len() >= MAX_KEYS {
            return Ok(None);
        }
        self.windows.entry(key.to_owned()).or_insert_with(|| Window::beginning(quota, now)).count(quota, now)
    }

    /// Whether one more would be allowed, counting nothing.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn check(&self, key: &str, quota: Quota, now: Timestamp) -> Counted {
        match self.windows.get(key) {
            Some(window) if quota.count > 0 && window.ends > now && window.count >= quota.count => {
                Err(Exceeded::until(quota, now.until(window.ends)))
            }
            _ => Ok(None),
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
        let left = |remaining, reset| Ok(Some(Usage { quota: QUOTA, remaining, reset }));
        for remaining in [2, 1, 0] {
            assert_eq!(counters.count("a", QUOTA, start), left(remaining, QUOTA.window));
        }
        let later = start.plus(Duration::from_secs(20));
        let exceeded = Exceeded::until(QUOTA, Duration::from_secs(40));
        assert_eq!(counters.count("a", QUOTA, later), Err(exceeded));
        assert_eq!(counters.check("a", QUOTA, later), Err(exceeded));
        assert_eq!(counters.count("b", QUOTA, later), left(2, QUOTA.window));
        assert_eq!(counters.count("a", QUOTA, start.plus(QUOTA.window)), left(2, QUOTA.window));
    }

    #[test]
    fn zero_is_no_limit() {
        let counters = LocalCounters::default();
        let none = Quota { count: 0, window: Duration::from_secs(1) };
        assert!((0..100).all(|_| counters.count("a", none, Timestamp::default()) == Ok(None)));
    }
}
