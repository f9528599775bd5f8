//! How busy the database is: work in hand, and how fast it gets done. From both follows what one more piece
//! would wait (Little's law), so that a request can be refused at the door instead of after seconds in the
//! queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Of the time between two ends a new measurement counts for one part in so many: a hundred good ends, and an
/// old pace is forgotten. With few, one hitch of the machine would pass for the database's pace.
const WEIGHT: u64 = 32;
/// What was measured longer ago says nothing of a new rush.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// The work of one node on its database.
#[derive(Debug)]
pub(super) struct LoadEstimate {
    began: Instant,
    /// What can go on at the same time; the rest waits.
    connections: usize,
    in_hand: AtomicUsize,
    /// When work last began to wait, in µs since `began`: what lies before was not the database's time.
    filled: AtomicU64,
    /// When work last ended well, in µs since `began`; zero before the first. What was given up says nothing
    /// of the pace.
    succeeded: AtomicU64,
    /// Mean time between two good ends while work waited, in µs.
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

    /// One piece of work, from now until the value is dropped.
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

    /// What one more piece of work would wait, as far as is known.
    pub(super) fn expected_wait(&self) -> Duration {
        let waiting = self.in_hand.load(Ordering::Relaxed).saturating_sub(self.connections);
        Duration::from_micros(self.interval.load(Ordering::Relaxed).saturating_mul(waiting as u64))
    }

    /// Whether the database has done something within that time.
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

/// Work that has not ended.
#[derive(Debug)]
pub(super) struct InFlight(Arc<LoadEstimate>);

impl InFlight {
    /// It ended well.
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
