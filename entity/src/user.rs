//! `users`: one row a person; `session_version` is what nodes compare and set before they change a session.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// UUIDv7, made by the service; of an imported user the UUID it had, or one made of its old id.
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
    /// Goes up by one with every change of the user's sessions.
    pub session_version: i64,
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
    /// When an operator disabled the account, in ms; its sessions ended in the same transaction. None while it may sign in.
    pub disabled_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
