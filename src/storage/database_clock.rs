//! What time it is for the database, so that it can be told until when a commit may be stored.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Its clock, in ms since 1970, for PostgreSQL.
pub(super) const NOW: &str = "extract(epoch FROM clock_timestamp()) * 1000";

/// The time of one database, as it told it last. Nodes' clocks are not used: they may differ from it by more
/// than a commit is waited for.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    began: Instant,
    /// What its clock showed at `began`, in ms since 1970; zero where it was never read.
    at_beginning: AtomicI64,
}

impl DatabaseClock {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), at_beginning: AtomicI64::new(0) }
    }

    /// It showed this time, in ms since 1970, at that moment or a little before: what it is taken for is
    /// never too late.
    pub(super) fn read(&self, at: Instant, time: i64) {
        self.at_beginning.store(time - millis(at.duration_since(self.began)), Ordering::Relaxed);
    }

    /// What it will show in a while; none where it was never read.
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
