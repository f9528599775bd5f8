//! Writes activity to the database in batches: periodically, at once where a request waits for it, and
//! on request at shutdown.
//!
//! It has a connection of its own, and never waits for a locked row: what cannot be written stays in the
//! buffer and delays nothing else.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use tokio::time::Instant;

use super::activity::{Urgent, Written};
use super::registry::Registry;
use crate::domain::ids::SessionId;
use crate::storage::StorageError;
use crate::storage::activity::{ActivityWriter, MAX_BATCH, SeenActivity};

/// How soon a row that is locked is tried again where a request waits for it.
const RETRY: Duration = Duration::from_millis(50);
/// How often writing everything is attempted at shutdown.
const LAST_TRIES: u32 = 20;

/// Writes activity every half of `ACTIVITY_FLUSH_SECONDS`, so that none is written later than the whole.
#[derive(Debug)]
pub struct ActivityFlusher {
    registry: Registry,
    every: Duration,
}

/// Writes everything now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct FlushActivity;

impl ActivityFlusher {
    /// A flusher for that registry's activity; none is written later than `at_most`.
    #[must_use]
    pub fn new(registry: Registry, at_most: Duration) -> Self {
        Self { registry, every: at_most / 2 }
    }
}

impl Actor for ActivityFlusher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (registry, every) = (self.registry.clone(), self.every);
        ctx.spawn(async move { keep_flushing(&registry, every).await }.into_actor(self));
    }
}

impl Handler<FlushActivity> for ActivityFlusher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FlushActivity, _: &mut Context<Self>) -> Self::Result {
        let registry = self.registry.clone();
        Box::pin(async move {
            let mut writer = registry.store().activity_writer();
            // Locked rows are retried for a while, because there is no next time.
            for _ in 0..LAST_TRIES {
                if flush(&registry, &mut writer).await.is_err() || registry.activity().is_empty() {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
        })
    }
}

async fn keep_flushing(registry: &Registry, every: Duration) {
    let mut writer = registry.store().activity_writer();
    if let Err(error) = writer.warm_up().await {
        tracing::warn!(error = &error as &dyn std::error::Error, "activity.no_connection");
    }
    let mut next = Instant::now() + every;
    loop {
        let retry = registry.activity().has_urgent().then(|| Instant::now() + RETRY);
        tokio::select! {
            () = registry.activity().rung() => {}
            () = tokio::time::sleep_until(retry.map_or(next, |retry| retry.min(next))) => {}
        }
        write_urgent(registry, &mut writer).await;
        if next <= Instant::now() {
            // The error was logged, and the write is retried.
            let _ = flush(registry, &mut writer).await;
            next = Instant::now() + every;
        }
    }
}

/// What could not be written stays in the buffer, and is written with the next batch.
async fn flush(registry: &Registry, writer: &mut ActivityWriter) -> Result<(), StorageError> {
    let (buffer, metrics) = (registry.activity(), registry.metrics());
    let batch = buffer.batch();
    metrics.activity_pending.set(i64::try_from(batch.len()).unwrap_or(i64::MAX));
    for rows in batch.chunks(MAX_BATCH) {
        let unwritten = writer.write(rows.to_vec()).await;
        let unwritten = unwritten.inspect_err(|error| failed(registry, error, batch.len()))?;
        buffer.written(rows, &unwritten);
        // A request waits for at most one statement of activity that no request waits for.
        write_urgent(registry, writer).await;
    }
    if !batch.is_empty() {
        metrics.activity_flush_batch.observe(batch.len() as f64);
    }
    Ok(())
}

/// Writes what requests wait for. Locked rows are left for the next attempt.
async fn write_urgent(registry: &Registry, writer: &mut ActivityWriter) {
    let mut urgent = registry.activity().take_urgent();
    urgent.retain(|urgent| !urgent.is_abandoned());
    let rows = rows_of(&urgent);
    let mut left = HashMap::new();
    for rows in rows.values().copied().collect::<Vec<_>>().chunks(MAX_BATCH) {
        match writer.write(rows.to_vec()).await {
            Ok(unwritten) => left.extend(unwritten.iter().map(|left| (left.session, left.is_over))),
            Err(error) => {
                failed(registry, &error, rows.len());
                // Retried for as long as a request waits.
                return registry.activity().put_back(urgent);
            }
        }
    }
    let outcomes = &registry.metrics().activity_written_through;
    let mut locked = Vec::new();
    for urgent in urgent {
        match left.get(&urgent.session.id()) {
            Some(false) => locked.push(urgent),
            Some(true) => {
                outcomes.with_label_values(&["over"]).inc();
                urgent.answer(Written::Over);
            }
            None => {
                outcomes.with_label_values(&["stored"]).inc();
                if let Some(row) = rows.get(&urgent.session.id()) {
                    urgent.session.mark_stored(row.at);
                }
                urgent.answer(Written::Stored);
            }
        }
    }
    registry.activity().put_back(locked);
}

/// One row per session, for which several requests may wait.
fn rows_of(urgent: &[Urgent]) -> BTreeMap<SessionId, SeenActivity> {
    let mut rows = BTreeMap::new();
    for Urgent { session, .. } in urgent {
        let at = session.last_activity();
        let row = rows.entry(session.id()).or_insert(SeenActivity {
            user: session.user,
            session: session.id(),
            at,
        });
        row.at = row.at.max(at);
    }
    rows
}

fn failed(registry: &Registry, error: &StorageError, sessions: usize) {
    registry.metrics().activity_flush_failures.inc();
    tracing::warn!(error = error as &dyn std::error::Error, sessions, "activity.flush_failed");
}
