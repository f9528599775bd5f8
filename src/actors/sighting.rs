//! Whether the current refresh generation of a session has been seen, and since when: packed into one
//! number, so that the check on every request is a single load.

mod flusher;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::session::Refresh;
use crate::domain::time::Timestamp;

pub use flusher::SightingFlusher;
pub(in crate::actors) use flusher::Sightings;

/// The lower bits hold milliseconds since the session was opened (34 years), the upper ones the generation.
const TIME_BITS: u32 = 40;
/// Higher generations are never recorded as seen, so their predecessors stay valid. No session is
/// refreshed that often.
const HIGHEST: u32 = (1 << (u64::BITS - TIME_BITS)) - 1;

/// The highest generation of which a token has reached this node, or another node according to the
/// database.
#[derive(Debug)]
pub(super) struct Sighting(AtomicU64);

impl Sighting {
    /// As the database has it. The first generation replaces none, so nothing depends on when it was seen.
    pub(super) fn of(refresh: Refresh, opened: Timestamp) -> Self {
        let sighting = Self(AtomicU64::new(pack(1, opened, opened)));
        sighting.merge(refresh, opened);
        sighting
    }

    /// Takes over what the database has.
    pub(super) fn merge(&self, refresh: Refresh, opened: Timestamp) {
        if let Some(at) = refresh.seen_at {
            self.note(refresh.generation, at, opened);
        }
    }

    /// Whether that generation has not been seen yet.
    pub(super) fn is_news(&self, generation: u32) -> bool {
        self.0.load(Ordering::Relaxed) >> TIME_BITS < u64::from(generation.min(HIGHEST))
    }

    /// Records that it was seen. True the first time, which is the one that counts.
    pub(super) fn note(&self, generation: u32, at: Timestamp, opened: Timestamp) -> bool {
        if generation > HIGHEST {
            return false;
        }
        let seen = pack(generation, at, opened);
        let newer = |before: u64| (before >> TIME_BITS < u64::from(generation)).then_some(seen);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, newer).is_ok()
    }

    /// When that generation was first seen.
    pub(super) fn seen_at(&self, generation: u32, opened: Timestamp) -> Option<Timestamp> {
        let seen = self.0.load(Ordering::Acquire);
        let since = seen & ((1 << TIME_BITS) - 1);
        let is_same = generation > 1 && seen >> TIME_BITS == u64::from(generation);
        is_same.then(|| opened.plus(std::time::Duration::from_millis(since)))
    }
}

fn pack(generation: u32, at: Timestamp, opened: Timestamp) -> u64 {
    let since = u64::try_from(opened.until(at).as_millis()).unwrap_or(u64::MAX);
    u64::from(generation) << TIME_BITS | since.min((1 << TIME_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        OPENED.plus(std::time::Duration::from_secs(seconds))
    }

    #[test]
    fn the_first_sighting_of_the_latest_generation_counts() {
        let sighting = Sighting::of(Refresh::first(OPENED), OPENED);
        assert!(!sighting.is_news(1) && sighting.is_news(2));
        assert!(sighting.note(2, at(5), OPENED) && !sighting.note(2, at(3), OPENED));
        assert_eq!((sighting.seen_at(2, OPENED), sighting.seen_at(3, OPENED)), (Some(at(5)), None));
        assert!(sighting.note(3, at(9), OPENED) && !sighting.note(2, at(10), OPENED));
        assert_eq!((sighting.seen_at(3, OPENED), sighting.seen_at(2, OPENED)), (Some(at(9)), None));
    }

    #[test]
    fn what_does_not_fit_is_never_seen() {
        let sighting = Sighting::of(Refresh::first(OPENED), OPENED);
        assert!(!sighting.note(HIGHEST + 1, at(1), OPENED));
        assert!(sighting.note(HIGHEST, at(1), OPENED) && !sighting.is_news(u32::MAX));
        assert_eq!(sighting.seen_at(HIGHEST + 1, OPENED), None);
    }
}
