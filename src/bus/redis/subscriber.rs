//! Receives messages of the other nodes: one connection, subscribed to all shards, re-opened for ever. To
//! a Cluster it is one connection to each node, and each shard is subscribed to where it is.
//!
//! All shards, even those of which no user is resident: one may become resident the next moment, and a
//! message that arrives before the subscription would be missed. From a few hundred users on, each shard
//! has some anyway.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use rand::Rng;
use redis::aio::PubSubStream;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Msg, PushInfo};
use tokio::sync::mpsc;

use super::line::no_master;
use super::servers::cluster_config;
use super::{QUEUE, RedisBus};
use crate::bus::BusError;
use crate::bus::internal::{Activity, Invalidation, PeerMessage, SHARDS};

/// Shortest wait before connecting again.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// How often the connection is tested, because a half-open one gives no sign.
const PULSE: Duration = Duration::from_secs(2);
/// How often the shards of a Cluster are subscribed to again. It changes nothing where they are, and
/// follows those that moved.
const CLUSTER_PULSE: Duration = Duration::from_secs(1);
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
                let listened = match bus.connection.servers().cluster() {
                    Some(client) => bus.listen_in_cluster(client, &listener, &mut wait).await,
                    None => bus.listen_once(&listener, &mut wait).await,
                };
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

    fn internal_channels(&self) -> Vec<String> {
        (0..SHARDS).map(|shard| self.names.internal(shard)).collect()
    }

    /// Listens until the connection breaks, or until the master is another server.
    async fn listen_once(&self, listener: &impl Listener, wait: &mut Duration) -> Result<(), BusError> {
        let servers = self.connection.servers();
        let server = servers.current().ok_or_else(no_master)?;
        let connecting = server.get_async_pubsub();
        let pubsub = tokio::time::timeout(TIMEOUT, connecting).await.map_err(|_| BusError::TimedOut)??;
        let (mut sink, mut stream) = pubsub.split();
        in_time(sink.subscribe(self.internal_channels())).await?;
        self.listens.store(true, Ordering::Release);
        *wait = MIN_WAIT;
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            tokio::select! {
                message = next(&mut stream) => match message {
                    Some(message) => hear(listener, &message),
                    None => return Ok(()),
                },
                _ = pulse.tick() => {
                    if servers.has_sentinels()
                        && servers.current().is_none_or(|current| !Arc::ptr_eq(&current, &server))
                    {
                        return Ok(());
                    }
                    in_time(async { sink.ping::<redis::Value>().await.map(drop) }).await?;
                }
            }
        }
    }

    /// Listens until no master answers. While one is being replaced, the others are still heard.
    async fn listen_in_cluster(
        &self,
        client: &ClusterClient,
        listener: &impl Listener,
        wait: &mut Duration,
    ) -> Result<(), BusError> {
        let (sender, mut received) = mpsc::channel(QUEUE);
        // If the queue is full, the message is dropped.
        let config = cluster_config().set_push_sender(move |message: PushInfo| sender.try_send(message));
        let connecting = client.get_async_connection_with_config(config);
        let connection =
            tokio::time::timeout(TIMEOUT, connecting).await.map_err(|_| BusError::TimedOut)??;
        let hearing = async {
            while let Some(message) = received.recv().await {
                // Confirmations of subscriptions are pushed too.
                if let Some(message) = Msg::from_push_info(message) {
                    hear(listener, &message);
                }
            }
        };
        let channels = self.internal_channels();
        let subscribing = async {
            loop {
                let subscribed = subscribe_to_shards(&connection, &channels).await;
                self.listens.store(subscribed == channels.len(), Ordering::Release);
                match subscribed {
                    0 => return BusError::TimedOut,
                    _ => *wait = MIN_WAIT,
                }
                tokio::time::sleep(CLUSTER_PULSE).await;
            }
        };
        tokio::select! {
            () = hearing => Ok(()),
            error = subscribing => Err(error),
        }
    }
}

/// Subscribes to each of the channels on the master that it belongs to. Returns to how many.
async fn subscribe_to_shards(connection: &ClusterConnection, channels: &[String]) -> usize {
    let subscribing = channels.iter().map(|channel| {
        let mut connection = connection.clone();
        async move { in_time(connection.ssubscribe(channel)).await.is_ok() }
    });
    join_all(subscribing).await.into_iter().filter(|is_subscribed| *is_subscribed).count()
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
