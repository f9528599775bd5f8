//! A live session: its fixed part, and the part that changes. An ended session is never a value of this type.

use std::net::IpAddr;
use std::time::Duration;

use super::authentication::Authentication;
use super::device::Device;
use super::ids::{SessionId, SessionToken};
use super::time::Timestamp;

/// How the refresh token is delivered to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// In a cookie that scripts cannot read.
    #[default]
    Cookie,
    /// In the body, for clients other than browsers.
    Body,
}

/// What is fixed when a session is opened. About 80 bytes: copying it is cheaper than allocating it
/// separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionProfile {
    /// Identifier.
    pub id: SessionId,
    /// The device it was opened on.
    pub device: Device,
    /// Address it was opened from.
    pub ip_address: Option<IpAddr>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Whether the person asked to stay signed in on this device; `None` if the login did not say.
    pub remember: Option<bool>,
    /// How login delivered the refresh token.
    pub delivery: Delivery,
}

/// When a session is over, by the policy at its last login or refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// It ends after this long without activity.
    pub idle_timeout: Duration,
    /// It ends at this time regardless of activity.
    pub expires_at: Timestamp,
}

impl Times {
    /// When the session is over unless there is activity after `last_activity`; never after `expires_at`.
    #[must_use]
    pub fn idle_expires_at(self, last_activity: Timestamp) -> Timestamp {
        last_activity.plus(self.idle_timeout).min(self.expires_at)
    }
}

/// The current refresh token (RFC 9700, section 4.14.2: rotation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Counts the rotations; a token of a lower generation has been replaced.
    pub generation: u32,
    /// When this generation was issued.
    pub issued_at: Timestamp,
    /// When a token of this generation first reached a node; `None` until then.
    pub seen_at: Option<Timestamp>,
    /// Tokens of lower generations are void.
    pub floor: u32,
}

impl Refresh {
    /// The first token of a session.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        Self { generation: 1, issued_at: now, seen_at: None, floor: 0 }
    }

    /// The token that replaces this one.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self { generation: self.generation.saturating_add(1), issued_at: now, seen_at: None, ..self }
    }
}

impl Refresh {
    /// Whether a refresh token of that generation is valid at that time. The current one is. The one
    /// just before is too, until the current one has been seen and the grace after that has passed,
    /// because the answer that carried the current one may have been lost.
    #[must_use]
    pub fn accepts(&self, generation: u32, now: Timestamp, grace: Duration) -> bool {
        let is_replaced = generation.checked_add(1) == Some(self.generation);
        let in_grace = |seen: Timestamp| now <= seen.max(self.issued_at).plus(grace);
        !self.is_void(generation)
            && (generation == self.generation || (is_replaced && self.seen_at.is_none_or(in_grace)))
    }

    /// Whether a token of that generation was never issued, or was made void by a change of credentials.
    #[must_use]
    pub fn is_void(&self, generation: u32) -> bool {
        generation == 0 || generation < self.floor || generation > self.generation
    }
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What never changes.
    pub profile: SessionProfile,
    /// Value that binds access tokens to this session.
    pub token: SessionToken,
    /// When it is over.
    pub times: Times,
    /// When and how the person last authenticated.
    pub authentication: Authentication,
    /// Latest login or activity; never goes back.
    pub last_activity: Timestamp,
    /// Current refresh generation.
    pub refresh: Refresh,
    /// No access token of this session is valid after this.
    pub tokens_expire_at: Timestamp,
}

impl Session {
    /// Identifier.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.profile.id
    }

    /// When the session is over if there is no further activity.
    #[must_use]
    pub fn idle_expires_at(&self) -> Timestamp {
        self.times.idle_expires_at(self.last_activity)
    }
}
