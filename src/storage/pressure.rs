//! How busy the database is: work in hand, and how fast it gets done. From both follows what one more piece would wait
//! (Little's law), so that a request can be refused at the door instead of after seconds in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Of the time between two ends a new measurement counts for one part in so many: 20 good ends, and an old pace is forgotten.
const WEIGHT: u64 = 8;

/// The work of one node on its database.
#[derive(Debug)]
pub(super) struct Pressure {
    began: Instant,
    /// What can go on at the same time; the rest waits.
    connections: usize,
    in_hand: AtomicUsize,
    /// When work last ended well, in µs since `began`; zero before the first. What was given up says nothing of the pace.
    succeeded: AtomicU64,
    /// Mean time between two good ends while work waited, in µs.
    interval: AtomicU64,
}

impl Pressure {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            began: Instant::now(),
            connections,
            in_hand: AtomicUsize::new(0),
            succeeded: AtomicU64::new(0),
            interval: AtomicU64::new(0),
        }
    }

    /// One piece of work, from now until the value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InHand {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        InHand(Arc::clone(self))
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

    fn succeed(&self) {
        let now = self.micros();
        let before = self.succeeded.swap(now, Ordering::Relaxed);
        if self.in_hand.load(Ordering::Relaxed) > self.connections && before > 0 {
            let (mean, last) = (self.interval.load(Ordering::Relaxed), now.saturating_sub(before));
            // Two that end at once may overwrite each other: one measurement is lost.
            self.interval.store(mean - mean / WEIGHT + last / WEIGHT, Ordering::Relaxed);
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
pub(super) struct InHand(Arc<Pressure>);

impl InHand {
    /// It ended well.
    pub(super) fn succeeded(&self) {
        self.0.succeed();
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(5);

    #[test]
    fn nobody_waits_where_a_connection_is_free() {
        let pressure = Arc::new(Pressure::new(4));
        let work: Vec<_> = (0..4).map(|_| pressure.begin()).collect();
        assert_eq!(pressure.expected_wait(), Duration::ZERO);
        assert!(!pressure.succeeded_within(Duration::from_secs(60)), "nothing has ended");
        work[0].succeeded();
        assert!(pressure.succeeded_within(Duration::from_secs(60)));
        drop(work);
        assert_eq!(pressure.expected_wait(), Duration::ZERO);
    }

    #[test]
    fn who_comes_last_waits_for_all_before() {
        let pressure = Arc::new(Pressure::new(2));
        let mut work: Vec<_> = (0..1_000).map(|_| pressure.begin()).collect();
        assert_eq!(pressure.expected_wait(), Duration::ZERO, "nothing is known yet");
        for _ in 0..100 {
            std::thread::sleep(PACE);
            work.pop().unwrap().succeeded();
        }
        let wait = pressure.expected_wait();
        assert!(wait >= PACE * 800, "898 before it at {PACE:?} each: {wait:?}");
    }

    #[test]
    fn what_is_given_up_is_not_taken_for_a_quick_end() {
        let pressure = Arc::new(Pressure::new(2));
        let mut work: Vec<_> = (0..1_000).map(|_| pressure.begin()).collect();
        for _ in 0..50 {
            std::thread::sleep(PACE);
            work.pop().unwrap().succeeded();
        }
        let before = pressure.expected_wait() / 948;
        work.truncate(500);
        assert_eq!(pressure.expected_wait() / 498, before);
    }

    #[test]
    fn a_slow_time_is_forgotten() {
        let pressure = Arc::new(Pressure::new(2));
        let mut work: Vec<_> = (0..10_000).map(|_| pressure.begin()).collect();
        for _ in 0..50 {
            std::thread::sleep(PACE);
            work.pop().unwrap().succeeded();
        }
        let slow = pressure.expected_wait();
        for _ in 0..200 {
            work.pop().unwrap().succeeded();
        }
        assert!(pressure.expected_wait() < slow / 10, "{:?} after {slow:?}", pressure.expected_wait());
    }
}
