//! Starts the actors that work in the background, and waits for what they must have done first.

use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use actix_web::web;

use crate::actors::activity_flusher::ActivityFlusher;
use crate::actors::change_watcher::ChangeWatcher;
use crate::actors::mailer::{Mailer, PostOffice};
use crate::actors::publisher::Publisher;
use crate::actors::registry::Registry;
use crate::actors::sighting::SightingFlusher;
use crate::actors::supervise::{Supervised, supervise};
use crate::actors::sweeper::Sweeper;
use crate::actors::waker::Waker;
use crate::bus::redis::RedisBus;
use crate::http::state::AppState;

/// How often, and at what interval, it is checked at start whether the feed of changes has been read.
const FIRST_POLL_TRIES: usize = 400;
const FIRST_POLL_PAUSE: Duration = Duration::from_millis(5);
/// How often it is checked at start whether messages of the other nodes are received.
const LISTENING_TRIES: usize = 200;

/// The actors that a shutdown waits for.
pub(super) struct Background {
    pub(super) flusher: Supervised<ActivityFlusher>,
    /// `None` if there is nobody to publish for.
    pub(super) publisher: Option<Supervised<Publisher>>,
    /// `None` if mail is off.
    pub(super) mailer: Option<Supervised<Mailer>>,
}

/// Starts all of them. If nodes share the database, the feed of changes has been read when it returns.
pub(super) async fn start(state: &web::Data<AppState>, office: Option<PostOffice>) -> Background {
    let (registry, metrics) = (&state.registry, state.metrics());
    let forgetting = state.clone();
    actix::spawn(async move { forgetting.limits.forget_expired(|| forgetting.now()).await });
    let waking = registry.clone();
    supervise("waker", metrics.clone(), move || Waker::new(waking.clone()).start());
    let flusher = start_flushers(state);
    let publisher = start_publisher(state);
    if registry.store().is_shared() {
        let (watching, bound) = (registry.clone(), state.config.sessions.max_staleness);
        supervise("change_watcher", metrics.clone(), move || {
            ChangeWatcher::new(watching.clone(), bound).start()
        });
        if !first_poll(registry).await {
            tracing::warn!("feed.not_read_at_start");
        }
    }
    let (sweeping, retention) = (registry.clone(), state.config.sessions.retention);
    supervise("sweeper", metrics.clone(), move || Sweeper::new(sweeping.clone(), retention).start());
    let mailer = office.map(|office| {
        let (registry, office) = (registry.clone(), Arc::new(office));
        let start = move || Mailer::new(registry.clone(), Arc::clone(&office)).start();
        supervise("mailer", metrics.clone(), start)
    });
    let counting = state.clone();
    actix::spawn(async move { counting.stats.run(&counting.registry).await });
    Background { flusher, publisher, mailer }
}

fn start_flushers(state: &AppState) -> Supervised<ActivityFlusher> {
    let metrics = state.metrics();
    let (sighting, grace) = (state.registry.clone(), state.config.tokens.refresh_reuse_grace);
    supervise("sighting_flusher", metrics.clone(), move || {
        SightingFlusher::new(sighting.clone(), grace).start()
    });
    let (flushing, at_most) = (state.registry.clone(), state.config.sessions.activity_flush);
    supervise("activity_flusher", metrics.clone(), move || {
        ActivityFlusher::new(flushing.clone(), at_most).start()
    })
}

fn start_publisher(state: &AppState) -> Option<Supervised<Publisher>> {
    if state.config.redis.is_none() {
        tracing::info!("events.not_published: REDIS_URL is not set");
        return None;
    }
    let publishing = state.registry.clone();
    Some(supervise("publisher", state.metrics().clone(), move || Publisher::new(publishing.clone()).start()))
}

/// Waits for the first poll of the feed, without which a node refuses protected requests. Returns whether it
/// happened.
async fn first_poll(registry: &Registry) -> bool {
    for _ in 0..FIRST_POLL_TRIES {
        if registry.freshness().is_fresh() {
            return true;
        }
        tokio::time::sleep(FIRST_POLL_PAUSE).await;
    }
    false
}

/// If Redis is up, waits a moment until messages of the other nodes are received: what they send before that
/// is missed, and only the feed makes up for it.
pub(super) async fn wait_until_subscribed(redis: &RedisBus) {
    for _ in 0..LISTENING_TRIES {
        if redis.listens() || !redis.is_up() {
            return;
        }
        tokio::time::sleep(FIRST_POLL_PAUSE).await;
    }
}
