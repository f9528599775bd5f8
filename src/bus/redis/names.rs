//! Names on Redis: of channels, of streams and of keys.
//!
//! In a Cluster the part in braces, or else the whole name, decides which master a name is on. The stream
//! has the same name everywhere, so the turns at publishing name it in braces: one script uses both.
//! Everything else is spread over the masters.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use crate::bus::internal::{DeduplicatedMessage, channel_of};
use crate::domain::ids::SessionId;
use crate::events::lane::Lane;

/// The prefix of channel names in the outbox, and on Redis unless `REDIS_PREFIX` says otherwise.
const OWN_PREFIX: &str = "auth:";

/// Keys that are written elsewhere in a Cluster to find out whether it takes writes: their slots are 1584,
/// 5649, 9842 and 13907 of 16384, so of three or four equal masters each has one.
const OTHER_PULSES: u32 = 4;

/// The names of one deployment.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// `REDIS_PREFIX`.
    prefix: Arc<str>,
    /// Whether they are on a Cluster.
    in_cluster: bool,
}

impl Names {
    pub(super) fn new(prefix: &str, in_cluster: bool) -> Self {
        Self { prefix: prefix.into(), in_cluster }
    }

    /// The name on Redis of a name without prefix.
    fn of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Matches every public channel, and every other name with the prefix.
    pub(super) fn pattern(&self) -> String {
        self.of("*")
    }

    /// A public channel.
    pub(super) fn channel<'a>(&self, channel: &'a str) -> Cow<'a, str> {
        match channel.strip_prefix(OWN_PREFIX) {
            Some(name) if *self.prefix != *OWN_PREFIX => self.of(name).into(),
            _ => channel.into(),
        }
    }

    /// The channel between nodes of a shard.
    pub(super) fn internal(&self, shard: usize) -> String {
        self.of(&channel_of(shard))
    }

    /// The stream of events.
    pub(super) fn stream(&self) -> String {
        self.of("events")
    }

    /// A name on the same master as the stream.
    fn beside_stream(&self, name: &str) -> String {
        match self.in_cluster {
            true => self.of(&format!("{name}:{{{}}}", self.stream())),
            false => self.of(name),
        }
    }

    /// The key of the turn at publishing a lane.
    pub(super) fn turn(&self, lane: Lane) -> String {
        self.beside_stream(&format!("turn:{}:{}", lane.of(), lane.number()))
    }

    /// The keys to write in order to find out whether the servers take writes: that of the stream, and in
    /// a Cluster others too.
    pub(super) fn pulses(&self) -> Vec<String> {
        let others = if self.in_cluster { OTHER_PULSES } else { 0 };
        let others = (0..others).map(|number| self.of(&format!("pulse:{{{number}}}")));
        std::iter::once(self.beside_stream("pulse")).chain(others).collect()
    }

    /// The key of a counter.
    pub(super) fn counter(&self, key: &str) -> String {
        self.of(&format!("rate:{key}"))
    }

    /// The key that records that a ticket was used.
    pub(super) fn spent(&self, ticket: Uuid) -> String {
        self.of(&format!("spent:{ticket}"))
    }

    /// The key that records that a message about that session was published.
    pub(super) fn told(&self, session: SessionId) -> String {
        self.of(&DeduplicatedMessage::key(session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_is_on_the_master_of_the_stream() {
        let lane = Lane::all(4).nth(2).unwrap();
        let (one, cluster) = (Names::new("auth:", false), Names::new("shop/", true));
        assert_eq!((one.stream().as_str(), one.turn(lane).as_str()), ("auth:events", "auth:turn:4:2"));
        assert_eq!(cluster.stream(), "shop/events");
        assert_eq!(cluster.turn(lane), "shop/turn:4:2:{shop/events}");
        assert_eq!(one.pulses(), ["auth:pulse"]);
        assert_eq!(cluster.pulses()[..2], ["shop/pulse:{shop/events}", "shop/pulse:{0}"]);
    }

    #[test]
    fn public_channels_have_the_prefix() {
        let (own, other) = (Names::new("auth:", false), Names::new("shop/", true));
        assert_eq!(own.channel("auth:user.login"), "auth:user.login");
        assert_eq!(other.channel("auth:user.login"), "shop/user.login");
    }
}
