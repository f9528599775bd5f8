//! `api_keys`: what other services and operators authenticate with; a row remains after the key is
//! revoked.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// The public part of the key, random.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// What the operator calls it.
    pub name: Option<String>,
    /// SHA-256 of the secret part, in hexadecimal.
    pub secret_hash: String,
    /// Its scopes, separated by blanks.
    pub scopes: String,
    /// When it was made, in ms.
    pub created_at: i64,
    /// From when on it is refused, in ms; none if it does not expire.
    pub expires_at: Option<i64>,
    /// When it was revoked, in ms.
    pub revoked_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
