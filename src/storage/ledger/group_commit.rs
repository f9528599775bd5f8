//! The writer of the embedded database: commits that wait together are stored in one transaction, and so
//! share one flush to the disk. SQLite lets one connection write at a time anyway; each in a transaction
//! of its own would poll for its turn.
//!
//! Bounds: [`QUEUE`] commits wait, and further ones wait for room; [`MOST`] share a transaction.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};
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

async fn store_all(db: &DatabaseConnection, mut jobs: Vec<Job>) {
    jobs.retain(is_wanted);
    if jobs.len() > 1 {
        jobs = match store_together(db, jobs).await {
            Ok(()) => return,
            Err(left) => left,
        };
    }
    for job in jobs {
        let result = store_alone(db, &job).await;
        let _ = job.done.send(result);
    }
}

/// Whether somebody waits for it. One that nobody waits for is not stored: its outcome has been reported
/// as unknown, and it must not take effect after the ledger was read again.
fn is_wanted(job: &Job) -> bool {
    !job.done.is_closed()
}

/// Stores all in one transaction. If one of them cannot be stored for a reason other than its version, or
/// is no longer wanted, nothing is, and all are returned: each may be tried alone.
async fn store_together(db: &DatabaseConnection, jobs: Vec<Job>) -> Result<(), Vec<Job>> {
    let Ok(transaction) = db.begin().await else { return Err(jobs) };
    let mut results = Vec::with_capacity(jobs.len());
    for Job { commit, stamp, .. } in &jobs {
        match store_within(&transaction, commit.clone(), stamp.clone()).await {
            Ok(is_stored) => results.push(is_stored),
            Err(_) => {
                // What was not rolled back is when the connection returns to the pool.
                let _ = transaction.rollback().await;
                return Err(jobs);
            }
        }
    }
    if !jobs.iter().all(is_wanted) {
        let _ = transaction.rollback().await;
        return Err(jobs);
    }
    let committed = transaction.commit().await;
    for (job, is_stored) in jobs.into_iter().zip(results) {
        // Whether they are stored is unknown if the commit failed; a conflict stays one.
        let result = match &committed {
            Err(error) if is_stored => Err(DbErr::Custom(error.to_string())),
            _ => Ok(is_stored),
        };
        let _ = job.done.send(result);
    }
    Ok(())
}

/// One of several commits in a transaction. If it is not stored, nothing of it is.
async fn store_within(
    transaction: &DatabaseTransaction,
    commit: Commit,
    stamp: SimpleExpr,
) -> Result<bool, DbErr> {
    // Without endings only the first statement can find another state than expected.
    if commit.events.iter().all(|event| event.ending().is_none()) {
        return multi_statement::store(transaction, commit, stamp).await;
    }
    let part = transaction.begin().await?;
    let is_stored = multi_statement::store(&part, commit, stamp).await?;
    if is_stored {
        part.commit().await?
    } else {
        part.rollback().await?
    }
    Ok(is_stored)
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
