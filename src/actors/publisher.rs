//! Takes events from the outbox to the bus, in order, and forgets each only when the bus has taken it.
//!
//! Bound: one batch in memory; the table is the queue. `auth_outbox_depth`, `auth_outbox_oldest_age_seconds`.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use tokio::sync::Mutex;

use super::registry::Registry;
use crate::bus::BusError;
use crate::storage::StorageError;

/// Most events taken at once.
const BATCH: u64 = 500;
/// How often the outbox is looked at when no commit rings the bell: for what another run left behind.
const LOOK: Duration = Duration::from_secs(1);

/// Publishes what commits leave in the outbox.
#[derive(Debug)]
pub struct Publisher {
    registry: Registry,
    /// Held by whoever drains: two at once would take the same events, and publish each twice.
    turn: Arc<Mutex<()>>,
}

/// Publish everything that is there now.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct DrainOutbox;

#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Publisher {
    /// A publisher for that registry's outbox and bus.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry, turn: Arc::default() }
    }
}

impl Actor for Publisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (registry, turn) = (self.registry.clone(), Arc::clone(&self.turn));
        let work = async move {
            loop {
                drain(&registry, &turn).await;
                let bell = registry.outbox_bell().notified();
                // Either way the outbox is looked at again.
                let _ = tokio::time::timeout(LOOK, bell).await;
            }
        };
        ctx.spawn(work.into_actor(self));
    }
}

impl Handler<DrainOutbox> for Publisher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: DrainOutbox, _: &mut Context<Self>) -> Self::Result {
        let (registry, turn) = (self.registry.clone(), Arc::clone(&self.turn));
        Box::pin(async move { drain(&registry, &turn).await })
    }
}

async fn drain(registry: &Registry, turn: &Mutex<()>) {
    let _turn = turn.lock().await;
    loop {
        match publish_batch(registry).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                registry.metrics().events_failed.inc();
                tracing::warn!(error = &error as &dyn std::error::Error, "events.publish_failed");
                return;
            }
        }
    }
}

async fn publish_batch(registry: &Registry) -> Result<usize, PublishError> {
    let (store, metrics) = (registry.store(), registry.metrics());
    let batch = store.list_outbox(BATCH).await?;
    let now = registry.clock().now();
    let age = batch.first().map_or(Duration::ZERO, |oldest| oldest.created_at.until(now));
    metrics.outbox_oldest_age.set(age.as_secs_f64());
    metrics.outbox_depth.set(i64::try_from(batch.len()).unwrap_or(i64::MAX));
    if batch.is_empty() {
        return Ok(0);
    }
    registry.tools().bus.publish(batch.iter().map(|waiting| waiting.message.clone()).collect()).await?;
    store.delete_outbox(batch.iter().map(|waiting| waiting.id).collect()).await?;
    for waiting in &batch {
        metrics.events_published.with_label_values(&[&*waiting.message.channel]).inc();
    }
    Ok(batch.len())
}
