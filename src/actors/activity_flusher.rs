//! Writes activity to the database in batches: by the clock, and on request at shutdown.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};

use super::registry::Registry;

/// Writes activity every half of `ACTIVITY_FLUSH_SECONDS`, so that none is late by more than the whole.
#[derive(Debug)]
pub struct ActivityFlusher {
    registry: Registry,
    every: Duration,
}

/// Write everything now.
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
        let work = async move {
            loop {
                tokio::time::sleep(every).await;
                flush(&registry).await;
            }
        };
        ctx.spawn(work.into_actor(self));
    }
}

impl Handler<FlushActivity> for ActivityFlusher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FlushActivity, _: &mut Context<Self>) -> Self::Result {
        let registry = self.registry.clone();
        Box::pin(async move { flush(&registry).await })
    }
}

/// What could not be written stays noted, and is written with the next batch.
async fn flush(registry: &Registry) {
    let (buffer, metrics) = (registry.activity(), registry.metrics());
    let batch = buffer.batch();
    metrics.activity_pending.set(i64::try_from(batch.len()).unwrap_or(i64::MAX));
    if batch.is_empty() {
        return;
    }
    match registry.store().store_activity(batch.clone()).await {
        Ok(()) => {
            buffer.written(&batch);
            metrics.activity_flush_batch.observe(batch.len() as f64);
        }
        Err(error) => {
            metrics.activity_flush_failures.inc();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                sessions = batch.len(),
                "activity.flush_failed"
            );
        }
    }
}
