//! API keys: made, listed and revoked by operators, and read by every node with each poll of the feed of
//! changes.

use entity::api_key;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select};

use super::{StorageError, Store};
use crate::domain::time::Timestamp;
use crate::security::api_key::{ApiKey, Scopes, SecretHash};

impl Store {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn add_api_key(&self, key: &ApiKey) -> Result<(), StorageError> {
        let row = api_key::ActiveModel {
            id: Set(key.id.clone()),
            name: Set(key.name.clone()),
            secret_hash: Set(key.secret_hash.expose().to_owned()),
            scopes: Set(key.scopes.to_string()),
            created_at: Set(key.created_at.millis()),
            expires_at: Set(key.expires_at.map(Timestamp::millis)),
            revoked_at: Set(key.revoked_at.map(Timestamp::millis)),
        };
        let db = self.db.clone();
        self.run(async move { api_key::Entity::insert(row).exec_without_returning(&db).await.map(drop) })
            .await
    }

    /// All keys, the newest first; revoked ones too.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_api_keys(&self) -> Result<Vec<ApiKey>, StorageError> {
        let db = self.db.clone();
        let query = api_key::Entity::find().order_by_desc(api_key::Column::CreatedAt);
        let rows = self.run(async move { query.all(&db).await }).await?;
        Ok(rows.into_iter().map(key_of).collect())
    }

    /// Revokes a key. False where no key has that id, or it is revoked already.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let update = api_key::Entity::update_many()
            .col_expr(api_key::Column::RevokedAt, Expr::value(now.millis()))
            .filter(api_key::Column::Id.eq(id))
            .filter(api_key::Column::RevokedAt.is_null());
        Ok(self.run(async move { update.exec(&db).await }).await?.rows_affected > 0)
    }
}

/// Keys that are not revoked. They may have expired.
pub(super) fn usable() -> Select<api_key::Entity> {
    api_key::Entity::find().filter(api_key::Column::RevokedAt.is_null())
}

pub(super) fn key_of(row: api_key::Model) -> ApiKey {
    ApiKey {
        id: row.id,
        name: row.name,
        secret_hash: SecretHash::from_stored(row.secret_hash),
        scopes: Scopes::from_stored(&row.scopes),
        created_at: Timestamp::from_millis(row.created_at),
        expires_at: row.expires_at.map(Timestamp::from_millis),
        revoked_at: row.revoked_at.map(Timestamp::from_millis),
    }
}
