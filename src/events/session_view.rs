//! A live session as clients see it, in answers and in messages to devices. It has no session token.

use std::net::IpAddr;

use serde::Serialize;

use crate::domain::device::Device;
use crate::domain::ids::SessionId;
use crate::domain::session::{SessionProfile, Times};
use crate::domain::time::Timestamp;

/// A live session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView<'a> {
    id: SessionId,
    device_info: &'a Device,
    ip_address: Option<IpAddr>,
    created_at: Timestamp,
    /// Public so that lists can be sorted by it.
    pub last_activity: Timestamp,
    expires_at: Timestamp,
    idle_expires_at: Timestamp,
    current: bool,
}

impl<'a> SessionView<'a> {
    /// A session with its latest activity; `current` is the session of the caller.
    #[must_use]
    pub fn new(
        profile: &'a SessionProfile,
        times: Times,
        last_activity: Timestamp,
        current: SessionId,
    ) -> Self {
        Self {
            id: profile.id,
            device_info: &profile.device,
            ip_address: profile.ip_address,
            created_at: profile.created_at,
            last_activity,
            expires_at: times.expires_at,
            idle_expires_at: times.idle_expires_at(last_activity),
            current: profile.id == current,
        }
    }
}
