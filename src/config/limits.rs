//! The bounds of one node's memory.
//!
//! It must never hold a bound of zero: such a node could serve nobody.

use super::source::{Listing, Source};

/// How much one node holds at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitConfig {
    /// Users with an actor here; over it the least recently used retires.
    pub max_resident_users: usize,
    /// Event connections of one session.
    pub max_connections_per_session: u32,
    /// Event connections of all.
    pub max_connections_per_node: usize,
}

impl LimitConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        LimitConfig {
            max_resident_users: source.integer("MAX_RESIDENT_USERS", 1_000_000, 1..=100_000_000),
            max_connections_per_session: source.integer("MAX_CONNECTIONS_PER_SESSION", 20, 1..=10_000),
            max_connections_per_node: source.integer("MAX_CONNECTIONS_PER_NODE", 60_000, 1..=10_000_000),
        }
    }

    pub(super) fn list(&self, listing: &mut Listing) {
        listing.push(("MAX_RESIDENT_USERS", self.max_resident_users.to_string()));
        listing.push(("MAX_CONNECTIONS_PER_SESSION", self.max_connections_per_session.to_string()));
        listing.push(("MAX_CONNECTIONS_PER_NODE", self.max_connections_per_node.to_string()));
    }
}
