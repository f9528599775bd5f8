//! `passkeys`: the public keys that a person signs in with.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkeys")]
pub struct Model {
    /// Owner; the first part of the key, so that the table can be sharded by user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// Its credential id, chosen by the authenticator, at most 1,023 bytes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub credential_id: Vec<u8>,
    /// Its id in the service's own API.
    pub id: Uuid,
    /// Name the person gave it.
    pub name: String,
    /// The public key, a COSE_Key.
    pub public_key: Vec<u8>,
    /// Highest signature counter seen; 0 if the authenticator has none.
    pub counter: i64,
    /// Whether it may be stored on more than one device.
    pub backup_eligible: bool,
    /// Whether it was backed up when it was last used.
    pub backed_up: bool,
    /// How the authenticator can be reached, comma-separated.
    pub transports: String,
    /// When it was added, in ms.
    pub added_at: i64,
    /// When it last signed in, in ms.
    pub last_used_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
