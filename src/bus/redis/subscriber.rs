//! Hearing the other nodes: one connection, subscribed to the shards that have users here, mended for ever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rand::Rng;
use redis::Msg;
use redis::aio::{PubSubSink, PubSubStream};

use super::RedisBus;
use crate::bus::BusError;
use crate::bus::internal::{Activity, Invalidation, PeerMessage, channel_of};

/// How often the subscriptions are compared with the users that are here.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often the line is tried, because a half-open one says nothing.
const PULSE: Duration = Duration::from_secs(2);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait before connecting again.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// What a subscriber needs of the node it listens for.
pub trait Listener: Send + Sync + 'static {
    /// The shards that have users here.
    fn shards(&self) -> BTreeSet<usize>;

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
            let mut wait = POLL_INTERVAL;
            loop {
                match bus.listen_once(&listener, &mut wait).await {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "redis.line_lost")
                    }
                }
                let jitter = rand::rng().random_range(0.5..1.0);
                tokio::time::sleep(wait.mul_f64(jitter)).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
        });
    }

    /// Listens until the line breaks.
    async fn listen_once(&self, listener: &impl Listener, wait: &mut Duration) -> Result<(), BusError> {
        let connecting = self.client.get_async_pubsub();
        let pubsub = tokio::time::timeout(TIMEOUT, connecting).await.map_err(|_| BusError::TimedOut)??;
        let (mut sink, mut stream) = pubsub.split();
        *wait = POLL_INTERVAL;
        let mut subscribed = BTreeSet::new();
        let mut look = tokio::time::interval(POLL_INTERVAL);
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            tokio::select! {
                message = next(&mut stream) => match message {
                    Some(message) => hear(listener, &message),
                    None => return Ok(()),
                },
                _ = look.tick() => in_time(adjust(&mut sink, &mut subscribed, &listener.shards(), &self.prefix)).await?,
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
        // A newer version's message, or a stranger's: the feed tells what is true.
        Err(error) => tracing::debug!(%error, "redis.message_not_understood"),
    }
}

async fn in_time(work: impl Future<Output = redis::RedisResult<()>>) -> Result<(), BusError> {
    tokio::time::timeout(TIMEOUT, work).await.map_err(|_| BusError::TimedOut)?.map_err(BusError::from)
}

async fn adjust(
    sink: &mut PubSubSink,
    subscribed: &mut BTreeSet<usize>,
    wanted: &BTreeSet<usize>,
    prefix: &str,
) -> redis::RedisResult<()> {
    if subscribed == wanted {
        return Ok(());
    }
    let channels = |shards: Vec<&usize>| {
        shards.into_iter().map(|shard| format!("{prefix}{}", channel_of(*shard))).collect::<Vec<_>>()
    };
    let new = channels(wanted.difference(subscribed).collect());
    let old = channels(subscribed.difference(wanted).collect());
    if !new.is_empty() {
        sink.subscribe(new).await?;
    }
    if !old.is_empty() {
        sink.unsubscribe(old).await?;
    }
    subscribed.clone_from(wanted);
    Ok(())
}
