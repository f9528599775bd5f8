//! Polls the feed of changes a few times a second and marks what this node has in memory as out of date.
//! Together with the faster message on Redis it keeps the promise that a session ended on another node
//! is refused here within the bound.

use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, WrapFuture};

use super::registry::Registry;
use crate::storage::changes::{ChangeFeed, Changes, Poll};

/// Polls the feed.
#[derive(Debug)]
pub struct ChangeWatcher {
    registry: Registry,
    /// How old this node's knowledge may get.
    bound: Duration,
}

impl ChangeWatcher {
    /// A watcher that keeps the registry's knowledge younger than `bound`, as long as the database answers.
    #[must_use]
    pub fn new(registry: Registry, bound: Duration) -> Self {
        Self { registry, bound }
    }
}

impl Actor for ChangeWatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (registry, bound) = (self.registry.clone(), self.bound);
        ctx.spawn(async move { watch(&registry, bound).await }.into_actor(self));
    }
}

async fn watch(registry: &Registry, bound: Duration) {
    // Four polls within the bound, so that one that fails or is slow does no harm.
    let period = (bound / 5).min(Duration::from_millis(200));
    let Some(mut feed) = registry.store().change_feed(bound) else { return };
    let metrics = registry.metrics().clone();
    let mut is_first = true;
    loop {
        let began = Instant::now();
        match feed.poll().await {
            Ok(Poll { asked, changes }) => {
                metrics.feed_looks.with_label_values(&["success"]).inc();
                // Also at the first poll: the previous watcher may have missed something.
                if changes.started_over {
                    registry.invalidate_all();
                }
                apply(registry, &changes);
                if std::mem::take(&mut is_first) {
                    // The port opens when this node is fresh, and keys must be known by then.
                    read_api_keys(registry, &mut feed).await;
                    registry.freshness().looked(asked);
                    actix::spawn(clear_foreign_stamps(registry.clone()));
                } else {
                    registry.freshness().looked(asked);
                    read_api_keys(registry, &mut feed).await;
                }
            }
            Err(error) => {
                metrics.feed_looks.with_label_values(&["failure"]).inc();
                tracing::warn!(error = &error as &dyn std::error::Error, "feed.look_failed");
            }
        }
        metrics.feed_lag.set(registry.freshness().age().unwrap_or_default().min(bound * 100).as_secs_f64());
        // After a slow poll the next one follows immediately.
        tokio::time::sleep_until((began + period).into()).await;
    }
}

/// A failure affects only requests with API keys.
async fn read_api_keys(registry: &Registry, feed: &mut ChangeFeed) {
    match feed.api_keys().await {
        Ok(Some((keys, asked))) => registry.api_keys().learn(keys, asked),
        Ok(None) => {}
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "api_keys.not_read"),
    }
}

/// Runs in the background: no poll reads such stamps until this server's own ids reach them.
async fn clear_foreign_stamps(registry: Registry) {
    match registry.store().clear_foreign_stamps().await {
        Ok(0) => {}
        Ok(users) => tracing::warn!(users, "feed.foreign_stamps_cleared"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "feed.foreign_stamps_not_cleared");
        }
    }
}

fn apply(registry: &Registry, changes: &Changes) {
    registry.note_news();
    registry.metrics().feed_rows.inc_by(changes.users.len() as u64);
    for change in &changes.users {
        if registry.note_change(change) {
            registry.metrics().feed_found.inc();
        }
    }
}
