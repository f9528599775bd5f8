//! `users`: one row per person; nodes compare and set `session_version` before they change a session.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// UUIDv7, made by the service; for an imported user the UUID it had, or one derived from its old id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Trimmed display name, 1–100 characters.
    pub name: String,
    /// Trimmed, lower case, unique.
    #[sea_orm(unique)]
    pub email: String,
    /// bcrypt in modular crypt format.
    pub password_hash: String,
    /// `STARTER`, `PRO`, `ENTERPRISE` or `ADMIN`.
    pub role: String,
    /// Goes up by one with every change of the user's sessions or credentials.
    pub session_version: i64,
    /// How many of those changes were refresh rotations alone.
    pub rotations: i64,
    /// PostgreSQL: the id of the transaction that last changed `session_version`; SQLite: 0.
    pub change_stamp: i64,
    /// Latest activity the committing nodes knew of, over all sessions, in ms.
    pub last_activity_at: i64,
    /// When the person signed up, in ms.
    pub created_at: i64,
    /// When name, email, password or role last changed, or the account was disabled or enabled, in ms.
    pub updated_at: i64,
    /// When the account was deleted, in ms; its sessions ended in the same transaction.
    pub deleted_at: Option<i64>,
    /// When an operator disabled the account, in ms; its sessions ended in the same transaction. None while
    /// it may sign in.
    pub disabled_at: Option<i64>,
    /// When the person last verified the address, in ms.
    pub email_verified_at: Option<i64>,
    /// Language for mails, such as `de`; the service's default if not set.
    pub locale: Option<String>,
    /// When the password or the second factors last changed, in ms; grows with each change. None if they
    /// never did.
    pub credentials_changed_at: Option<i64>,
    /// How many second factors the person has.
    pub factors: i32,
    /// Whether the next login must set a new password.
    pub password_change_required: bool,
    /// The person's own session policy, as JSON.
    pub policy: Option<String>,
    /// When the account will be deleted, in ms, because the person asked for it.
    pub delete_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
