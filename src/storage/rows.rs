//! Rows to values and back. A row that cannot be read is an error, never a guess.

use entity::{outbox, session, user};
use sea_orm::ActiveValue::{NotSet, Set};

use std::time::Duration;

use super::StorageError;
use crate::domain::account::Account;
use crate::domain::account_details::AccountDetails;
use crate::domain::address_form::AddressForm;
use crate::domain::authentication::{Authentication, Methods};
use crate::domain::device::{Device, DeviceInfo, DeviceType};
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::policy::OwnPolicy;
use crate::domain::session::{Delivery, Refresh, Session, SessionProfile, Times};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Role, User};
use crate::events::announcement::Announcement;
use crate::security::password::PasswordHash;

pub(super) fn user_of(row: user::Model) -> Result<User, StorageError> {
    let policy = policy_of(&row)?;
    let role = role_of(&row.role)?;
    Ok(User {
        id: UserId::new(row.id),
        name: row.name,
        email: Email::from_stored(row.email),
        role,
        last_activity_at: Timestamp::from_millis(row.last_activity_at),
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
        disabled_at: row.disabled_at.map(Timestamp::from_millis),
        email_verified_at: row.email_verified_at.map(Timestamp::from_millis),
        locale: row.locale,
        credentials_changed_at: row.credentials_changed_at.map(Timestamp::from_millis),
        factors: factors_of(row.factors),
        password_change_required: row.password_change_required,
        policy,
        delete_at: row.delete_at.map(Timestamp::from_millis),
    })
}

/// What the rules need of a user's row.
pub(super) fn account_of(row: &user::Model) -> Result<Account, StorageError> {
    Ok(Account {
        disabled: row.disabled_at.is_some(),
        factors: factors_of(row.factors),
        credentials_changed_at: row.credentials_changed_at.map(Timestamp::from_millis),
        policy: policy_of(row)?.map(Box::new),
        details: AccountDetails::of(
            &row.name,
            &row.email,
            &row.password_hash,
            row.email_verified_at.is_some(),
        ),
    })
}

fn factors_of(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

fn policy_of(row: &user::Model) -> Result<Option<OwnPolicy>, StorageError> {
    let Some(text) = &row.policy else { return Ok(None) };
    let unknown = |_| StorageError::UnknownValue { table: "users", column: "policy" };
    serde_json::from_str(text).map(Some).map_err(unknown)
}

pub(super) fn policy_column(policy: &OwnPolicy) -> String {
    serde_json::to_string(policy).unwrap_or_default()
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
        rotations: Set(0),
        change_stamp: Set(0),
        last_activity_at: Set(user.last_activity_at.millis()),
        created_at: Set(user.created_at.millis()),
        updated_at: Set(user.updated_at.millis()),
        deleted_at: Set(None),
        disabled_at: Set(user.disabled_at.map(Timestamp::millis)),
        email_verified_at: Set(user.email_verified_at.map(Timestamp::millis)),
        locale: Set(user.locale.clone()),
        credentials_changed_at: Set(user.credentials_changed_at.map(Timestamp::millis)),
        factors: Set(i32::try_from(user.factors).unwrap_or(i32::MAX)),
        password_change_required: Set(user.password_change_required),
        policy: Set(user.policy.as_ref().map(policy_column)),
        delete_at: Set(user.delete_at.map(Timestamp::millis)),
    }
}

pub(super) fn role_of(name: &str) -> Result<Role, StorageError> {
    Role::parse(name).ok_or(StorageError::UnknownValue { table: "users", column: "role" })
}

/// `idle_timeout` is for a session whose row has none, because an older version opened it.
pub(super) fn session_of(
    row: session::Model,
    idle_timeout: Duration,
    addresses: AddressForm,
) -> Result<Session, StorageError> {
    let unknown = |column| StorageError::UnknownValue { table: "sessions", column };
    let methods = row.amr.map_or(Some(Methods::PASSWORD), Methods::from_bits);
    Ok(Session {
        token: SessionToken::new(row.token),
        times: Times {
            idle_timeout: row
                .idle_timeout_ms
                .and_then(|millis| u64::try_from(millis).ok())
                .map_or(idle_timeout, Duration::from_millis),
            expires_at: Timestamp::from_millis(row.expires_at),
        },
        authentication: Authentication {
            at: Timestamp::from_millis(row.auth_time.unwrap_or(row.created_at)),
            methods: methods.ok_or_else(|| unknown("amr"))?,
        },
        last_activity: Timestamp::from_millis(row.last_activity),
        refresh: Refresh {
            generation: u32::try_from(row.refresh_generation).map_err(|_| unknown("refresh_generation"))?,
            issued_at: Timestamp::from_millis(row.refreshed_at),
            seen_at: row.refresh_seen_at.map(Timestamp::from_millis),
            floor: u32::try_from(row.refresh_floor).map_err(|_| unknown("refresh_floor"))?,
        },
        tokens_expire_at: Timestamp::from_millis(row.tokens_expire_at),
        profile: SessionProfile {
            id: SessionId::new(row.id),
            ip_address: addresses.of(row.ip_address.as_deref().and_then(|address| address.parse().ok())),
            created_at: Timestamp::from_millis(row.created_at),
            remember: row.remember,
            delivery: if row.refresh_in_body { Delivery::Body } else { Delivery::Cookie },
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
        token: Set(session.token.expose()),
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
        expires_at: Set(session.times.expires_at.millis()),
        ended_at: Set(None),
        end_reason: Set(None),
        ended_by: Set(None),
        auth_time: Set(Some(session.authentication.at.millis())),
        amr: Set(Some(session.authentication.methods.bits().into())),
        idle_timeout_ms: Set(Some(millis_column(session.times.idle_timeout))),
        remember: Set(profile.remember),
        refresh_in_body: Set(profile.delivery == Delivery::Body),
        refresh_seen_at: Set(session.refresh.seen_at.map(Timestamp::millis)),
        refresh_floor: Set(generation_column(session.refresh.floor)),
        ends_at: Set(session.idle_expires_at().millis()),
    }
}

pub(super) fn millis_column(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A session cannot rotate two billion times in its life; if it did, it would stop rotating.
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
