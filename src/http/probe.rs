//! Whether the database answers.

use std::time::{Duration, Instant};

use crate::storage::Store;

/// How long the database may take to answer before it counts as unavailable.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a success is cached; a failure is not, so that a node is back at once.
const CACHED_FOR: Duration = Duration::from_millis(200);
/// How long to wait if the database is merely busy, which is when another operation has succeeded within
/// [`DATABASE_TIMEOUT`].
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// Pings the database at a bounded rate, so that a flood of `/health` requests does not reach it.
#[derive(Debug, Default)]
pub struct Probe(tokio::sync::Mutex<Option<(Instant, Duration)>>);

impl Probe {
    /// Whether the database answers, and how long that took.
    pub(super) async fn look(&self, store: &Store) -> (bool, Duration) {
        // Concurrent callers wait for the same result.
        let mut last = self.0.lock().await;
        if let Some((_, latency)) = last.filter(|(at, _)| at.elapsed() < CACHED_FOR) {
            return (true, latency);
        }
        let (up, latency) = ask(store).await;
        *last = up.then(|| (Instant::now(), latency));
        (up, latency)
    }
}

async fn ask(store: &Store) -> (bool, Duration) {
    let started = Instant::now();
    let mut ping = std::pin::pin!(store.ping());
    let answer = match tokio::time::timeout(BUSY_WAIT, &mut ping).await {
        Ok(answer) => answer.is_ok(),
        // The ping is queued behind other operations, which do succeed. A busy node must not be taken out
        // of service: the others would be next.
        Err(_) if store.succeeded_within(DATABASE_TIMEOUT) => true,
        Err(_) => matches!(tokio::time::timeout(DATABASE_TIMEOUT, ping).await, Ok(Ok(()))),
    };
    (answer, started.elapsed())
}
