//! Supervision of the long-lived actors: one that has ended is started again, each time a little later,
//! for ever.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context};
use arc_swap::ArcSwap;

use crate::telemetry::metrics::Metrics;

/// How often an actor is checked; also the first wait before it is started again.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The address of an actor that is started again whenever it ends.
#[derive(Debug)]
pub struct Supervised<A: Actor<Context = Context<A>>>(Arc<ArcSwap<Addr<A>>>);

impl<A: Actor<Context = Context<A>>> Clone for Supervised<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor<Context = Context<A>>> Supervised<A> {
    /// The address of the instance that runs now.
    #[must_use]
    pub fn address(&self) -> Addr<A> {
        Addr::clone(&self.0.load())
    }
}

/// Starts an actor, and starts it again whenever it ends, for as long as the service lives. Must be
/// called on an arbiter.
pub fn supervise<A, F>(name: &'static str, metrics: Metrics, start: F) -> Supervised<A>
where
    A: Actor<Context = Context<A>>,
    F: Fn() -> Addr<A> + 'static,
{
    let supervised = Supervised(Arc::new(ArcSwap::from_pointee(start())));
    let watched = supervised.clone();
    actix::spawn(async move {
        let mut wait = POLL_INTERVAL;
        loop {
            tokio::time::sleep(wait).await;
            if watched.address().connected() {
                wait = POLL_INTERVAL;
                continue;
            }
            metrics.actor_restarts.with_label_values(&[name]).inc();
            tracing::error!(actor = name, "actor.restarted");
            watched.0.store(Arc::new(start()));
            wait = (wait * 2).min(MAX_WAIT);
        }
    });
    supervised
}
