//! Commits that wait to be stored. A free writer takes all that wait, so that they share a transaction.
//!
//! Bounds: [`QUEUE`] wait, and further ones wait for room; [`MOST`] are taken together.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use sea_orm::DbErr;
use tokio::sync::{Mutex, mpsc, oneshot};

const QUEUE: usize = 1_024;
/// Storing these takes a few milliseconds and a round trip, for which later ones wait.
const MOST: usize = 64;

/// One of them.
#[derive(Debug)]
pub(super) struct Job<T> {
    pub(super) work: T,
    /// Closed if nobody waits any more.
    done: oneshot::Sender<Result<bool, DbErr>>,
}

impl<T> Job<T> {
    /// Whether somebody waits for it. One that nobody waits for must not be stored: its outcome has been
    /// reported as unknown, and it must not take effect after the ledger was read again.
    pub(super) fn is_wanted(&self) -> bool {
        !self.done.is_closed()
    }

    /// Reports whether it was stored.
    pub(super) fn answer(self, result: Result<bool, DbErr>) {
        // It may have been given up meanwhile.
        let _ = self.done.send(result);
    }
}

/// Reports the error to all: whether they are stored is unknown.
pub(super) fn fail<T>(jobs: Vec<Job<T>>, error: DbErr) {
    let text = error.to_string();
    let mut errors = std::iter::once(error).chain(std::iter::repeat_with(|| DbErr::Custom(text.clone())));
    for (job, error) in jobs.into_iter().zip(&mut errors) {
        job.answer(Err(error));
    }
}

/// A handle on the queue; clones share it.
#[derive(Debug)]
pub(super) struct Queue<T>(mpsc::Sender<Job<T>>);

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + 'static> Queue<T> {
    /// Starts that many writers on the current runtime; they end with the last handle. A writer answers
    /// every job that it is given.
    pub(super) fn start<F>(writers: usize, store: impl Fn(Vec<Job<T>>) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..writers {
            let (waiting, store) = (Arc::clone(&waiting), store.clone());
            tokio::spawn(async move {
                loop {
                    let mut jobs = Vec::new();
                    // One writer at a time waits for jobs; the lock is released before they are stored.
                    if waiting.lock().await.recv_many(&mut jobs, MOST).await == 0 {
                        return;
                    }
                    // A panic fails the commits of that moment, and not all later ones.
                    let _ = AssertUnwindSafe(store(jobs)).catch_unwind().await;
                }
            });
        }
        Self(queue)
    }

    /// Has the work stored; returns whether it was.
    pub(super) async fn store(&self, work: T) -> Result<bool, DbErr> {
        let (done, stored) = oneshot::channel();
        let gone = || DbErr::Custom("the writer failed".to_owned());
        self.0.send(Job { work, done }).await.map_err(|_| gone())?;
        stored.await.map_err(|_| gone())?
    }
}
