//! Whether the database answers.

use std::time::{Duration, Instant};

use crate::storage::Store;

/// How long the database may take to answer before it counts as away.
const DATABASE_PATIENCE: Duration = Duration::from_secs(1);
/// For so long a good answer is given again; a bad one is not, so that a node is back at once.
const PROBED_EVERY: Duration = Duration::from_millis(200);
/// How long it is waited for where it is only busy: it has done something else within its patience.
const BUSY_PATIENCE: Duration = Duration::from_millis(100);

/// Asks the database at a bounded rate, so that a flood of `/health` requests does not reach it.
#[derive(Debug, Default)]
pub struct Probe(tokio::sync::Mutex<Option<(Instant, Duration)>>);

impl Probe {
    /// Whether the database answers, and what that took.
    pub(super) async fn look(&self, store: &Store) -> (bool, Duration) {
        // Who comes meanwhile waits for the same answer.
        let mut last = self.0.lock().await;
        if let Some((_, latency)) = last.filter(|(at, _)| at.elapsed() < PROBED_EVERY) {
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
    let answer = match tokio::time::timeout(BUSY_PATIENCE, &mut ping).await {
        Ok(answer) => answer.is_ok(),
        // The question waits behind others, which are answered. A node that is busy must not be taken out:
        // the others would be so next.
        Err(_) if store.succeeded_within(DATABASE_PATIENCE) => true,
        Err(_) => matches!(tokio::time::timeout(DATABASE_PATIENCE, ping).await, Ok(Ok(()))),
    };
    (answer, started.elapsed())
}
