//! The bounds of one node's memory.
//!
//! It must never contain a bound of zero: such a node could serve nobody.

use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "MAX_RESIDENT_USERS",
        Form::Number(1, 100_000_000),
        Preset::Value("1000000"),
        "Most users held in this node's memory.",
    ),
    Setting::new(
        "MAX_CONNECTIONS_PER_SESSION",
        Form::Number(1, 10_000),
        Preset::Value("20"),
        "Most event connections (SSE, WebSocket) of one session, on each node. One more is answered 429.",
    ),
    Setting::new(
        "MAX_CONNECTIONS_PER_NODE",
        Form::Number(1, 10_000_000),
        Preset::Value("60000"),
        "Most event connections of this node. One more is answered 503.",
    ),
];

/// How much one node holds in memory at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitConfig {
    /// Most users with an actor on this node; beyond it, the least recently used actor is passivated.
    pub max_resident_users: usize,
    /// Most event connections of one session.
    pub max_connections_per_session: u32,
    /// Most event connections of all sessions together.
    pub max_connections_per_node: usize,
}

impl LimitConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        LimitConfig {
            max_resident_users: source.integer("MAX_RESIDENT_USERS"),
            max_connections_per_session: source.integer("MAX_CONNECTIONS_PER_SESSION"),
            max_connections_per_node: source.integer("MAX_CONNECTIONS_PER_NODE"),
        }
    }
}
