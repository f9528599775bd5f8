//! How events are published, and what is retained for consumers that must catch up.
//!
//! The stream must never be unbounded: Redis keeps it in memory.

use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "EVENT_STREAM_MAXLEN",
        Form::Number(1, 1_000_000_000),
        Preset::Value("100000"),
        "About how many entries the Redis stream `auth:events` is trimmed to.",
    ),
    Setting::new(
        "OUTBOX_LANES",
        Form::Number(1, 64),
        Preset::Value("4"),
        "Parts of the outbox, by user, that nodes publish at the same time. PostgreSQL only.",
    ),
];

/// The event stream and the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventConfig {
    /// About how many entries the stream is trimmed to.
    pub stream_max_len: u64,
    /// Parts of the outbox that nodes publish at the same time.
    pub outbox_lanes: u32,
}

impl EventConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        EventConfig {
            stream_max_len: source.integer("EVENT_STREAM_MAXLEN"),
            outbox_lanes: source.integer("OUTBOX_LANES"),
        }
    }
}
