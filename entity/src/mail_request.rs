//! `mail_requests`: one row for each code that was asked for. The code itself is nowhere: it is derived from
//! the row.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail_requests")]
pub struct Model {
    /// Random: who knows it has asked for the code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What the code is good for.
    pub purpose: String,
    /// The address that the code goes to, whether it has an account or not.
    pub address: String,
    /// The account, where it is known when the code is asked for.
    pub user_id: Option<Uuid>,
    /// When it was asked for, in ms.
    pub created_at: i64,
    /// Until when the code is good, in ms.
    pub expires_at: i64,
    /// How many wrong codes were tried.
    pub tries: i32,
    /// When the code was used, in ms.
    pub used_at: Option<i64>,
    /// JSON: what a sign-up waits with (name, hash of the password, the login's options).
    pub payload: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
