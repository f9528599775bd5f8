//! Messages to other services, made from what happened, in the order in which consumers must see it.

use serde_json::{Map, Value, json};

use super::Message;
use super::channel::Channel;
use crate::clock::new_uuid;
use crate::domain::account_change::ChangedBy;
use crate::domain::event::{Ending, LedgerEvent, OpenedBy};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::reason::EndReason;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::telemetry::serving::trace_id;

/// One message for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The user it is about. A user's announcements are published in the order in which they were made.
    pub user: UserId,
    /// The channel to publish it on.
    pub channel: Channel,
    /// The whole JSON message.
    pub payload: String,
}

impl Announcement {
    /// The message to publish.
    #[must_use]
    pub fn into_message(self) -> Message {
        Message { channel: self.channel.as_str().into(), payload: self.payload.into() }
    }
}

/// Makes announcements of one user at one time.
#[derive(Debug)]
pub struct Announcer<'a> {
    service: &'a str,
    user: UserId,
    now: Timestamp,
}

impl<'a> Announcer<'a> {
    /// For events of that user at that time; `service` is `SERVICE_NAME`.
    #[must_use]
    pub fn new(service: &'a str, user: UserId, now: Timestamp) -> Self {
        Self { service, user, now }
    }

    /// All announcements of these events. Evictions come before the session that they made room for.
    #[must_use]
    pub fn announce(&self, events: &[LedgerEvent]) -> Vec<Announcement> {
        let mut made = Vec::with_capacity(events.len() + 1);
        for event in events {
            match event {
                LedgerEvent::Opened { session, occasion } => self.opened(&mut made, session, occasion),
                LedgerEvent::Rotated { session } | LedgerEvent::Renewed { session, announced: true } => {
                    made.push(self.message(Channel::TokenRefreshed, json!({"sessionId": session.id()})));
                }
                LedgerEvent::Renewed { announced: false, .. }
                | LedgerEvent::Reissued { .. }
                | LedgerEvent::CodeSpent { .. }
                | LedgerEvent::Mailed(_) => {}
                LedgerEvent::AccountChanged { change, by, .. } => {
                    let changed = change.names();
                    if !changed.is_empty() {
                        let mut fields = json!({"changed": changed, "by": by});
                        if let Some(email) = &change.email {
                            fields["email"] = email.as_str().into();
                        }
                        made.push(self.message(Channel::UserUpdated, fields));
                    }
                }
                LedgerEvent::AccountDeleted { .. } => {
                    made.push(self.message(Channel::UserDeleted, json!({})))
                }
                LedgerEvent::Ended(ending) => self.ended(&mut made, ending),
                LedgerEvent::BulkTerminated { count } => {
                    made.push(self.message(Channel::SessionsBulkTerminated, json!({"count": count})));
                }
            }
        }
        made
    }

    /// A session was active.
    #[must_use]
    pub fn activity(&self, session: SessionId, last_activity: Timestamp) -> Announcement {
        let fields = json!({"sessionId": session, "lastActivity": last_activity});
        self.message(Channel::SessionActivityUpdated, fields)
    }

    /// The second factors of an account changed.
    #[must_use]
    pub fn factors_changed(&self, by: ChangedBy) -> Vec<Announcement> {
        vec![self.message(Channel::UserUpdated, json!({"changed": ["factors"], "by": by}))]
    }

    /// An account was created.
    #[must_use]
    pub fn registered(&self, email: &str) -> Announcement {
        self.message(Channel::UserRegistered, json!({"email": email}))
    }

    fn opened(&self, made: &mut Vec<Announcement>, session: &Session, occasion: &OpenedBy) {
        made.push(match occasion {
            OpenedBy::Signup { email } => self.registered(email),
            OpenedBy::Login => self.message(Channel::UserLogin, json!({"sessionId": session.id()})),
        });
        let fields = json!({
            "sessionId": session.id(),
            "deviceInfo": session.profile.device,
            "amr": session.authentication.methods,
        });
        made.push(self.message(Channel::SessionCreated, fields));
    }

    fn ended(&self, made: &mut Vec<Announcement>, ending: &Ending) {
        if ending.reason == EndReason::Logout {
            made.push(self.message(Channel::UserLogout, json!({"sessionId": ending.session})));
        }
        made.push(if ending.reason == EndReason::Terminated {
            let fields = json!({
                "sessionId": ending.session,
                "targetSessionToken": ending.token.expose(),
                "terminatedBySessionId": ending.by,
                "tokensExpireAt": ending.tokens_expire_at,
            });
            self.message(Channel::SessionTerminated, fields)
        } else {
            let fields = json!({
                "sessionId": ending.session,
                "reason": ending.reason,
                "tokensExpireAt": ending.tokens_expire_at,
            });
            self.message(Channel::SessionDeleted, fields)
        });
    }

    fn message(&self, channel: Channel, fields: Value) -> Announcement {
        let mut message = Map::new();
        message.insert("event".into(), channel.event_name().into());
        message.insert("eventId".into(), json!(new_uuid()));
        message.insert("timestamp".into(), json!(self.now));
        message.insert("service".into(), self.service.into());
        message.insert("userId".into(), json!(self.user));
        if let Some(id) = trace_id() {
            message.insert("traceId".into(), id.into());
        }
        if let Value::Object(fields) = fields {
            message.extend(fields);
        }
        Announcement { user: self.user, channel, payload: Value::Object(message).to_string() }
    }
}

#[cfg(test)]
mod tests;
