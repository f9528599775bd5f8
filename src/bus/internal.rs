//! What nodes tell each other on channels of their own: that a user's sessions are not what they were.
//!
//! Channels are sharded by user, so that a Redis Cluster can place them. Every node listens to all of them.
//! No correctness hangs on them: the feed of changes tells the same from the database.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::ids::{SessionId, UserId};
use crate::events::Message;

/// How many channels there are. Part of the protocol between nodes.
pub const SHARDS: usize = 64;

/// A user's sessions have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidation {
    /// The node that changed them; it need not be told.
    pub node: Uuid,
    /// Whose.
    pub user: UserId,
    /// The version that was committed.
    pub version: i64,
    /// Sessions that ended with it.
    pub ended: Vec<SessionId>,
    /// When it was committed, in ms, by the clock of that node.
    pub at: i64,
    /// The change itself, where it can be applied without reading. Nodes of an older version do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<SignedChange>,
}

/// A [`Change`], signed: what anybody may publish is only a reason to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedChange {
    /// The change as JSON, byte for byte as it was signed.
    pub text: String,
    /// Of [`crate::security::peer_key::PeerKey`].
    pub tag: String,
}

/// Sessions that ended, and nothing else. What began is only ever read from the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whose.
    pub user: UserId,
    /// The version that was committed.
    pub version: i64,
    /// The version of what checks depend on; it was one less before.
    pub check_version: i64,
    /// What ended.
    pub ended: Vec<Ended>,
    /// When, in ms, by the clock of that node.
    pub at: i64,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub session: SessionId,
    /// Why, in the words of the events.
    pub reason: String,
    /// The session from which a person ended it.
    pub by: Option<SessionId>,
}

/// A session was active; other nodes show it. What they decide they decide by the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The node that saw it.
    pub node: Uuid,
    /// Whose.
    pub user: UserId,
    /// Which.
    pub session: SessionId,
    /// When, in ms.
    pub active_at: i64,
    /// Whether the sender publishes it to other services too: then this node need not.
    /// Nodes of an older version do not say.
    #[serde(default)]
    pub told: bool,
}

/// What comes on the channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PeerMessage {
    /// See [`Invalidation`].
    Invalidation(Invalidation),
    /// See [`Activity`].
    Activity(Activity),
}

/// The shard of a user: the low bits of a UUIDv7 are random.
#[must_use]
pub fn shard_of(user: UserId) -> usize {
    usize::try_from(user.uuid().as_u128() % SHARDS as u128).unwrap_or(0)
}

/// The channel of a shard, without the prefix of the deployment.
#[must_use]
pub fn channel_of(shard: usize) -> String {
    format!("internal:{{{shard}}}")
}

/// A message that several nodes may have for the other services at the same moment: only the first of them
/// gets through.
#[derive(Clone, Debug)]
pub struct OnceForAll {
    /// What it is about.
    pub session: SessionId,
    /// How long another one about the same is not let through.
    pub interval: Duration,
    /// The message to other services.
    pub message: Message,
}

impl OnceForAll {
    /// Names it in Redis, without prefix.
    #[must_use]
    pub fn key(session: SessionId) -> String {
        format!("told:{session}")
    }

    /// How long it is remembered, in ms: a little less than the interval, because each message is a little
    /// late.
    #[must_use]
    pub fn remembered_for(interval: Duration) -> u64 {
        let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        interval - (interval / 10).min(100)
    }
}
