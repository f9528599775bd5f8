//! The messages of user actors, and the ways in which asking one can fail.

use std::time::Instant;

use actix::Message;
use futures_channel::mpsc::Sender;

use super::devices::Delivery;
use super::user_slot::Lease;
use crate::domain::command::Command;
use crate::domain::ids::SessionId;
use crate::domain::reason::EndReason;
use crate::storage::StorageError;
use crate::telemetry::serving::Serving;

/// Why a user actor gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// There is no such user, or no longer one.
    #[error("no such user")]
    NoSuchUser,
    /// The database could not be queried; it is unknown whether the change was stored.
    #[error("the store is unavailable")]
    Unavailable(#[from] StorageError),
    /// This node has not heard from the database for longer than it may trust what it remembers.
    #[error("this node's view of the database is too old to trust")]
    Stale,
    /// Other nodes changed the same user's sessions again and again.
    #[error("too many nodes change this user's sessions at once")]
    Contended,
    /// Too many messages wait for this user, or too many users are resident.
    #[error("too many requests are waiting")]
    Overloaded,
    /// The actor panicked while it held the message, or did not answer in time.
    #[error("the actor did not answer")]
    NoAnswer,
}

/// A command on its way to the actor of its user.
///
/// The lease travels with it: an actor cannot be retired while a message to it exists, wherever that waits.
#[derive(Debug)]
pub struct Execute<C> {
    /// The command to execute.
    pub command: C,
    pub(super) lease: Lease,
    pub(super) sent: Instant,
    /// The request it is for.
    pub(super) serving: Option<Serving>,
}

impl<C: Command + 'static> Message for Execute<C>
where
    C::Reply: Send,
{
    type Result = Result<C::Reply, ActorError>;
}

/// A device of the user opens a connection.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ConnectRefusal>")]
pub struct Connect {
    /// The session it belongs to.
    pub session: SessionId,
    /// The queue for its messages.
    pub queue: Sender<Delivery>,
    /// Most connections of one session.
    pub most: usize,
    pub(super) lease: Lease,
}

/// A connection of one of the user's devices is gone.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Disconnected;

/// Why a device cannot connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectRefusal {
    /// Its session is over.
    #[error("the session is over")]
    Over(Option<EndReason>),
    /// Its session has reached its limit of connections.
    #[error("the session has too many connections")]
    TooMany,
    /// The actor gave no answer.
    #[error(transparent)]
    Actor(#[from] ActorError),
}

/// Asks an actor to read what other nodes changed and to notify its devices.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Reload;

/// The alarm of an actor rings.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Wake;

/// Asks an actor to stop, if no message or device needs it.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// Makes the handler panic.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Panic;
