//! The writer of the embedded database: commits that wait together, and end no session, are stored in one
//! transaction, and so share one flush to the disk. SQLite lets one connection write at a time anyway;
//! each in a transaction of its own would poll for its turn.

use sea_orm::sea_query::SimpleExpr;
use sea_orm::{DatabaseConnection, DbErr, TransactionTrait};

use super::waiting::{Queue, fail};
use super::{Commit, multi_statement, waiting};

/// A handle on the writer; clones share it.
#[derive(Clone, Debug)]
pub(in crate::storage) struct GroupCommit(Queue<Stamped>);

#[derive(Clone, Debug)]
struct Stamped {
    commit: Commit,
    stamp: SimpleExpr,
}

type Job = waiting::Job<Stamped>;

impl GroupCommit {
    /// Starts the writer on the current runtime; it ends with the last handle.
    pub(in crate::storage) fn start(db: DatabaseConnection) -> Self {
        Self(Queue::start(1, move |jobs| store_all(db.clone(), jobs)))
    }

    /// Stores the commit, together with others that wait. False if its version has changed, or a session
    /// was not in the expected state; then nothing of it is stored.
    pub(super) async fn store(&self, commit: Commit, stamp: SimpleExpr) -> Result<bool, DbErr> {
        self.0.store(Stamped { commit, stamp }).await
    }
}

/// Those without endings together, the others alone: an ending may find another state than expected when
/// part of its commit is written, and then that is rolled back.
async fn store_all(db: DatabaseConnection, jobs: Vec<Job>) {
    let has_endings = |job: &Job| job.work.commit.events.iter().any(|event| event.ending().is_some());
    let (alone, mut together): (Vec<_>, Vec<_>) = jobs.into_iter().partition(has_endings);
    while !together.is_empty() {
        together = store_together(&db, together).await;
    }
    for job in alone.into_iter().filter(Job::is_wanted) {
        let result = store_alone(&db, &job).await;
        job.answer(result);
    }
}

/// Stores all in one transaction. If one of them fails, or is no longer wanted, nothing is stored, and the
/// others are returned: they may be tried again.
async fn store_together(db: &DatabaseConnection, mut jobs: Vec<Job>) -> Vec<Job> {
    jobs.retain(Job::is_wanted);
    if jobs.is_empty() {
        return jobs;
    }
    let transaction = match db.begin().await {
        Ok(transaction) => transaction,
        Err(error) => {
            fail(jobs, error);
            return Vec::new();
        }
    };
    let mut results = Vec::with_capacity(jobs.len());
    for place in 0..jobs.len() {
        let Stamped { commit, stamp } = jobs[place].work.clone();
        match multi_statement::store(&transaction, commit, stamp).await {
            Ok(is_stored) => results.push(is_stored),
            Err(error) => {
                // If this fails, it is done when the connection returns to the pool.
                let _ = transaction.rollback().await;
                jobs.remove(place).answer(Err(error));
                return jobs;
            }
        }
    }
    if !jobs.iter().all(Job::is_wanted) {
        let _ = transaction.rollback().await;
        return jobs;
    }
    match transaction.commit().await {
        Ok(()) => jobs.into_iter().zip(results).for_each(|(job, is_stored)| job.answer(Ok(is_stored))),
        Err(error) => fail(jobs, error),
    }
    Vec::new()
}

async fn store_alone(db: &DatabaseConnection, job: &Job) -> Result<bool, DbErr> {
    let Stamped { commit, stamp } = job.work.clone();
    let transaction = db.begin().await?;
    let is_stored = multi_statement::store(&transaction, commit, stamp).await?;
    if is_stored && job.is_wanted() {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(is_stored)
}
