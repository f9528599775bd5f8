//! Sightings on their way to the database: recorded by requests without waiting, written in batches.
//! Another node must know of them before the grace is over: only then does it treat a replaced refresh
//! token as stolen.
//!
//! Bound: one entry per session of the residents; what could not be written stays in the buffer until
//! its token is replaced.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, WrapFuture};
use dashmap::DashMap;

use crate::actors::live_session::LiveSession;
use crate::actors::registry::Registry;
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;
use crate::storage::sightings::SeenRefresh;

/// The shortest and the longest interval between two writes; within these limits, a quarter of the grace.
const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_millis(500);

/// Sightings that the database does not have yet.
#[derive(Debug, Default)]
pub(in crate::actors) struct Sightings(DashMap<SessionId, SeenRefresh>);

impl Sightings {
    /// When that generation was first seen, if that may not be stored yet.
    pub(in crate::actors) fn pending(&self, session: SessionId, generation: u32) -> Option<Timestamp> {
        self.0.get(&session).filter(|seen| seen.generation == generation).map(|seen| seen.at)
    }
}

impl Registry {
    /// A token of that refresh generation has reached this node. Nearly always that is known already.
    pub fn note_sighting(&self, session: &LiveSession, generation: u32, now: Timestamp) {
        if session.see(generation, now) {
            let (user, session) = (session.user, session.id());
            self.sightings().0.insert(session, SeenRefresh { user, session, generation, at: now });
        }
    }

    /// Writes what has been seen.
    pub async fn flush_sightings(&self) {
        let noted = &self.sightings().0;
        if noted.is_empty() {
            return;
        }
        let batch: Vec<_> = noted.iter().map(|entry| *entry.value()).collect();
        match self.store().store_sightings(batch.clone()).await {
            Ok(left) => {
                for seen in batch.iter().filter(|seen| !left.contains(&seen.session)) {
                    noted.remove_if(&seen.session, |_, noted| noted == seen);
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, sessions = batch.len(), "sightings.flush_failed");
            }
        }
    }
}

/// Writes sightings periodically.
#[derive(Debug)]
pub struct SightingFlusher {
    registry: Registry,
    every: Duration,
}

impl SightingFlusher {
    /// A flusher for that registry's sightings, frequent enough for that grace.
    #[must_use]
    pub fn new(registry: Registry, grace: Duration) -> Self {
        Self { registry, every: (grace / 4).clamp(OFTEN, SELDOM) }
    }
}

impl Actor for SightingFlusher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (registry, every) = (self.registry.clone(), self.every);
        let work = async move {
            loop {
                tokio::time::sleep(every).await;
                registry.flush_sightings().await;
            }
        };
        ctx.spawn(work.into_actor(self));
    }
}
