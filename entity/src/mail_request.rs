//! `mail_requests`: one row for each requested code. The code itself is not stored: it is derived from
//! the row.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail_requests")]
pub struct Model {
    /// Random: a client that knows it has requested the code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The purpose of the code.
    pub purpose: String,
    /// The address that the code goes to, whether it has an account or not.
    pub address: String,
    /// The account, if it is known when the code is requested.
    pub user_id: Option<Uuid>,
    /// When it was requested, in ms.
    pub created_at: i64,
    /// Until when the code is valid, in ms.
    pub expires_at: i64,
    /// How many wrong codes were tried.
    pub tries: i32,
    /// When the code was used, in ms.
    pub used_at: Option<i64>,
    /// JSON: the data of a sign-up that waits for the code (name, hash of the password, the login's
    /// options).
    pub payload: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
