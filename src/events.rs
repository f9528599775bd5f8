//! What leaves the service for other services: channel names, and the JSON messages sent on them.
//!
//! [`channel`] lists the channels; [`announcement`] turns what happened to a user's sessions into messages;
//! a [`Message`] is one of them on its way.

pub mod announcement;
pub mod channel;

use std::sync::Arc;

/// A message on its way to a public channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Public channel, such as `auth:session.created`.
    pub channel: Arc<str>,
    /// The whole JSON message.
    pub payload: Arc<str>,
}
