//! What is kept for consumers that must catch up.
//!
//! It must never be unbounded: Redis keeps it in memory.

use super::source::{Listing, Source};

/// The event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventConfig {
    /// Entries the stream is trimmed to, about.
    pub stream_max_len: u64,
}

impl EventConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        EventConfig { stream_max_len: source.integer("EVENT_STREAM_MAXLEN", 100_000, 1..=1_000_000_000) }
    }

    pub(super) fn list(&self, listing: &mut Listing) {
        listing.push(("EVENT_STREAM_MAXLEN", self.stream_max_len.to_string()));
    }
}
