//! Mails as an operator handles them: listing them, and retrying those that were given up.

use entity::mail;
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::storage::{StorageError, Store};

/// A mail as an operator sees it.
#[derive(Clone, Debug)]
pub struct ListedMail {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// The account it is about.
    pub user: Option<UserId>,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often it was leased.
    pub attempts: i32,
    /// When it is tried next; `None` if it is finished.
    pub next_at: Option<Timestamp>,
    /// How it was finished.
    pub outcome: Option<String>,
    /// Class of the latest error.
    pub error: Option<String>,
}

impl Store {
    /// Mails, the newest first; with `failed` only those that were not sent and never will be.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_mails(&self, failed: bool, limit: u64) -> Result<Vec<ListedMail>, StorageError> {
        let db = self.db.clone();
        let mut query = mail::Entity::find().order_by_desc(mail::Column::CreatedAt).limit(limit);
        if failed {
            query = query.filter(was_given_up());
        }
        let rows = self.run(async move { query.all(&db).await }).await?;
        Ok(rows.into_iter().map(listed_of).collect())
    }

    /// Retries mails that were given up, all or these, but not those that are out of date. Returns how
    /// many.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn retry_mails(&self, ids: Vec<Uuid>, now: Timestamp) -> Result<u64, StorageError> {
        let db = self.db.clone();
        let mut retry = mail::Entity::update_many()
            .col_expr(mail::Column::NextAt, Expr::value(now.millis()))
            .col_expr(mail::Column::DoneAt, Expr::value(None::<i64>))
            .col_expr(mail::Column::Outcome, Expr::value(None::<String>))
            .filter(was_given_up())
            .filter(mail::Column::UsefulUntil.gt(now.millis()));
        if !ids.is_empty() {
            retry = retry.filter(mail::Column::Id.is_in(ids));
        }
        let retried = self.run(async move { retry.exec(&db).await }).await?;
        Ok(retried.rows_affected)
    }
}

fn was_given_up() -> SimpleExpr {
    mail::Column::Outcome.is_in(["failed", "expired"])
}

fn listed_of(row: mail::Model) -> ListedMail {
    ListedMail {
        id: row.id,
        kind: row.kind,
        user: row.user_id.map(UserId::new),
        created_at: Timestamp::from_millis(row.created_at),
        attempts: row.attempts,
        next_at: row.next_at.map(Timestamp::from_millis),
        outcome: row.outcome,
        error: row.error,
    }
}
