//! The only file that asks for the time, or makes an id out of it. Everything else is handed a [`Clock`].
#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::domain::time::Timestamp;

/// Where the time comes from: the machine, or a test.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that a test moves by hand.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.millis())))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::of(SystemTime::now()),
            Self::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock; the machine's is left alone.
    pub fn advance(&self, by: Duration) {
        self.step(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Sets a manual clock back, as somebody may do to the machine's, which is left alone.
    pub fn turn_back(&self, by: Duration) {
        self.step(i64::try_from(by.as_millis()).map_or(i64::MIN, std::ops::Neg::neg));
    }

    fn step(&self, by: i64) {
        if let Self::Manual(millis) = self {
            millis.fetch_add(by, Ordering::SeqCst);
        }
    }
}

/// A new UUIDv7 (RFC 9562, section 5.7): sorts by the time it was made.
#[must_use]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}
