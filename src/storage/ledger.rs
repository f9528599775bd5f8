//! Loading a user's ledger ([`load`]), and committing what was decided on it: the compare-and-set that
//! arbitrates between nodes. `writes` builds the statements of a commit, `single_statement` and
//! `multi_statement` run them. Commits that are `waiting` at the same moment are stored together: by
//! `rotations` on PostgreSQL, if they are refreshes, and by `group_commit` on SQLite.

mod account_columns;
mod group_commit;
mod load;
mod multi_statement;
mod rotations;
mod single_statement;
mod waiting;
mod writes;

use std::time::Duration;

pub(super) use group_commit::GroupCommit;
use rotations::Rotation;
pub(super) use rotations::RotationWriters;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};

use super::{StorageError, Store, TIMEOUT, refusal};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::time::Timestamp;
use crate::events::announcement::{Announcement, Announcer};
use crate::io::Io;
use crate::telemetry::traces::Step;

/// What was decided on a ledger, to be stored if the ledger has not changed since.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The user whose ledger it is.
    pub user: UserId,
    /// Version of the ledger on which the decision was made.
    pub decided_on: i64,
    /// What happened.
    pub events: Vec<LedgerEvent>,
    /// Whether it is only a rotation, on which no check depends, so that other nodes need not read it.
    pub is_rotation: bool,
    /// Its events to other services.
    pub announcements: Vec<Announcement>,
    /// Latest activity of any session, as far as this node knows.
    pub last_activity_at: Timestamp,
    /// When it was decided.
    pub now: Timestamp,
    /// How long the caller still waits. It is not stored after that, as far as the database can tell.
    pub wanted_for: Duration,
}

impl Commit {
    /// What stores events that were decided on `ledger`, and announces them in the name of `service`. It is
    /// no rotation, and wanted for as long as it takes.
    #[must_use]
    pub fn of(ledger: &Ledger, events: Vec<LedgerEvent>, service: &str, now: Timestamp) -> Self {
        Self {
            user: ledger.user,
            decided_on: ledger.version,
            announcements: Announcer::new(service, ledger.user, now).announce(&events),
            events,
            is_rotation: false,
            last_activity_at: ledger.last_activity_at,
            now,
            wanted_for: Duration::MAX,
        }
    }
}

/// What became of a commit that the database answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CommitOutcome {
    /// Stored, as this version.
    Committed(i64),
    /// Another node was first, or has seen activity of a session that was to end as idle, or the commit
    /// missed its deadline. Nothing was stored.
    Conflict,
}

/// A lock on a user's row. Bound: the database takes it from a node that is idle for
/// [`super::postgres::IDLE_IN_TRANSACTION`].
#[derive(Debug)]
pub struct RowLock {
    transaction: Option<DatabaseTransaction>,
    io: Io,
}

impl RowLock {
    pub(super) fn into_transaction(mut self) -> Option<DatabaseTransaction> {
        self.transaction.take()
    }
}

impl Drop for RowLock {
    /// A lock that was not used is rolled back, on the runtime that has its socket.
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.io.detach(async move { drop(transaction) });
        }
    }
}

impl Store {
    /// Stores the decision in one transaction, if the ledger's version is still the one decided on. If
    /// the ledger was read with a lock, that is the lock's transaction.
    ///
    /// # Errors
    /// [`StorageError`]; whether it was stored is then unknown, and the ledger must be read again.
    pub async fn commit(
        &self,
        mut commit: Commit,
        lock: Option<RowLock>,
    ) -> Result<CommitOutcome, StorageError> {
        commit.announcements = self.kept(commit.announcements);
        let (db, mode) = (self.db.clone(), self.mode(&commit));
        let (group, rotations) = (self.group_commit.clone(), self.rotation_writers.clone());
        let work = async move {
            let version = commit.decided_on + 1;
            let transaction = match lock.and_then(RowLock::into_transaction) {
                Some(transaction) => transaction,
                None if mode.is_single_statement(&commit) => {
                    let is_stored = match rotations.zip(Rotation::of(&commit, &mode)) {
                        Some((writers, rotation)) => writers.store(rotation).await?,
                        None => false,
                    } || single_statement::store(&db, commit, mode).await?;
                    return Ok(outcome(is_stored, version));
                }
                None => match group {
                    Some(group) => return Ok(outcome(group.store(commit, mode.stamp).await?, version)),
                    None => db.begin().await?,
                },
            };
            let is_stored = store(&transaction, commit, mode).await?;
            if is_stored {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok::<_, DbErr>(outcome(is_stored, version))
        };
        let step = Step::begin("database.commit");
        let outcome = self.run(async move { work.await.or_else(conflict_if_rolled_back) }).await;
        step.note(&outcome);
        outcome
    }

    /// How this database stores a commit.
    pub(super) fn mode(&self, commit: &Commit) -> CommitMode {
        let deadline = self.clock.after(commit.wanted_for.min(TIMEOUT));
        CommitMode { single_statement: self.commits_in_one_statement, stamp: self.change_stamp(), deadline }
    }
}

/// Most events of a commit that is one statement. More are rare, and each adds to its length and depth: a
/// thousand idle endings would overflow the stack.
const MAX_EVENTS_OF_ONE: usize = 32;

/// How a database stores a commit.
#[derive(Clone, Debug)]
pub(super) struct CommitMode {
    single_statement: bool,
    stamp: SimpleExpr,
    /// When nobody waits for it any more, by the database's clock in ms since 1970. A transaction that
    /// nobody waits for is not committed; but a statement may wait at a frozen database, or on a silent
    /// connection, and be executed when that resumes.
    deadline: Option<i64>,
}

impl CommitMode {
    fn is_single_statement(&self, commit: &Commit) -> bool {
        self.single_statement && commit.events.len() <= MAX_EVENTS_OF_ONE
    }
}

/// Stores it in an existing transaction, which must be rolled back if this returns false.
pub(super) async fn store(
    transaction: &DatabaseTransaction,
    commit: Commit,
    mode: CommitMode,
) -> Result<bool, DbErr> {
    if mode.is_single_statement(&commit) {
        single_statement::store(transaction, commit, mode).await
    } else {
        multi_statement::store(transaction, commit, mode.stamp).await
    }
}

fn outcome(is_stored: bool, version: i64) -> CommitOutcome {
    if is_stored { CommitOutcome::Committed(version) } else { CommitOutcome::Conflict }
}

/// Turns a deadlock or serialization failure into a conflict: the database rolled the transaction back,
/// so nothing was stored.
pub(super) fn conflict_if_rolled_back(error: DbErr) -> Result<CommitOutcome, DbErr> {
    match refusal(&error).and_then(|cause| cause.code()).as_deref() {
        Some("40P01" | "40001") => Ok(CommitOutcome::Conflict),
        _ => Err(error),
    }
}
