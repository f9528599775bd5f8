//! The bus on Redis: public channels and the stream for other services, internal channels for the other
//! nodes, and counters shared by all nodes.
//!
//! In reading order: `servers` knows where Redis is (one server, those of a Cluster, or the master that
//! Sentinels name), `line` is one connection to it, `connection` the one that lasts, `names` are the
//! names there, `health` watches it, `server` asks what kind of server it is, `turns` publishes what must
//! not be lost, `sender` what may be lost, `notices` gathers those of activity, `counters` and `tickets`
//! store what all nodes must agree on, [`subscriber`] receives from other nodes, [`stream`] and
//! `watcher` read what was published.
//!
//! Bounds: messages that may be lost wait in a queue of [`QUEUE`]; further ones are dropped. Every
//! command has [`TIMEOUT`]; while Redis is unreachable, counters do not try it for
//! [`RETRY_AFTER_FAILURE`].

mod connection;
mod counters;
mod health;
mod line;
mod names;
mod notices;
mod sender;
mod server;
mod servers;
pub mod stream;
pub mod subscriber;
mod tickets;
mod turns;
mod watcher;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::BusError;
use super::internal::{Activity, DeduplicatedMessage, Invalidation, shard_of};
use crate::config::{RedisConfig, RedisMode};
use crate::events::Message;
use crate::io::Io;
use crate::telemetry::metrics::Metrics;
use connection::Connection;
pub(super) use connection::text_of;
use health::Health;
use names::Names;
use sender::BestEffort;
use servers::Servers;

/// How long a batch may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a counter may take, because a login waits for it.
const COUNTER_TIMEOUT: Duration = Duration::from_millis(250);
/// How long counters do not try Redis after it failed to answer.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Most queued messages of those that may be lost.
const QUEUE: usize = 20_000;
/// How often Redis is checked.
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// Redis, through one connection that reconnects by itself.
#[derive(Debug)]
pub struct RedisBus {
    io: Io,
    connection: Connection,
    best_effort: mpsc::Sender<BestEffort>,
    notices: mpsc::Sender<Activity>,
    listens: AtomicBool,
    stream_max_len: u64,
    names: Names,
    /// Identifies this process as the holder of a turn.
    node: String,
    health: Arc<Health>,
}

impl RedisBus {
    /// A bus on that Redis, which need not be reachable: this waits only until it is known to be, or
    /// until that cannot be known soon.
    ///
    /// # Errors
    /// When an address is invalid, or leads to a server of another kind than `REDIS_MODE` says.
    pub async fn new(
        config: &RedisConfig,
        stream_max_len: u64,
        io: Io,
        metrics: &Metrics,
    ) -> Result<Self, BusError> {
        let servers = Servers::new(config)?;
        let names = Names::new(&config.prefix, servers.cluster().is_some());
        let health = Arc::new(Health::new(&servers, names.pulses()));
        // The tasks of a connection run on the runtime that creates it.
        let connection = io.run(async move { Connection::open(servers) }).await??;
        let (beginning, line) = (Arc::clone(&health), connection.clone());
        io.run(async move { beginning.begin(&line).await }).await??;
        let (best_effort, queue) = mpsc::channel(QUEUE);
        io.detach(sender::send_best_effort(connection.clone(), queue, metrics.clone()));
        let (notices, gathered) = mpsc::channel(QUEUE);
        io.detach(notices::gather(gathered, names.clone(), best_effort.clone()));
        io.detach(Arc::clone(&health).watch(connection.clone()));
        let (node, listens) = (Uuid::new_v4().to_string(), AtomicBool::new(false));
        Ok(Self { io, connection, best_effort, notices, listens, stream_max_len, names, node, health })
    }

    pub(super) fn publish_once(&self, message: DeduplicatedMessage) {
        let DeduplicatedMessage { session, interval, message } = message;
        let event = Some(Arc::clone(&message.channel));
        let once = (!interval.is_zero())
            .then(|| (self.names.told(session), DeduplicatedMessage::remembered_for(interval)));
        self.send_best_effort(BestEffort { message: self.named(message), event, once });
    }

    /// The message, with its channel's name on Redis.
    fn named(&self, message: Message) -> Message {
        let channel = match self.names.channel(&message.channel) {
            Cow::Borrowed(_) => message.channel,
            Cow::Owned(channel) => channel.into(),
        };
        Message { channel, payload: message.payload }
    }

    fn send_best_effort(&self, message: BestEffort) {
        // Full or closed: such messages may be lost.
        let _ = self.best_effort.try_send(message);
    }

    pub(super) fn invalidate(&self, invalidation: &Invalidation) {
        if let Ok(payload) = serde_json::to_string(invalidation) {
            let channel = self.names.internal(shard_of(invalidation.user));
            let message = Message { channel: channel.into(), payload: payload.into() };
            self.send_best_effort(BestEffort::to_nodes(message));
        }
    }

    pub(super) fn tell_activity(&self, activity: Activity) {
        // Full: such notices may be lost.
        let _ = self.notices.try_send(activity);
    }

    /// Whether the last command to Redis succeeded.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.health.is_up()
    }

    /// Whether a key that was written is known to stay: not where Redis may evict keys, nor where another
    /// server takes over from one that dies, because it may lack what was written last.
    pub(super) fn keeps_keys(&self) -> bool {
        let is_replaced = *self.connection.servers().mode() != RedisMode::Standalone;
        !is_replaced && self.health.never_evicts()
    }

    pub(super) fn evicts_by(&self) -> Option<String> {
        self.health.evicts_by()
    }
}
