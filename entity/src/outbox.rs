//! `outbox`: events of committed changes for other services; a row is deleted once the bus has accepted
//! it.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Order of writing; never reused. A user's rows are in the order of the user's changes.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user whose event it is.
    pub user_id: Uuid,
    /// Public channel, such as `auth:session.created`.
    pub channel: String,
    /// The whole JSON message; its `eventId` stays the same however often it is sent.
    pub payload: String,
    /// When it was written, in ms.
    pub created_at: i64,
}

impl ActiveModelBehavior for ActiveModel {}
