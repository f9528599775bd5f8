//! The only file that reads the clock or makes an id from the time. Everything else is given a [`Clock`].
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

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::of(SystemTime::now()),
            Self::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward; does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        self.step(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// Sets a manual clock back, as an administrator might do to the machine's; does nothing to the
    /// system clock.
    pub fn turn_back(&self, by: Duration) {
        self.step(i64::try_from(by.as_millis()).map_or(i64::MIN, std::ops::Neg::neg));
    }

    fn step(&self, by: i64) {
        if let Self::Manual(millis) = self {
            millis.fetch_add(by, Ordering::SeqCst);
        }
    }
}

/// A moment on a clock that cannot be set and that keeps running while the machine is suspended
/// (`CLOCK_BOOTTIME`), where the system has one. An `Instant` stops during suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(GOES_ON);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Self(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
    }

    /// How long ago `earlier` was; zero if it was later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment that much earlier.
    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }
}

#[cfg(target_os = "linux")]
const GOES_ON: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const GOES_ON: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

/// A new UUIDv7 (RFC 9562, section 5.7): sorts by the time it was made.
#[must_use]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with what the kernel reports as time since boot, suspension included.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_moment_counts_what_the_machine_slept() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let now = Moment::now().0.as_secs_f64();
        assert!((now - uptime).abs() < 5.0, "{now} s, not {uptime}");
        let resumed = Moment(Duration::from_secs(7_200));
        assert_eq!(resumed.since(resumed.minus(Duration::from_secs(3_600))), Duration::from_secs(3_600));
        assert_eq!(resumed.minus(Duration::from_secs(1)).since(resumed), Duration::ZERO);
    }
}
