//! How old this node's knowledge of other nodes' changes is. Knowledge older than the bound is not trusted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;

/// When the feed of changes was last read, on a clock that cannot be set and that keeps running while
/// the machine is suspended.
#[derive(Debug)]
pub struct Freshness {
    began: Moment,
    /// When the last successful poll began, in ms since `began`, plus one; zero before the first.
    looked: AtomicU64,
    /// `None` if one process has the database to itself, so that nothing can be out of date.
    bound: Option<Duration>,
}

impl Freshness {
    /// Knowledge that is trusted for `bound`, or for ever.
    #[must_use]
    pub fn new(bound: Option<Duration>) -> Self {
        Self { began: Moment::now(), looked: AtomicU64::new(0), bound }
    }

    /// Records a successful poll that began at that moment.
    pub fn looked(&self, at: Moment) {
        self.looked.store(millis(at.since(self.began)) + 1, Ordering::Release);
    }

    /// How long ago the last successful poll began; `None` if nothing can be out of date.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.bound?;
        let now = millis(Moment::now().since(self.began)) + 1;
        match self.looked.load(Ordering::Acquire) {
            0 => Some(Duration::MAX),
            looked => Some(Duration::from_millis(now.saturating_sub(looked))),
        }
    }

    /// Whether what this node has in memory may be trusted.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.bound.zip(self.age()).is_none_or(|(bound, age)| age < bound)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fresh_before_the_first_look_or_after_the_bound() {
        let freshness = Freshness::new(Some(Duration::from_secs(1)));
        assert!(!freshness.is_fresh());
        freshness.looked(Moment::now());
        assert!(freshness.is_fresh());
        let alone = Freshness::new(None);
        assert!(alone.is_fresh());
        assert_eq!(alone.age(), None);
    }

    #[test]
    fn an_old_look_is_not_fresh() {
        let freshness = Freshness {
            began: Moment::now().minus(Duration::from_secs(5)),
            ..Freshness::new(Some(Duration::from_secs(1)))
        };
        freshness.looked(Moment::now().minus(Duration::from_secs(2)));
        assert!(!freshness.is_fresh());
        assert!(freshness.age().is_some_and(|age| age >= Duration::from_secs(2)));
    }
}
