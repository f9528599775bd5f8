//! Loading a user's ledger, and committing what was decided on it: the compare-and-set that arbitrates between nodes.

use entity::{outbox, session, user};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    RuntimeErr, Select, TransactionTrait,
};
use uuid::Uuid;

use super::rows::{generation_column, new_session_row, outbox_rows, role_of, session_of};
use super::{StorageError, Store, greater_of};
use crate::domain::event::{Ending, LedgerEvent};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::ledger::{Ledger, RememberedEnding};
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
    /// The user's live sessions, or nothing if there is no such user or it was deleted.
    ///
    /// The version is read before the sessions: a change in between makes the version too old, never the sessions.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn load_ledger(&self, id: UserId) -> Result<Option<Ledger>, StorageError> {
        let db = self.db.clone();
        let rows = self.run(async move { select(&db, user_row(id)).await }).await?;
        rows.map(|rows| ledger_of(id, rows)).transpose()
    }

    /// The same, with the user's row locked until the turn is used up in a commit, or dropped: whoever lost to another
    /// node needs it, because that one goes on from what it has just stored and is faster every time.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn load_ledger_in_turn(&self, id: UserId) -> Result<Option<(Ledger, Turn)>, StorageError> {
        let (db, io) = (self.db.clone(), self.io.clone());
        let work = async move {
            let turn = Turn { transaction: Some(db.begin().await?), io };
            let rows = match &turn.transaction {
                Some(transaction) => select(transaction, user_row(id).lock_exclusive()).await?,
                None => None,
            };
            Ok::<_, DbErr>(rows.map(|rows| (rows, turn)))
        };
        let Some((rows, turn)) = self.run(work).await? else { return Ok(None) };
        Ok(Some((ledger_of(id, rows)?, turn)))
    }

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

    /// How those sessions of that user ended; what is live or unknown is left out. Asked on the turn's connection, if
    /// there is a turn: whoever holds one must not wait for another.
    ///
    /// # Errors
    /// [`StorageError`]; the turn is over then.
    pub async fn list_endings(
        &self,
        user: UserId,
        ids: Vec<SessionId>,
        turn: Option<Turn>,
    ) -> Result<(Vec<RememberedEnding>, Option<Turn>), StorageError> {
        let db = self.db.clone();
        let query = session::Entity::find()
            .select_only()
            .columns([session::Column::Id, session::Column::EndReason, session::Column::EndedBy])
            .filter(session::Column::UserId.eq(user.uuid()))
            .filter(session::Column::Id.is_in(ids.into_iter().map(SessionId::uuid)))
            .filter(session::Column::EndedAt.is_not_null())
            .into_tuple::<(Uuid, Option<String>, Option<Uuid>)>();
        let work = async move {
            let rows = match turn.as_ref().and_then(|turn| turn.transaction.as_ref()) {
                Some(transaction) => query.all(transaction).await?,
                None => query.all(&db).await?,
            };
            Ok::<_, DbErr>((rows, turn))
        };
        let (rows, turn) = self.run(work).await?;
        let ending = |(id, reason, by): (Uuid, Option<String>, Option<Uuid>)| {
            let reason = EndReason::parse(&reason?)?;
            Some(RememberedEnding { session: SessionId::new(id), reason, by: by.map(SessionId::new) })
        };
        Ok((rows.into_iter().filter_map(ending).collect(), turn))
    }

    /// Why that session of that user ended; nothing if it is live or unknown.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_ending(
        &self,
        user: UserId,
        id: SessionId,
    ) -> Result<Option<EndReason>, StorageError> {
        let db = self.db.clone();
        let query = session::Entity::find_by_id((user.uuid(), id.uuid()))
            .select_only()
            .column(session::Column::EndReason)
            .into_tuple::<Option<String>>();
        let reason = self.run(async move { query.one(&db).await }).await?.flatten();
        Ok(reason.as_deref().and_then(EndReason::parse))
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

type Rows = (user::Model, Vec<session::Model>);

fn user_row(id: UserId) -> Select<user::Entity> {
    user::Entity::find_by_id(id.uuid()).filter(user::Column::DeletedAt.is_null())
}

async fn select(db: &impl ConnectionTrait, user: Select<user::Entity>) -> Result<Option<Rows>, DbErr> {
    let Some(user) = user.one(db).await? else { return Ok(None) };
    let sessions = session::Entity::find()
        .filter(session::Column::UserId.eq(user.id))
        .filter(session::Column::EndedAt.is_null())
        .all(db)
        .await?;
    Ok(Some((user, sessions)))
}

fn ledger_of(id: UserId, (user, sessions): Rows) -> Result<Ledger, StorageError> {
    // Not collected: that would keep the rows' memory, which is ten times as large, for as long as the user is here.
    let mut live = Vec::with_capacity(sessions.len());
    for row in sessions {
        live.push(session_of(row)?);
    }
    let last_activity_at = Timestamp::from_millis(user.last_activity_at);
    let mut ledger = Ledger::new(id, role_of(&user.role)?, user.session_version, last_activity_at, live);
    ledger.disabled = user.disabled_at.is_some();
    Ok(ledger)
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
