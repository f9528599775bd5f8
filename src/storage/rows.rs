//! Rows to values and back. A row that cannot be read is an error, never a guess.

use entity::{outbox, session, user};
use sea_orm::ActiveValue::{NotSet, Set};

use super::StorageError;
use crate::domain::device::{Device, DeviceInfo, DeviceType};
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::session::{Refresh, Session, SessionProfile};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Role, User};
use crate::events::announcement::Announcement;
use crate::security::password::PasswordHash;

pub(super) fn user_of(row: user::Model) -> Result<User, StorageError> {
    Ok(User {
        id: UserId::new(row.id),
        name: row.name,
        email: Email::from_stored(row.email),
        role: role_of(&row.role)?,
        last_activity_at: Timestamp::from_millis(row.last_activity_at),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        disabled_at: row.disabled_at.map(Timestamp::from_millis),
    })
}

/// No node holds anything of a new user, so its row needs no change stamp.
pub(super) fn new_user_row(user: &User, password_hash: &PasswordHash) -> user::ActiveModel {
    user::ActiveModel {
        id: Set(user.id.uuid()),
        name: Set(user.name.clone()),
        email: Set(user.email.as_str().to_owned()),
        password_hash: Set(password_hash.expose().to_owned()),
        role: Set(user.role.as_str().to_owned()),
        session_version: Set(0),
        change_stamp: Set(0),
        last_activity_at: Set(user.last_activity_at.millis()),
        created_at: Set(user.created_at.millis()),
        updated_at: Set(user.updated_at.millis()),
        deleted_at: Set(None),
        disabled_at: Set(user.disabled_at.map(Timestamp::millis)),
    }
}

pub(super) fn role_of(name: &str) -> Result<Role, StorageError> {
    Role::parse(name).ok_or(StorageError::UnknownValue { table: "users", column: "role" })
}

pub(super) fn session_of(row: session::Model) -> Result<Session, StorageError> {
    let unknown = |column| StorageError::UnknownValue { table: "sessions", column };
    Ok(Session {
        last_activity: Timestamp::from_millis(row.last_activity),
        refresh: Refresh {
            generation: u32::try_from(row.refresh_generation).map_err(|_| unknown("refresh_generation"))?,
            issued_at: Timestamp::from_millis(row.refreshed_at),
        },
        tokens_expire_at: Timestamp::from_millis(row.tokens_expire_at),
        profile: SessionProfile {
            id: SessionId::new(row.id),
            token: SessionToken::new(row.token),
            ip_address: row.ip_address.as_deref().and_then(|address| address.parse().ok()),
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: Timestamp::from_millis(row.expires_at),
            device: Device::new(DeviceInfo {
                name: row.device_name.map(String::into_boxed_str),
                browser: row.browser.map(String::into_boxed_str),
                os: row.os.map(String::into_boxed_str),
                device_type: DeviceType::parse(&row.device_type),
                user_agent: row.user_agent.map(String::into_boxed_str),
            }),
        },
    })
}

pub(super) fn new_session_row(user: UserId, session: &Session) -> session::ActiveModel {
    let profile = &session.profile;
    let text = |value: &Option<Box<str>>| Set(value.as_deref().map(str::to_owned));
    session::ActiveModel {
        user_id: Set(user.uuid()),
        id: Set(profile.id.uuid()),
        token: Set(profile.token.expose()),
        refresh_generation: Set(generation_column(session.refresh.generation)),
        refreshed_at: Set(session.refresh.issued_at.millis()),
        tokens_expire_at: Set(session.tokens_expire_at.millis()),
        device_name: text(&profile.device.name),
        browser: text(&profile.device.browser),
        os: text(&profile.device.os),
        device_type: Set(profile.device.device_type.as_str().to_owned()),
        user_agent: text(&profile.device.user_agent),
        ip_address: Set(profile.ip_address.map(|address| address.to_string())),
        created_at: Set(profile.created_at.millis()),
        last_activity: Set(session.last_activity.millis()),
        expires_at: Set(profile.expires_at.millis()),
        ended_at: Set(None),
        end_reason: Set(None),
        ended_by: Set(None),
    }
}

/// A session cannot rotate two thousand million times in its life; were it to, it would stop rotating.
pub(super) fn generation_column(generation: u32) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}

pub(super) fn outbox_rows(announcements: Vec<Announcement>, now: Timestamp) -> Vec<outbox::ActiveModel> {
    let row = |announcement: Announcement| outbox::ActiveModel {
        id: NotSet,
        user_id: Set(announcement.user.uuid()),
        channel: Set(announcement.channel.as_str().to_owned()),
        payload: Set(announcement.payload),
        created_at: Set(now.millis()),
    };
    announcements.into_iter().map(row).collect()
}
