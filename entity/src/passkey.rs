//! `passkeys`: the public keys that a person signs in with.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkeys")]
pub struct Model {
    /// Owner; the first part of the key, so that the table can be sharded by user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// The authenticator's own id for it, at most 1,023 bytes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub credential_id: Vec<u8>,
    /// What the service's own interface calls it.
    pub id: Uuid,
    /// Name the person gave it.
    pub name: String,
    /// The public key, a COSE_Key.
    pub public_key: Vec<u8>,
    /// Highest signature counter seen; 0 where the authenticator keeps none.
    pub counter: i64,
    /// Whether it may be kept on more than one device.
    pub backup_eligible: bool,
    /// Whether it was, when it was last used.
    pub backed_up: bool,
    /// How the authenticator can be reached, comma-separated.
    pub transports: String,
    /// When it was added, in ms.
    pub added_at: i64,
    /// When it last signed in, in ms.
    pub last_used_at: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
