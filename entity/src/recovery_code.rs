//! `recovery_codes`: keyed hashes of unused codes; a used one is deleted.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recovery_codes")]
pub struct Model {
    /// Owner; the first part of the key, so that the table can be sharded by user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// HMAC-SHA-256 of the code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: Vec<u8>,
    /// When it was issued, in ms.
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
