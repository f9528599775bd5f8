//! What is kept for consumers that must catch up.
//!
//! It must never be unbounded: Redis keeps it in memory.

use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[Setting::new(
    "EVENT_STREAM_MAXLEN",
    Form::Number(1, 1_000_000_000),
    Preset::Value("100000"),
    "About how many entries the Redis stream `auth:events` is trimmed to.",
)];

/// The event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventConfig {
    /// Entries the stream is trimmed to, about.
    pub stream_max_len: u64,
}

impl EventConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        EventConfig { stream_max_len: source.integer("EVENT_STREAM_MAXLEN") }
    }
}
