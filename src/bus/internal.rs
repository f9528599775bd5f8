//! Messages between nodes on internal channels: that a user's sessions have changed.
//!
//! Channels are sharded by user, so that a Redis Cluster could distribute them. Every node subscribes to
//! all of them. Correctness does not depend on them: the feed of changes reports the same from the
//! database.

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
    /// The node that changed them, which ignores the message.
    pub node: Uuid,
    /// The user whose sessions changed.
    pub user: UserId,
    /// The version that was committed.
    pub version: i64,
    /// Sessions that ended with it.
    pub ended: Vec<SessionId>,
    /// When it was committed, in ms, by the clock of that node.
    pub at: i64,
    /// The change itself, if it can be applied without reading. Nodes of an older version do not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<SignedChange>,
}

/// A [`Change`] with its signature. Anybody may publish on Redis, so an unsigned message is only a
/// reason to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedChange {
    /// The change as JSON, byte for byte as it was signed.
    pub text: String,
    /// The tag made by [`crate::security::peer_key::PeerKey`].
    pub tag: String,
}

/// Sessions that ended, and nothing else. What was opened is only ever read from the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The user whose sessions ended.
    pub user: UserId,
    /// The version that was committed.
    pub version: i64,
    /// The check version. Before the change it was one less.
    pub check_version: i64,
    /// The sessions that ended.
    pub ended: Vec<Ended>,
    /// When it was committed, in ms, by the clock of the sending node.
    pub at: i64,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The session.
    pub session: SessionId,
    /// The reason, by its name in the events.
    pub reason: String,
    /// The session from which a person ended it.
    pub by: Option<SessionId>,
}

/// A session was active. Other nodes show this activity, but base decisions on the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The node that saw it.
    pub node: Uuid,
    /// The user of the session.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// When it was active, in ms.
    pub active_at: i64,
    /// Whether the sender also publishes it to other services, so that the receiver need not. Missing in
    /// messages of nodes of an older version.
    #[serde(default)]
    pub told: bool,
}

/// A message on the internal channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PeerMessage {
    /// See [`Invalidation`].
    Invalidation(Invalidation),
    /// See [`Activity`].
    Activity(Activity),
    /// Several of them, on the channel of the first. Nodes of an older version do not understand it, and
    /// learn of the activity from the database.
    Activities(Vec<Activity>),
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

/// A message that several nodes may publish to the other services at the same moment: only the first one
/// gets through.
#[derive(Clone, Debug)]
pub struct DeduplicatedMessage {
    /// The session that the message is about.
    pub session: SessionId,
    /// How long further messages about the same session are suppressed.
    pub interval: Duration,
    /// The message to other services.
    pub message: Message,
}

impl DeduplicatedMessage {
    /// Its key in Redis, without prefix.
    #[must_use]
    pub fn key(session: SessionId) -> String {
        format!("told:{session}")
    }

    /// How long the key lives, in ms: a little less than the interval, because each message is a little
    /// late.
    #[must_use]
    pub fn remembered_for(interval: Duration) -> u64 {
        let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        interval - (interval / 10).min(100)
    }
}
