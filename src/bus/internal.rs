//! What nodes tell each other on channels of their own: that a user's sessions are not what they were.
//!
//! Channels are sharded by user, so that a node hears of the shards it has users of and not of the whole fleet. No
//! correctness hangs on them: the feed of changes tells the same from the database.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::ids::{SessionId, UserId};

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
    /// Whether the other services are told of it too: then they are not to be told again soon.
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
