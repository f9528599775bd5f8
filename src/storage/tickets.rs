//! Used tickets, recorded where all nodes see them: the first to insert the key has the ticket.

use entity::spent_ticket;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
    TryInsert, TryInsertResult,
};
use uuid::Uuid;

use super::mails::insert_mails;
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::mail::NewMail;
use crate::domain::time::Timestamp;

impl Store {
    /// Records that a user's ticket was used. False if it had been used before.
    ///
    /// # Errors
    /// [`StorageError`]; then it may have been recorded.
    pub async fn spend_ticket(
        &self,
        user: UserId,
        ticket: Uuid,
        expires_at: Timestamp,
    ) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let insert = spending(user, ticket, expires_at);
        self.run(async move { insert.exec_without_returning(&db).await }).await.map(|it| is_first(&it))
    }

    /// Notes that a user's ticket was used, and stores what the person is mailed of it. False, and nothing is
    /// mailed, if it was used before.
    ///
    /// # Errors
    /// [`StorageError`]; then it may have been noted.
    pub async fn spend_ticket_and_mail(
        &self,
        user: UserId,
        ticket: Uuid,
        expires_at: Timestamp,
        mails: Vec<NewMail>,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let insert = spending(user, ticket, expires_at);
        let work = async move {
            let transaction = db.begin().await?;
            let is_first = is_first(&insert.exec_without_returning(&transaction).await?);
            if is_first {
                insert_mails(&transaction, mails, now).await?;
            }
            transaction.commit().await?;
            Ok::<_, DbErr>(is_first)
        };
        self.run(work).await
    }

    /// Whether a user's ticket was used. False does not mean that the caller has it: only
    /// [`Store::spend_ticket`] decides that.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn is_ticket_spent(&self, user: UserId, ticket: Uuid) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let query = spent_ticket::Entity::find_by_id((user.uuid(), ticket));
        Ok(self.run(async move { query.count(&db).await }).await? > 0)
    }

    /// Makes a used ticket of a user usable again, because what it was for was not done.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn unspend_ticket(&self, user: UserId, ticket: Uuid) -> Result<(), StorageError> {
        let db = self.db.clone();
        let delete = spent_ticket::Entity::delete_by_id((user.uuid(), ticket));
        self.run(async move { delete.exec(&db).await }).await.map(drop)
    }

    /// Deletes the oldest spent tickets that expired before `before`, about `limit` of them. Returns how
    /// many it found.
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

fn spending(user: UserId, ticket: Uuid, expires_at: Timestamp) -> TryInsert<spent_ticket::ActiveModel> {
    let row = spent_ticket::ActiveModel {
        user_id: Set(user.uuid()),
        id: Set(ticket),
        expires_at: Set(expires_at.millis()),
    };
    spent_ticket::Entity::insert(row).on_conflict_do_nothing()
}

/// Whether a ticket was not used before.
fn is_first(inserted: &TryInsertResult<u64>) -> bool {
    matches!(inserted, TryInsertResult::Inserted(rows) if *rows > 0)
}
