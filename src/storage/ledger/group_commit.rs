//! The writer of the embedded database: commits that wait together, and end no session, are stored in one
//! transaction, and so share one flush to the disk. SQLite lets one connection write at a time anyway;
//! each in a transaction of its own would poll for its turn.
//!
//! Bounds: [`QUEUE`] commits wait, and further ones wait for room; [`MOST`] share a transaction.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{DatabaseConnection, DbErr, TransactionTrait};
use tokio::sync::{mpsc, oneshot};

use super::{Commit, multi_statement};

const QUEUE: usize = 1_024;
/// Most commits of one transaction: it lasts a few milliseconds, for which readers do not wait.
const MOST: usize = 64;

/// A handle on the writer; clones share it.
#[derive(Clone, Debug)]
pub(in crate::storage) struct GroupCommit(mpsc::Sender<Job>);

#[derive(Debug)]
struct Job {
    commit: Commit,
    stamp: SimpleExpr,
    /// Closed if nobody waits any more.
    done: oneshot::Sender<Result<bool, DbErr>>,
}

impl GroupCommit {
    /// Starts the writer on the current runtime; it ends with the last handle.
    pub(in crate::storage) fn start(db: DatabaseConnection) -> Self {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let mut jobs = Vec::new();
            while waiting.recv_many(&mut jobs, MOST).await > 0 {
                // A panic fails the commits of that moment, and not all later ones.
                let _ = AssertUnwindSafe(store_all(&db, std::mem::take(&mut jobs))).catch_unwind().await;
            }
        });
        Self(queue)
    }

    /// Stores the commit, together with others that wait. False if its version has changed, or a session
    /// was not in the expected state; then nothing of it is stored.
    pub(super) async fn store(&self, commit: Commit, stamp: SimpleExpr) -> Result<bool, DbErr> {
        let (done, stored) = oneshot::channel();
        let gone = || DbErr::Custom("the writer has ended".to_owned());
        self.0.send(Job { commit, stamp, done }).await.map_err(|_| gone())?;
        stored.await.map_err(|_| gone())?
    }
}

/// Those without endings together, the others alone: an ending may find another state than expected when
/// part of its commit is written, and then that is rolled back.
async fn store_all(db: &DatabaseConnection, jobs: Vec<Job>) {
    let has_endings = |job: &Job| job.commit.events.iter().any(|event| event.ending().is_some());
    let (alone, mut together): (Vec<_>, Vec<_>) = jobs.into_iter().partition(has_endings);
    while !together.is_empty() {
        together = store_together(db, together).await;
    }
    for job in alone.into_iter().filter(is_wanted) {
        let result = store_alone(db, &job).await;
        let _ = job.done.send(result);
    }
}

/// Whether somebody waits for it. One that nobody waits for is not stored: its outcome has been reported
/// as unknown, and it must not take effect after the ledger was read again.
fn is_wanted(job: &Job) -> bool {
    !job.done.is_closed()
}

/// Stores all in one transaction. If one of them fails, or is no longer wanted, nothing is stored, and the
/// others are returned: they may be tried again.
async fn store_together(db: &DatabaseConnection, mut jobs: Vec<Job>) -> Vec<Job> {
    jobs.retain(is_wanted);
    if jobs.is_empty() {
        return jobs;
    }
    let transaction = match db.begin().await {
        Ok(transaction) => transaction,
        Err(error) => return fail(jobs, error),
    };
    let mut results = Vec::with_capacity(jobs.len());
    for place in 0..jobs.len() {
        let (commit, stamp) = (jobs[place].commit.clone(), jobs[place].stamp.clone());
        match multi_statement::store(&transaction, commit, stamp).await {
            Ok(is_stored) => results.push(is_stored),
            Err(error) => {
                // If this fails, it is done when the connection returns to the pool.
                let _ = transaction.rollback().await;
                let _ = jobs.remove(place).done.send(Err(error));
                return jobs;
            }
        }
    }
    if !jobs.iter().all(is_wanted) {
        let _ = transaction.rollback().await;
        return jobs;
    }
    match transaction.commit().await {
        Ok(()) => {
            for (job, is_stored) in jobs.into_iter().zip(results) {
                let _ = job.done.send(Ok(is_stored));
            }
            Vec::new()
        }
        Err(error) => fail(jobs, error),
    }
}

/// Reports the error to all: whether they are stored is unknown.
fn fail(jobs: Vec<Job>, error: DbErr) -> Vec<Job> {
    let text = error.to_string();
    let mut errors = std::iter::once(error).chain(std::iter::repeat_with(|| DbErr::Custom(text.clone())));
    for (job, error) in jobs.into_iter().zip(&mut errors) {
        let _ = job.done.send(Err(error));
    }
    Vec::new()
}

async fn store_alone(db: &DatabaseConnection, job: &Job) -> Result<bool, DbErr> {
    let transaction = db.begin().await?;
    let is_stored = multi_statement::store(&transaction, job.commit.clone(), job.stamp.clone()).await?;
    if is_stored && is_wanted(job) {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(is_stored)
}
