//! When to warn of what goes wrong again and again: at once, and then at most once a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(60);

/// When it was last warned; one for each thing that may go wrong.
#[derive(Default)]
pub(crate) struct OnceAMinute(Mutex<Option<Instant>>);

impl OnceAMinute {
    /// Whether to warn at that time; if so, it is noted.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = warned.is_none_or(|warned| now.saturating_duration_since(warned) >= EVERY);
        if due {
            *warned = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_at_once_and_then_once_a_minute() {
        let (warnings, start) = (OnceAMinute::default(), Instant::now());
        let is_due = |second: &u64| warnings.is_due(start + Duration::from_secs(*second));
        let due: Vec<u64> = [0, 0, 59, 60, 61, 119, 125].into_iter().filter(is_due).collect();
        assert_eq!(due, [0, 60, 125]);
    }
}
