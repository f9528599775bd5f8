//! The database's own time, so that a commit can carry a deadline which the database checks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// PostgreSQL's clock, in ms since 1970.
pub(super) const NOW: &str = "extract(epoch FROM clock_timestamp()) * 1000";

/// The time of one database, as last read. Nodes' clocks are not used: they may differ from it by more
/// than a caller waits for a commit.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    began: Instant,
    /// What its clock showed at `began`, in ms since 1970; zero if it was never read.
    at_beginning: AtomicI64,
}

impl DatabaseClock {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), at_beginning: AtomicI64::new(0) }
    }

    /// Notes that it showed this time, in ms since 1970, at that moment or a little before, so that the
    /// estimate is never ahead of the database.
    pub(super) fn read(&self, at: Instant, time: i64) {
        self.at_beginning.store(time - millis(at.duration_since(self.began)), Ordering::Relaxed);
    }

    /// What it will show after that time; `None` if it was never read.
    pub(super) fn after(&self, time: Duration) -> Option<i64> {
        let at_beginning = self.at_beginning.load(Ordering::Relaxed);
        (at_beginning != 0).then(|| at_beginning + millis(self.began.elapsed() + time))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn it_goes_on_from_what_was_read_last() {
        let clock = DatabaseClock::new();
        assert_eq!(clock.after(Duration::ZERO), None);
        for time in [10 * HOUR, 2 * HOUR] {
            clock.read(Instant::now(), time);
            let in_a_while = clock.after(Duration::from_secs(6)).unwrap();
            assert!((time + 6_000..time + HOUR).contains(&in_a_while), "{in_a_while}");
        }
    }
}
