//! Takes events from the outbox to the bus, in order, and forgets each only when the bus has taken it.
//!
//! Bound: one batch in memory; the table is the queue. `auth_outbox_depth`, `auth_outbox_oldest_age_seconds`.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use futures_util::FutureExt;
use rand::Rng;
use tokio::sync::Mutex;

use super::registry::Registry;
use crate::bus::BusError;
use crate::events::Message;
use crate::storage::StorageError;
use crate::storage::outbox::Published;

/// Most events taken at once.
const BATCH: usize = 500;
/// How often the outbox is looked at when no commit rings the bell: for what another run left behind.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long after the bell the outbox is taken: whoever committed is answered and devices are told first, and what others
/// commit meanwhile goes out in the same transaction. Devices heard of an ending in 0.63 ms in place of 0.70 (medians of six
/// runs of `scripts/bench push` in turn, two cores).
const BATCH_DELAY: Duration = Duration::from_millis(2);

/// How long after a failure it is tried again; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest of these waits.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Publishes what commits leave in the outbox.
#[derive(Debug)]
pub struct Publisher {
    registry: Registry,
    /// Held by whoever drains: two at once would take the same events, and publish each twice.
    turn: Arc<Mutex<()>>,
}

/// Publish everything that is there now.
#[derive(Clone, Copy, Debug, actix::Message)]
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
            let mut wait = FIRST_WAIT;
            loop {
                if drain(&registry, &turn).await {
                    wait = FIRST_WAIT;
                    let bell = registry.outbox_bell().notified();
                    // Either way the outbox is looked at again.
                    let _ = tokio::time::timeout(POLL_INTERVAL, bell).await;
                    tokio::time::sleep(BATCH_DELAY).await;
                    // What was committed meanwhile is there by now.
                    let _ = registry.outbox_bell().notified().now_or_never();
                } else {
                    tokio::time::sleep(wait.mul_f64(rand::rng().random_range(0.5..1.0))).await;
                    wait = (wait * 2).min(MAX_WAIT);
                }
            }
        };
        ctx.spawn(work.into_actor(self));
    }
}

impl Handler<DrainOutbox> for Publisher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: DrainOutbox, _: &mut Context<Self>) -> Self::Result {
        let (registry, turn) = (self.registry.clone(), Arc::clone(&self.turn));
        Box::pin(async move {
            drain(&registry, &turn).await;
        })
    }
}

/// Publishes batch after batch until nothing is left. False when it could not.
async fn drain(registry: &Registry, turn: &Mutex<()>) -> bool {
    let _turn = turn.lock().await;
    loop {
        match publish_batch(registry).await {
            Ok(published) if published < BATCH => return true,
            Ok(_) => {}
            Err(error) => {
                registry.metrics().events_failed.inc();
                tracing::warn!(error = &error as &dyn std::error::Error, "events.publish_failed");
                return false;
            }
        }
    }
}

async fn publish_batch(registry: &Registry) -> Result<usize, PublishError> {
    let metrics = registry.metrics();
    let (bus, store, clock, gauges) =
        (registry.dependencies().bus.clone(), registry.store(), registry.clock().clone(), metrics.clone());
    let publish = move |messages: Vec<Message>| async move {
        gauges.outbox_depth.set(i64::try_from(messages.len()).unwrap_or(i64::MAX));
        bus.publish(messages).await
    };
    match store.publish_outbox(BATCH as u64, publish).await? {
        Published::Taken(taken) => {
            let age = taken.first().map_or(Duration::ZERO, |oldest| oldest.created_at.until(clock.now()));
            metrics.outbox_oldest_age.set(if taken.len() < BATCH { 0.0 } else { age.as_secs_f64() });
            metrics.outbox_depth.set(0);
            for waiting in &taken {
                metrics.events_published.with_label_values(&[&*waiting.message.channel]).inc();
            }
            Ok(taken.len())
        }
        Published::Refused(refusal) => {
            let (depth, oldest) = store.outbox_backlog().await?;
            metrics.outbox_depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
            metrics.outbox_oldest_age.set(oldest.until(clock.now()).as_secs_f64());
            Err(refusal.into())
        }
    }
}
