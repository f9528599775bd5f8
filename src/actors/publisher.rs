//! Moves events from the outbox to the bus, in order, and deletes each only after the bus has taken it.
//!
//! The outbox has lanes, and each lane is published by one node at a time, the one that has the turn.
//! Reading, publishing and deleting are separate steps, and a turn is attempted without blocking: no
//! transaction is open while anything is waited for, and a node that is suspended with the turn loses it
//! on the bus.
//!
//! Bound: one batch per lane in memory; the table is the queue. `auth_outbox_depth`,
//! `auth_outbox_oldest_age_seconds`.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use futures_util::FutureExt;
use futures_util::future::join_all;
use rand::Rng;
use tokio::sync::Mutex;

use super::registry::Registry;
use crate::bus::BusError;
use crate::domain::time::Timestamp;
use crate::events::lane::Lane;
use crate::storage::StorageError;
use crate::storage::outbox::OutboxMessage;

/// Most events taken at once.
const BATCH: usize = 500;
/// How often the outbox is polled without a signal from a commit: for what another run left behind.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long after a commit the outbox is read: the client and the devices come first, and what others
/// commit meanwhile goes into the same batch. Without this delay, devices received an ending about a
/// tenth later (`scripts/bench push`).
const BATCH_DELAY: Duration = Duration::from_millis(2);

/// How long after a failure it is retried; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest of these waits.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// How long after another node was found to have the turn it is attempted again; doubled each time.
const FIRST_TURN_WAIT: Duration = Duration::from_millis(2);
/// The longest of these waits. A node that died with the turn is replaced at most this long after its
/// turn has expired.
const MAX_TURN_WAIT: Duration = Duration::from_millis(250);
/// How often a node that shuts down attempts a turn that another has. That node publishes what there is.
const LAST_TRIES: usize = 8;

/// Publishes what commits leave in the outbox.
#[derive(Debug)]
pub struct Publisher {
    registry: Registry,
    /// One lock per lane, held while the lane is drained: two drains at once would take the same events,
    /// and publish each twice.
    draining: Arc<[Mutex<()>]>,
}

/// Publishes everything that is there now.
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

/// The result of an attempt to publish a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// Nothing is left.
    Empty,
    /// Another node has the turn.
    Elsewhere,
    /// The bus or the database failed.
    Failed,
}

impl Publisher {
    /// A publisher for that registry's outbox and bus.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        let draining = registry.lanes().map(|_| Mutex::default()).collect();
        Self { registry, draining }
    }
}

impl Actor for Publisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for lane in self.registry.lanes() {
            let work = publish_for_ever(self.registry.clone(), Arc::clone(&self.draining), lane);
            ctx.spawn(work.into_actor(self));
        }
        ctx.spawn(poll_for_ever(self.registry.clone()).into_actor(self));
    }
}

impl Handler<DrainOutbox> for Publisher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: DrainOutbox, _: &mut Context<Self>) -> Self::Result {
        let (registry, draining) = (self.registry.clone(), Arc::clone(&self.draining));
        Box::pin(async move {
            let lanes = registry.lanes().map(async |lane| {
                let mut wait = FIRST_TURN_WAIT;
                for _ in 0..LAST_TRIES {
                    if drain(&registry, &draining, lane).await != Drained::Elsewhere {
                        break;
                    }
                    pause(&mut wait, MAX_TURN_WAIT).await;
                }
            });
            join_all(lanes).await;
        })
    }
}

async fn publish_for_ever(registry: Registry, draining: Arc<[Mutex<()>]>, lane: Lane) {
    loop {
        registry.outbox_signal(lane).notified().await;
        tokio::time::sleep(BATCH_DELAY).await;
        // What was committed meanwhile is in the outbox by now.
        let _ = registry.outbox_signal(lane).notified().now_or_never();
        let (mut failed, mut elsewhere) = (FIRST_WAIT, FIRST_TURN_WAIT);
        loop {
            match drain(&registry, &draining, lane).await {
                Drained::Empty => break,
                Drained::Elsewhere => pause(&mut elsewhere, MAX_TURN_WAIT).await,
                Drained::Failed => pause(&mut failed, MAX_WAIT).await,
            }
        }
    }
}

/// Signals lanes with waiting events that no commit of this process has signalled, and updates the gauges.
async fn poll_for_ever(registry: Registry) {
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = poll(&registry).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "events.outbox_not_read");
        }
    }
}

async fn poll(registry: &Registry) -> Result<(), StorageError> {
    let (metrics, store, now) = (registry.metrics(), registry.store(), registry.clock().now());
    let lanes = u32::try_from(registry.lanes().count()).unwrap_or(1);
    let Some((lanes, oldest)) = store.waiting_lanes(lanes).await? else {
        metrics.outbox_depth.set(0);
        metrics.outbox_oldest_age.set(0.0);
        return Ok(());
    };
    lanes.into_iter().for_each(|lane| registry.outbox_signal(lane).notify_one());
    note_age(registry, oldest, now);
    if oldest.until(now) > POLL_INTERVAL {
        let (depth, _) = store.outbox_backlog().await?;
        metrics.outbox_depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
    Ok(())
}

fn note_age(registry: &Registry, oldest: Timestamp, now: Timestamp) {
    registry.metrics().outbox_oldest_age.set(oldest.until(now).as_secs_f64());
}

/// Publishes a lane batch after batch until nothing is left, if this node gets the turn.
async fn drain(registry: &Registry, draining: &[Mutex<()>], lane: Lane) -> Drained {
    let Some(draining) = draining.get(lane.number() as usize) else { return Drained::Empty };
    let _draining = draining.lock().await;
    match take_turn(registry, lane).await {
        Ok(drained) => drained,
        Err(error) => {
            registry.metrics().events_failed.inc();
            tracing::warn!(
                lane = lane.number(),
                error = &error as &dyn std::error::Error,
                "events.publish_failed"
            );
            Drained::Failed
        }
    }
}

async fn take_turn(registry: &Registry, lane: Lane) -> Result<Drained, PublishError> {
    let bus = &registry.dependencies().bus;
    if !bus.take_turn(lane).await? {
        return Ok(Drained::Elsewhere);
    }
    let drained = publish_batches(registry, lane).await;
    bus.end_turn(lane);
    drained
}

async fn publish_batches(registry: &Registry, lane: Lane) -> Result<Drained, PublishError> {
    let (bus, store) = (&registry.dependencies().bus, registry.store());
    loop {
        let waiting = store.oldest_messages(lane, BATCH as u64).await?;
        let Some(oldest) = waiting.first() else { return Ok(Drained::Empty) };
        let is_full = waiting.len() == BATCH;
        if is_full {
            note_age(registry, oldest.created_at, registry.clock().now());
        }
        if !bus.publish(lane, waiting.iter().map(|waiting| waiting.message.clone()).collect()).await? {
            return Ok(Drained::Elsewhere);
        }
        count(registry, &waiting);
        store.delete_messages(waiting.iter().map(|waiting| waiting.id).collect()).await?;
        if !is_full {
            return Ok(Drained::Empty);
        }
    }
}

fn count(registry: &Registry, published: &[OutboxMessage]) {
    for published in published {
        registry.metrics().events_published.with_label_values(&[&*published.message.channel]).inc();
    }
}

/// Sleeps for a random part of the wait, and doubles the wait for the next time.
async fn pause(wait: &mut Duration, most: Duration) {
    tokio::time::sleep(wait.mul_f64(rand::rng().random_range(0.5..1.0))).await;
    *wait = (*wait * 2).min(most);
}
