//! Messages to a person's own devices, over Server-Sent Events or WebSocket.

use serde::Serialize;

use super::session_view::SessionView;
use crate::domain::ids::SessionId;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;

/// A message to a device.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum DeviceMessage<'a> {
    /// All sessions of the user; always the first message.
    #[serde(rename = "snapshot")]
    Snapshot {
        /// The receiver's own session.
        session_id: SessionId,
        /// The sessions, as in the list of sessions.
        sessions: Vec<SessionView<'a>>,
        /// Always true: the session named is the receiver's own.
        current: bool,
        /// When the message was made.
        timestamp: Timestamp,
    },
    /// A session was opened.
    #[serde(rename = "session.created")]
    Created {
        /// The session.
        session_id: SessionId,
        /// The session as in the list.
        session: SessionView<'a>,
        /// Whether it is the receiver's own.
        current: bool,
        /// When the message was made.
        timestamp: Timestamp,
    },
    /// A session ended, but not through another device.
    #[serde(rename = "session.deleted")]
    Deleted {
        /// The session.
        session_id: SessionId,
        /// Why it ended.
        reason: EndReason,
        /// Whether it is the receiver's own.
        current: bool,
        /// When the message was made.
        timestamp: Timestamp,
    },
    /// A session was ended from another device, or by an operator.
    #[serde(rename = "session.terminated")]
    Terminated {
        /// The session.
        session_id: SessionId,
        /// Why it ended.
        reason: EndReason,
        /// The session it was ended from; `None` if an operator ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        terminated_by_session_id: Option<SessionId>,
        /// Whether it is the receiver's own.
        current: bool,
        /// When the message was made.
        timestamp: Timestamp,
    },
    /// The account changed.
    #[serde(rename = "user.updated")]
    Updated {
        /// The receiver's session.
        session_id: SessionId,
        /// The names of what changed, as in `auth:user.updated`.
        changed: &'a [&'static str],
        /// Always true: the session named is the receiver's own.
        current: bool,
        /// When it was noticed.
        timestamp: Timestamp,
    },
    /// The receiver's session is about to end for idleness.
    #[serde(rename = "session.expiring")]
    Expiring {
        /// The receiver's session.
        session_id: SessionId,
        /// The time left, in seconds, rounded up.
        remaining_seconds: u64,
        /// When it ends.
        idle_expires_at: Timestamp,
        /// Always true.
        current: bool,
        /// When the message was made.
        timestamp: Timestamp,
    },
    /// There was activity after a warning, and the receiver's session goes on.
    #[serde(rename = "session.extended")]
    Extended {
        /// The receiver's session.
        session_id: SessionId,
        /// When it ends now.
        idle_expires_at: Timestamp,
        /// Always true.
        current: bool,
        /// When the message was made.
        timestamp: Timestamp,
    },
}

impl DeviceMessage<'_> {
    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
