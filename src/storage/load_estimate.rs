//! How busy the database is: the work in progress, and how fast it completes. From both follows how long
//! one more piece of work would wait (Little's law), so that a request can be refused at once instead of
//! after seconds in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A new measurement of the time between two completions counts for one part in this many: after a
/// hundred successes the old pace is forgotten. With a lower number, one hitch of the machine would be
/// taken for the database's pace.
const WEIGHT: u64 = 32;
/// A measurement that is older than this says nothing about a new burst.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// The work of one node on its database.
#[derive(Debug)]
pub(super) struct LoadEstimate {
    began: Instant,
    /// How much work can run at the same time; the rest waits.
    connections: usize,
    in_hand: AtomicUsize,
    /// When work last began to wait, in µs since `began`: the time before was not spent by the database.
    filled: AtomicU64,
    /// When work last succeeded, in µs since `began`; zero before the first. Work that was given up says
    /// nothing about the pace.
    succeeded: AtomicU64,
    /// Mean time between two successes while work waited, in µs.
    interval: AtomicU64,
    /// When that was measured last, in µs since `began`.
    measured: AtomicU64,
}

impl LoadEstimate {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            began: Instant::now(),
            connections,
            in_hand: AtomicUsize::new(0),
            filled: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            interval: AtomicU64::new(0),
            measured: AtomicU64::new(0),
        }
    }

    /// Counts one piece of work, from now until the value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.begin_at(self.micros());
        InFlight(Arc::clone(self))
    }

    fn begin_at(&self, now: u64) {
        if self.in_hand.fetch_add(1, Ordering::Relaxed) == self.connections {
            self.filled.store(now, Ordering::Relaxed);
            if now.saturating_sub(self.measured.load(Ordering::Relaxed)) > micros(FORGOTTEN_AFTER) {
                self.interval.store(0, Ordering::Relaxed);
            }
        }
    }

    /// How long one more piece of work would wait, as far as is known.
    pub(super) fn expected_wait(&self) -> Duration {
        let waiting = self.in_hand.load(Ordering::Relaxed).saturating_sub(self.connections);
        Duration::from_micros(self.interval.load(Ordering::Relaxed).saturating_mul(waiting as u64))
    }

    /// Whether any work has succeeded within that time.
    pub(super) fn succeeded_within(&self, time: Duration) -> bool {
        let succeeded = self.succeeded.load(Ordering::Relaxed);
        succeeded > 0 && self.micros().saturating_sub(succeeded) <= micros(time)
    }

    fn succeed_at(&self, now: u64) {
        let before = self.succeeded.swap(now, Ordering::Relaxed).max(self.filled.load(Ordering::Relaxed));
        if self.in_hand.load(Ordering::Relaxed) > self.connections {
            let (mean, last) = (self.interval.load(Ordering::Relaxed), now.saturating_sub(before));
            // Two that end at once may overwrite each other: one measurement is lost.
            self.interval.store(mean - mean / WEIGHT + last / WEIGHT, Ordering::Relaxed);
            self.measured.store(now, Ordering::Relaxed);
        }
    }

    fn micros(&self) -> u64 {
        micros(self.began.elapsed()) + 1
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX - 1)
}

/// Work in progress.
#[derive(Debug)]
pub(super) struct InFlight(Arc<LoadEstimate>);

impl InFlight {
    /// Notes that the work succeeded.
    pub(super) fn succeeded(&self) {
        self.0.succeed_at(self.0.micros());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
