//! The outbox: what committed changes owe to the other services, in order, until the bus has taken it.

use entity::outbox;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{StorageError, Store};
use crate::domain::time::Timestamp;
use crate::events::Message;

/// A message that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Place in the order.
    pub id: i64,
    /// What to publish.
    pub message: Message,
    /// When it was written.
    pub created_at: Timestamp,
}

impl Store {
    /// The oldest messages, at most `limit`.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_outbox(&self, limit: u64) -> Result<Vec<OutboxMessage>, StorageError> {
        let db = self.db.clone();
        let query = outbox::Entity::find().order_by_asc(outbox::Column::Id).limit(limit);
        let rows = self.io.run(async move { query.all(&db).await }).await??;
        Ok(rows.into_iter().map(message_of).collect())
    }

    /// Forgets messages that the bus has taken.
    ///
    /// # Errors
    /// [`StorageError`]; they will be published again then, with the same event ids.
    pub async fn delete_outbox(&self, ids: Vec<i64>) -> Result<(), StorageError> {
        let db = self.db.clone();
        let delete = outbox::Entity::delete_many().filter(outbox::Column::Id.is_in(ids));
        self.io.run(async move { delete.exec(&db).await }).await??;
        Ok(())
    }

    /// How many messages wait.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn count_outbox(&self) -> Result<u64, StorageError> {
        let db = self.db.clone();
        Ok(self.io.run(async move { outbox::Entity::find().count(&db).await }).await??)
    }
}

fn message_of(row: outbox::Model) -> OutboxMessage {
    OutboxMessage {
        id: row.id,
        message: Message { channel: row.channel.into(), payload: row.payload.into() },
        created_at: Timestamp::from_millis(row.created_at),
    }
}
