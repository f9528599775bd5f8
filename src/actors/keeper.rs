//! Keeps a long-lived actor running: if it is gone it is started again, each time a little later, for ever.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context};
use arc_swap::ArcSwap;

use crate::telemetry::metrics::Metrics;

/// How often a kept actor is looked after; also the first wait before it is started again.
const LOOK: Duration = Duration::from_millis(200);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The address of an actor that is kept running.
#[derive(Debug)]
pub struct Kept<A: Actor<Context = Context<A>>>(Arc<ArcSwap<Addr<A>>>);

impl<A: Actor<Context = Context<A>>> Clone for Kept<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor<Context = Context<A>>> Kept<A> {
    /// The address of the one that runs now.
    #[must_use]
    pub fn address(&self) -> Addr<A> {
        Addr::clone(&self.0.load())
    }
}

/// Starts an actor, and starts it again whenever it is gone, until the service ends. Call it on an arbiter.
pub fn keep<A, F>(name: &'static str, metrics: Metrics, start: F) -> Kept<A>
where
    A: Actor<Context = Context<A>>,
    F: Fn() -> Addr<A> + 'static,
{
    let kept = Kept(Arc::new(ArcSwap::from_pointee(start())));
    let watched = kept.clone();
    actix::spawn(async move {
        let mut wait = LOOK;
        loop {
            tokio::time::sleep(wait).await;
            if watched.address().connected() {
                wait = LOOK;
                continue;
            }
            metrics.actor_restarts.with_label_values(&[name]).inc();
            tracing::error!(actor = name, "actor.restarted");
            watched.0.store(Arc::new(start()));
            wait = (wait * 2).min(MAX_WAIT);
        }
    });
    kept
}
