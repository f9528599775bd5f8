//! `spent_tickets`: used tickets for live connections, until no node could accept them as valid any more.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spent_tickets")]
pub struct Model {
    /// Owner of the session; the first part of the key, so that the table can be sharded by user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// The ticket's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Until when the ticket was valid, in ms.
    pub expires_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
