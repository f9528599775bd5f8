//! Loading a user's ledger ([`load`]), and committing what was decided on it: the compare-and-set that arbitrates
//! between nodes.

mod load;

use entity::{outbox, session, user};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, RuntimeErr, TransactionTrait,
};
use uuid::Uuid;

use super::rows::{generation_column, new_session_row, outbox_rows};
use super::{StorageError, Store, greater_of};
use crate::domain::event::{Ending, LedgerEvent};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::events::announcement::Announcement;
use crate::io::Io;
use crate::telemetry::traces::Step;

/// What was decided on a ledger, to be stored if the ledger is still what it was.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Whose.
    pub user: UserId,
    /// Version of the ledger that was decided on.
    pub decided_on: i64,
    /// What happened; empty only where the account itself changes with it.
    pub events: Vec<LedgerEvent>,
    /// What the other services are told of it.
    pub announcements: Vec<Announcement>,
    /// Latest activity of any session, as far as this node knows.
    pub last_activity_at: Timestamp,
    /// When.
    pub now: Timestamp,
}

/// What became of a commit that the database answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CommitOutcome {
    /// Stored, as this version.
    Committed(i64),
    /// Another node was first, or has seen activity of a session that was to end as idle. Nothing was stored.
    Conflict,
}

/// A user's row, locked. Bound: the database takes it back from a node that stands still for
/// [`super::open::IDLE_IN_TRANSACTION`].
#[derive(Debug)]
pub struct Turn {
    transaction: Option<DatabaseTransaction>,
    io: Io,
}

impl Turn {
    fn into_transaction(mut self) -> Option<DatabaseTransaction> {
        self.transaction.take()
    }
}

impl Drop for Turn {
    /// Not used: given back where its socket lives.
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.io.detach(async move { drop(transaction.rollback().await) });
        }
    }
}

impl Store {
    /// Stores the decision in one transaction, if the ledger's version is still the one decided on; in that of the
    /// turn, if the ledger was read in one.
    ///
    /// # Errors
    /// [`StorageError`]; whether it was stored is then unknown, and the ledger must be read again.
    pub async fn commit(&self, commit: Commit, turn: Option<Turn>) -> Result<CommitOutcome, StorageError> {
        let db = self.db.clone();
        let stamp = self.change_stamp();
        let work = async move {
            let transaction = match turn.and_then(Turn::into_transaction) {
                Some(transaction) => transaction,
                None => db.begin().await?,
            };
            let version = commit.decided_on + 1;
            if store(&transaction, commit, stamp).await? {
                transaction.commit().await?;
                Ok(CommitOutcome::Committed(version))
            } else {
                transaction.rollback().await?;
                Ok::<_, DbErr>(CommitOutcome::Conflict)
            }
        };
        // Boxed, because it is large and would be copied from future to future.
        let work = Box::pin(work);
        let step = Step::begin("database.commit");
        let outcome = self.run(async move { work.await.or_else(conflict_if_rolled_back) }).await;
        step.note(&outcome);
        outcome
    }
}

/// The database chose this transaction to end a deadlock, or could not order it: nothing of it was stored.
fn conflict_if_rolled_back(error: DbErr) -> Result<CommitOutcome, DbErr> {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = &error
    else {
        return Err(error);
    };
    match cause.as_database_error().and_then(|cause| cause.code()).as_deref() {
        Some("40P01" | "40001") => Ok(CommitOutcome::Conflict),
        _ => Err(error),
    }
}

/// The user's row comes first: from then on the row lock keeps other nodes out, and keeps the outbox in order.
pub(super) async fn store(
    transaction: &DatabaseTransaction,
    commit: Commit,
    stamp: SimpleExpr,
) -> Result<bool, DbErr> {
    let user = commit.user.uuid();
    if !advance_version(transaction, &commit, stamp).await? {
        return Ok(false);
    }
    if !end_sessions(transaction, user, &commit.events).await? {
        return Ok(false);
    }
    for event in &commit.events {
        match event {
            LedgerEvent::Opened { session, .. } => {
                let row = new_session_row(commit.user, session);
                session::Entity::insert(row).exec_without_returning(transaction).await?;
            }
            LedgerEvent::Rotated { session, generation, at, tokens_expire_at } => {
                let update = session::Entity::update_many()
                    .col_expr(session::Column::RefreshGeneration, Expr::value(generation_column(*generation)))
                    .col_expr(session::Column::RefreshedAt, Expr::value(at.millis()))
                    .col_expr(session::Column::TokensExpireAt, Expr::value(tokens_expire_at.millis()))
                    .filter(session::Column::UserId.eq(user))
                    .filter(session::Column::Id.eq(session.uuid()));
                update.exec(transaction).await?;
            }
            LedgerEvent::Ended(_) | LedgerEvent::BulkTerminated { .. } => {}
        }
    }
    if !commit.announcements.is_empty() {
        let rows = outbox_rows(commit.announcements, commit.now);
        outbox::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    }
    Ok(true)
}

async fn advance_version(
    transaction: &DatabaseTransaction,
    commit: &Commit,
    stamp: SimpleExpr,
) -> Result<bool, DbErr> {
    let activity = greater_of(Expr::col(user::Column::LastActivityAt), commit.last_activity_at.millis());
    let update = user::Entity::update_many()
        .col_expr(user::Column::SessionVersion, Expr::value(commit.decided_on + 1))
        .col_expr(user::Column::ChangeStamp, stamp)
        .col_expr(user::Column::LastActivityAt, activity)
        .filter(user::Column::Id.eq(commit.user.uuid()))
        .filter(user::Column::SessionVersion.eq(commit.decided_on));
    Ok(update.exec(transaction).await?.rows_affected == 1)
}

/// One statement for each reason there is (nearly always one), and one for each idle ending, which holds only as
/// long as no later activity is stored. False when a session was not as it was thought to be.
async fn end_sessions(
    transaction: &DatabaseTransaction,
    user: Uuid,
    events: &[LedgerEvent],
) -> Result<bool, DbErr> {
    let endings = || events.iter().filter_map(LedgerEvent::ending);
    for reason in EndReason::ALL {
        let of_reason: Vec<_> = endings().filter(|ending| ending.reason == reason).collect();
        let groups: Vec<&[&Ending]> = match (reason, of_reason.is_empty()) {
            (_, true) => continue,
            (EndReason::IdleTimeout, false) => of_reason.chunks(1).collect(),
            (_, false) => vec![&of_reason],
        };
        for group in groups {
            if !end_group(transaction, user, group).await? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Ends sessions that share reason, time and originator.
async fn end_group(transaction: &DatabaseTransaction, user: Uuid, group: &[&Ending]) -> Result<bool, DbErr> {
    let Some(first) = group.first() else { return Ok(true) };
    let ids = group.iter().map(|ending| ending.session.uuid());
    let mut update = session::Entity::update_many()
        .col_expr(session::Column::EndedAt, Expr::value(first.at.millis()))
        .col_expr(session::Column::EndReason, Expr::value(first.reason.as_str()))
        .col_expr(session::Column::EndedBy, Expr::value(first.by.map(SessionId::uuid)))
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::Id.is_in(ids))
        .filter(session::Column::EndedAt.is_null());
    if first.reason == EndReason::IdleTimeout {
        update = update.filter(session::Column::LastActivity.lte(first.last_activity.millis()));
    }
    Ok(update.exec(transaction).await?.rows_affected == group.len() as u64)
}
