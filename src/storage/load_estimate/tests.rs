//! The estimate of what one more piece of work would wait.

use super::*;

/// Time between two completions, in µs.
const PACE: u64 = 5_000;

/// The test's own clock, and work on two connections.
struct Rush {
    load_estimate: LoadEstimate,
    now: u64,
}

impl Rush {
    fn of(work: usize) -> Self {
        let mut rush = Self { load_estimate: LoadEstimate::new(2), now: 1 };
        rush.begin(work);
        rush
    }

    fn begin(&mut self, work: usize) {
        (0..work).for_each(|_| self.load_estimate.begin_at(self.now));
    }

    /// That many pieces of work succeed, one every `pace`.
    fn done(&mut self, work: usize, pace: u64) {
        for _ in 0..work {
            self.now += pace;
            self.load_estimate.succeed_at(self.now);
            self.cancelled_work(1);
        }
    }

    fn cancelled_work(&mut self, work: usize) {
        self.load_estimate.in_hand.fetch_sub(work, Ordering::Relaxed);
    }

    fn expected_wait(&self) -> u64 {
        micros(self.load_estimate.expected_wait())
    }
}

#[test]
fn nobody_waits_where_a_connection_is_free() {
    let load_estimate = Arc::new(LoadEstimate::new(4));
    let work: Vec<_> = (0..4).map(|_| load_estimate.begin()).collect();
    assert_eq!(load_estimate.expected_wait(), Duration::ZERO);
    assert!(!load_estimate.succeeded_within(Duration::from_secs(60)), "nothing has ended");
    work[0].succeeded();
    assert!(load_estimate.succeeded_within(Duration::from_secs(60)));
    drop(work);
    assert_eq!(load_estimate.expected_wait(), Duration::ZERO);
}

#[test]
fn who_comes_last_waits_for_all_before() {
    let mut rush = Rush::of(1_000);
    assert_eq!(rush.expected_wait(), 0, "nothing is known yet");
    rush.done(10, PACE);
    assert!(rush.expected_wait() > PACE * 988 / 5, "a few ends tell the size: {}", rush.expected_wait());
    rush.done(190, PACE);
    let wait = rush.expected_wait();
    assert!((PACE * 790..=PACE * 798).contains(&wait), "798 before it at {PACE} µs each: {wait} µs");
}

#[test]
fn quiet_before_a_burst_is_not_taken_for_its_pace() {
    let mut rush = Rush::of(1);
    rush.done(1, PACE);
    rush.now += PACE * 1_000;
    rush.begin(100);
    rush.done(1, PACE);
    assert!(rush.expected_wait() <= PACE * 97, "{}", rush.expected_wait());
}

#[test]
fn a_slow_rush_is_not_taken_for_the_next() {
    let mut rush = Rush::of(200);
    rush.done(199, PACE * 20);
    rush.now += micros(FORGOTTEN_AFTER) * 2;
    rush.begin(200);
    assert_eq!(rush.expected_wait(), 0);
    rush.done(100, PACE);
    assert!(rush.expected_wait() <= PACE * 100, "{}", rush.expected_wait());
}

/// If work waits now and then, each time is part of the same burst.
#[test]
fn a_moment_without_waiting_is_no_new_rush() {
    let mut rush = Rush::of(200);
    rush.done(199, PACE);
    rush.now += PACE;
    rush.begin(200);
    assert!(rush.expected_wait() > PACE * 190, "{}", rush.expected_wait());
}

#[test]
fn one_hitch_is_not_taken_for_the_pace() {
    let mut rush = Rush::of(200);
    rush.done(100, PACE);
    let before = rush.expected_wait();
    rush.done(1, PACE * 40);
    assert!(rush.expected_wait() < before * 3, "{} after {before}", rush.expected_wait());
}

#[test]
fn what_is_given_up_is_not_taken_for_a_quick_end() {
    let mut rush = Rush::of(1_000);
    rush.done(50, PACE);
    let before = rush.expected_wait() / 948;
    rush.cancelled_work(450);
    assert_eq!(rush.expected_wait() / 498, before);
}

#[test]
fn a_slow_time_is_forgotten() {
    let mut rush = Rush::of(10_000);
    rush.done(100, PACE);
    let slow = rush.expected_wait();
    rush.done(100, 0);
    assert!(rush.expected_wait() < slow / 10, "{} after {slow}", rush.expected_wait());
}
