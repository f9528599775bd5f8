//! Tickets that were used, noted where all nodes see it: the row that takes the key first has the ticket.

use entity::spent_ticket;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, TryInsertResult,
};
use uuid::Uuid;

use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

impl Store {
    /// Notes that a user's ticket was used. False if it was before.
    ///
    /// # Errors
    /// [`StorageError`]; then it may have been noted.
    pub async fn spend_ticket(
        &self,
        user: UserId,
        ticket: Uuid,
        expires_at: Timestamp,
    ) -> Result<bool, StorageError> {
        let row = spent_ticket::ActiveModel {
            user_id: Set(user.uuid()),
            id: Set(ticket),
            expires_at: Set(expires_at.millis()),
        };
        let db = self.db.clone();
        let insert = spent_ticket::Entity::insert(row).on_conflict_do_nothing();
        let inserted = self.run(async move { insert.exec_without_returning(&db).await }).await?;
        Ok(matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0))
    }

    /// Whether a user's ticket was used. To be told no is not to have it: that is [`Store::spend_ticket`]'s
    /// to decide.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn is_ticket_spent(&self, user: UserId, ticket: Uuid) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let query = spent_ticket::Entity::find_by_id((user.uuid(), ticket));
        Ok(self.run(async move { query.count(&db).await }).await? > 0)
    }

    /// Takes back that a user's ticket was used: what it was to do was not done.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn unspend_ticket(&self, user: UserId, ticket: Uuid) -> Result<(), StorageError> {
        let db = self.db.clone();
        let delete = spent_ticket::Entity::delete_by_id((user.uuid(), ticket));
        self.run(async move { delete.exec(&db).await }).await.map(drop)
    }

    /// Forgets spent tickets that were good until before `before`: the oldest, about `limit` of them. Returns
    /// how many it found.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_spent_tickets(&self, before: Timestamp, limit: u64) -> Result<u64, StorageError> {
        let db = self.db.clone();
        let old = spent_ticket::Entity::find()
            .select_only()
            .column(spent_ticket::Column::ExpiresAt)
            .filter(spent_ticket::Column::ExpiresAt.lt(before.millis()))
            .order_by_asc(spent_ticket::Column::ExpiresAt)
            .limit(limit)
            .into_tuple::<i64>();
        let work = async move {
            let old = old.all(&db).await?;
            if let Some(youngest) = old.last() {
                let delete = spent_ticket::Entity::delete_many();
                delete.filter(spent_ticket::Column::ExpiresAt.lte(*youngest)).exec(&db).await?;
            }
            Ok::<_, DbErr>(old.len() as u64)
        };
        self.run(work).await
    }
}
