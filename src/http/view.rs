//! Users and sessions as clients see them. No hash, no session token.

use std::net::IpAddr;

use serde::Serialize;

use crate::actors::snapshot::LiveSession;
use crate::domain::device::DeviceInfo;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::policy::Policy;
use crate::domain::session::SessionProfile;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};

/// A user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserView<'a> {
    id: UserId,
    name: &'a str,
    email: &'a str,
    role: Role,
    last_activity_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> UserView<'a> {
    /// A user whose sessions were last active then.
    #[must_use]
    pub fn new(user: &'a User, last_activity_at: Timestamp) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            email: user.email.as_str(),
            role: user.role,
            last_activity_at: last_activity_at.max(user.last_activity_at),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A live session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView<'a> {
    id: SessionId,
    device_info: &'a DeviceInfo,
    ip_address: Option<IpAddr>,
    created_at: Timestamp,
    /// For sorting by it as well.
    pub last_activity: Timestamp,
    expires_at: Timestamp,
    idle_expires_at: Timestamp,
    current: bool,
}

impl<'a> SessionView<'a> {
    /// A session that was last active then; `current` is the session of whoever asks.
    #[must_use]
    pub fn new(
        profile: &'a SessionProfile,
        last_activity: Timestamp,
        policy: &Policy,
        current: SessionId,
    ) -> Self {
        Self {
            id: profile.id,
            device_info: &profile.device,
            ip_address: profile.ip_address,
            created_at: profile.created_at,
            last_activity,
            expires_at: profile.expires_at,
            idle_expires_at: profile.idle_expires_at(last_activity, policy),
            current: profile.id == current,
        }
    }

    /// A session as this node knows it now.
    #[must_use]
    pub fn of_live(session: &'a LiveSession, policy: &Policy, current: SessionId) -> Self {
        Self::new(&session.profile, session.last_activity(), policy, current)
    }
}
