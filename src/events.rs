//! Messages that leave the service for other services: channel names, and the JSON sent on them.
//!
//! [`channel`] lists the channels; [`announcement`] turns what happened to a user's sessions into
//! messages for services; [`device_message`] has the messages for a person's own devices;
//! [`session_view`] is what both answers and devices show of a session; [`lane`] says which events are
//! published in order with each other; a [`Message`] is one of them on its way.

pub mod announcement;
pub mod channel;
pub mod device_message;
pub mod lane;
pub mod session_view;

use std::sync::Arc;

/// A message on its way to a public channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Public channel, such as `auth:session.created`.
    pub channel: Arc<str>,
    /// The whole JSON message.
    pub payload: Arc<str>,
}
