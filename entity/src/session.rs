//! `sessions`: one row per session, stored after its end with the reason until retention removes it.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// Owner; the first part of the key, so that the table can be sharded by user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// UUIDv7, made by the service.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The random value that access tokens carry as `stk`.
    pub token: Uuid,
    /// Generation of the one refresh token that is current.
    pub refresh_generation: i32,
    /// When that generation was issued, in ms.
    pub refreshed_at: i64,
    /// No access token of the session is valid after this, in ms.
    pub tokens_expire_at: i64,
    /// Name the person or client gave the device.
    pub device_name: Option<String>,
    /// Browser read from the User-Agent.
    pub browser: Option<String>,
    /// Operating system read from the User-Agent.
    pub os: Option<String>,
    /// `desktop`, `mobile`, `bot` or `unknown`.
    pub device_type: String,
    /// The User-Agent, at most 512 characters.
    pub user_agent: Option<String>,
    /// Address of the client at login.
    pub ip_address: Option<String>,
    /// When the session was opened, in ms.
    pub created_at: i64,
    /// Latest activity that reached the database, in ms.
    pub last_activity: i64,
    /// Absolute end, whatever the activity, in ms.
    pub expires_at: i64,
    /// When it ended, in ms; none while it is live.
    pub ended_at: Option<i64>,
    /// Why it ended; set together with `ended_at`.
    pub end_reason: Option<String>,
    /// The session that ended this one, where a person did it from another device.
    pub ended_by: Option<Uuid>,
    /// When the person last authenticated, in ms; none in rows of an older version, which means when it
    /// was opened.
    pub auth_time: Option<i64>,
    /// How the person authenticated, as a bit set; none in rows of an older version, which means by
    /// password.
    pub amr: Option<i32>,
    /// The session ends after this long without activity, in ms; none in rows of an older version.
    pub idle_timeout_ms: Option<i64>,
    /// Whether the person asked to stay signed in on this device; none if the client did not say.
    pub remember: Option<bool>,
    /// Whether login delivered the refresh token in the body, not in a cookie.
    pub refresh_in_body: bool,
    /// When a token of the current refresh generation first reached a node, in ms; none before that.
    pub refresh_seen_at: Option<i64>,
    /// Refresh tokens of lower generations are void.
    pub refresh_floor: i32,
    /// The session cannot expire earlier than this, in ms. Activity does not move it.
    pub ends_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
