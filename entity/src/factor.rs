//! `factors`: the secret of a person's authenticator app, sealed, and how it was used.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "factors")]
pub struct Model {
    /// Owner; the first part of the key, so that the table can be sharded by user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// `totp`, or `totp_pending` while it has not been confirmed.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// The secret, sealed for this row.
    pub sealed: Vec<u8>,
    /// When it was set up, in ms.
    pub created_at: i64,
    /// Latest step of 30 s whose code was used; that code and all before it are void.
    pub last_step: i64,
    /// When a code was last accepted, in ms.
    pub last_used_at: Option<i64>,
    /// Wrong codes since the last right one.
    pub failures: i32,
}

impl ActiveModelBehavior for ActiveModel {}
