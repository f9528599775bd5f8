//! Receives messages of the other nodes: one connection, subscribed to all shards, re-opened for ever.
//!
//! All shards, even those of which no user is resident: one may become resident the next moment, and a
//! message that arrives before the subscription would be missed. From a few hundred users on, each shard
//! has some anyway.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use rand::Rng;
use redis::Msg;
use redis::aio::PubSubStream;

use super::RedisBus;
use crate::bus::BusError;
use crate::bus::internal::{Activity, Invalidation, PeerMessage, SHARDS, channel_of};

/// Shortest wait before connecting again.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// How often the connection is tested, because a half-open one gives no sign.
const PULSE: Duration = Duration::from_secs(2);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait before connecting again.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// What a subscriber needs from the node that it receives messages for.
pub trait Listener: Send + Sync + 'static {
    /// Another node changed a user's sessions.
    fn invalidated(&self, invalidation: &Invalidation);

    /// Another node saw activity.
    fn active(&self, activity: &Activity);
}

impl RedisBus {
    /// Listens for as long as the service lives.
    pub fn listen(self: &Arc<Self>, listener: impl Listener) {
        let bus = Arc::clone(self);
        self.io.detach(async move {
            let mut wait = MIN_WAIT;
            loop {
                let listened = bus.listen_once(&listener, &mut wait).await;
                bus.listens.store(false, Ordering::Release);
                if let Err(error) = listened {
                    tracing::debug!(error = &error as &dyn std::error::Error, "redis.line_lost");
                }
                let jitter = rand::rng().random_range(0.5..1.0);
                tokio::time::sleep(wait.mul_f64(jitter)).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
        });
    }

    /// Whether messages of the other nodes are currently received, as far as is known.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.listens.load(Ordering::Acquire)
    }

    /// Listens until the connection breaks.
    async fn listen_once(&self, listener: &impl Listener, wait: &mut Duration) -> Result<(), BusError> {
        let connecting = self.client.get_async_pubsub();
        let pubsub = tokio::time::timeout(TIMEOUT, connecting).await.map_err(|_| BusError::TimedOut)??;
        let (mut sink, mut stream) = pubsub.split();
        let channels: Vec<_> = (0..SHARDS).map(|shard| self.name_of(&channel_of(shard))).collect();
        in_time(sink.subscribe(channels)).await?;
        self.listens.store(true, Ordering::Release);
        *wait = MIN_WAIT;
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            tokio::select! {
                message = next(&mut stream) => match message {
                    Some(message) => hear(listener, &message),
                    None => return Ok(()),
                },
                _ = pulse.tick() => in_time(async { sink.ping::<redis::Value>().await.map(drop) }).await?,
            }
        }
    }
}

async fn next(stream: &mut PubSubStream) -> Option<Msg> {
    stream.next().await
}

fn hear(listener: &impl Listener, message: &Msg) {
    match serde_json::from_slice(message.get_payload_bytes()) {
        Ok(PeerMessage::Invalidation(invalidation)) => listener.invalidated(&invalidation),
        Ok(PeerMessage::Activity(activity)) => listener.active(&activity),
        Ok(PeerMessage::Activities(all)) => all.iter().for_each(|activity| listener.active(activity)),
        // A message of a newer version, or of a stranger: the feed provides the truth.
        Err(error) => tracing::debug!(%error, "redis.message_not_understood"),
    }
}

async fn in_time(work: impl Future<Output = redis::RedisResult<()>>) -> Result<(), BusError> {
    tokio::time::timeout(TIMEOUT, work).await.map_err(|_| BusError::TimedOut)?.map_err(BusError::from)
}
