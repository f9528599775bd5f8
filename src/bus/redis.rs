//! The bus on Redis: public channels and the stream for other services, internal channels for the other nodes, and
//! counters that hold over all nodes.
//!
//! Bounds: what may be lost waits in a queue of [`QUEUE`] messages and is dropped past that. Every command has
//! [`TIMEOUT`]; while Redis is away, counters are not even tried for [`RETRY_AFTER_FAILURE`].

mod counters;
mod sender;
pub mod stream;
pub mod subscriber;
mod tickets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisResult, ServerErrorKind};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;

use super::BusError;
use super::internal::{Activity, Invalidation, channel_of, shard_of};
use crate::config::RedisConfig;
use crate::domain::ids::UserId;
use crate::events::Message;
use crate::io::Io;
use crate::telemetry::metrics::Metrics;

/// The stream that consumers catch up from.
const STREAM: &str = "auth:events";
/// How long a batch may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a counter may take: a login waits for it.
const COUNTER_PATIENCE: Duration = Duration::from_millis(250);
/// How long Redis is left alone by counters after it did not answer.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Messages that wait to be sent and may be lost.
const QUEUE: usize = 20_000;
/// How often Redis is asked whether it is there.
const PULSE: Duration = Duration::from_millis(500);
/// What is written to find that out: a Redis that is full, or a replica, answers a ping like any other.
const PULSE_KEY: &str = "auth:pulse";
/// Pulses in vain after which the line counts as dead, though nobody has closed it.
const MAX_MISSED_PINGS: u32 = 2;
/// What a replica answers to a write.
const READ_ONLY: ErrorKind = ErrorKind::Server(ServerErrorKind::ReadOnly);

/// Redis, through one connection that mends itself.
#[derive(Debug)]
pub struct RedisBus {
    client: Client,
    io: Io,
    connection: Connection,
    unkept: mpsc::Sender<Message>,
    stream_max_len: u64,
    health: Arc<Health>,
}

/// A connection that is opened at first use, on the runtime of whoever opens or replaces it. A line that breaks is
/// mended by the manager; one that has only fallen silent looks whole to it, and is replaced by [`health_loop`].
#[derive(Clone)]
struct Connection {
    client: Client,
    current: Arc<ArcSwap<ConnectionManager>>,
}

impl Connection {
    fn open(client: Client) -> RedisResult<Self> {
        let manager = client.get_connection_manager_lazy(retries())?;
        Ok(Self { client, current: Arc::new(ArcSwap::from_pointee(manager)) })
    }

    fn manager(&self) -> ConnectionManager {
        ConnectionManager::clone(&self.current.load())
    }

    fn replace(&self) {
        match self.client.get_connection_manager_lazy(retries()) {
            Ok(manager) => self.current.store(Arc::new(manager)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "redis.line_not_replaced");
            }
        }
    }
}

fn retries() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(TIMEOUT))
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_secs(1))
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// Whether Redis does what it is asked.
#[derive(Debug)]
struct Health {
    /// Host and port.
    address: String,
    up: AtomicBool,
    began: Instant,
    /// Until when counters do not try, in ms since `began`.
    rests_until: AtomicI64,
}

impl Health {
    fn note(&self, answered: bool) {
        if self.up.swap(answered, Ordering::Relaxed) != answered {
            if answered {
                tracing::info!(address = self.address, "redis.up");
            } else {
                tracing::warn!(address = self.address, "redis.down");
            }
        }
        if !answered {
            self.rests_until.store(self.millis() + RETRY_AFTER_FAILURE.as_millis() as i64, Ordering::Relaxed);
        }
    }

    fn may_try(&self) -> bool {
        self.up.load(Ordering::Relaxed) || self.millis() >= self.rests_until.load(Ordering::Relaxed)
    }

    fn millis(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

impl RedisBus {
    /// A bus on that Redis, which need not be there: it is only waited for until that is known, or not to be known soon.
    ///
    /// # Errors
    /// When the address has no meaning.
    pub async fn new(
        config: &RedisConfig,
        stream_max_len: u64,
        io: Io,
        metrics: &Metrics,
    ) -> Result<Self, BusError> {
        let info = config.url.expose().into_connection_info()?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        let opening = client.clone();
        // The manager's own task lives on the runtime that makes it.
        let connection = io.run(async move { Connection::open(opening) }).await??;
        let health = Arc::new(Health {
            address: client.get_connection_info().addr().to_string(),
            up: AtomicBool::new(true),
            began: Instant::now(),
            rests_until: AtomicI64::new(0),
        });
        let first = io.run(ping(connection.clone(), PULSE)).await?;
        health.note(matches!(first, Ok(Ok(()))));
        let (unkept, queue) = mpsc::channel(QUEUE);
        io.detach(sender::send_unkept(connection.clone(), queue, metrics.clone()));
        io.detach(health_loop(connection.clone(), Arc::clone(&health)));
        Ok(Self { client, io, connection, unkept, stream_max_len, health })
    }

    pub(super) async fn publish(&self, messages: Vec<Message>) -> Result<(), BusError> {
        let pipeline = sender::kept_pipeline(&messages, self.stream_max_len);
        let mut connection = self.connection.manager();
        let sending = async move {
            match tokio::time::timeout(TIMEOUT, pipeline.query_async::<()>(&mut connection)).await {
                Ok(sent) => sent.map_err(BusError::from),
                Err(_) => Err(BusError::TimedOut),
            }
        };
        let sent = self.io.run(sending).await?;
        self.health.note(sent.is_ok());
        sent
    }

    pub(super) fn publish_best_effort(&self, message: Message) {
        // Full or closed: it is one of those that may be lost.
        let _ = self.unkept.try_send(message);
    }

    pub(super) fn invalidate(&self, invalidation: &Invalidation) {
        self.tell_nodes(invalidation.user, invalidation);
    }

    pub(super) fn tell_activity(&self, activity: &Activity) {
        self.tell_nodes(activity.user, activity);
    }

    fn tell_nodes(&self, user: UserId, word: &impl Serialize) {
        if let Ok(payload) = serde_json::to_string(word) {
            let channel = channel_of(shard_of(user));
            self.publish_best_effort(Message { channel: channel.into(), payload: payload.into() });
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.health.up.load(Ordering::Relaxed)
    }
}

/// Asks Redis again and again whether it takes writes, for as long as the service lives. A line that says nothing any
/// more is replaced, and so is one to a Redis that is a replica now: the address may lead to another by then.
async fn health_loop(connection: Connection, health: Arc<Health>) {
    let mut useless = 0;
    loop {
        let answer = ping(connection.clone(), PULSE * 2).await;
        health.note(matches!(answer, Ok(Ok(()))));
        let is_useless = answer.map_or(true, |answer| answer.is_err_and(|error| error.kind() == READ_ONLY));
        useless = if is_useless { useless + 1 } else { 0 };
        if useless == MAX_MISSED_PINGS {
            useless = 0;
            connection.replace();
        }
        tokio::time::sleep(PULSE).await;
    }
}

async fn ping(connection: Connection, patience: Duration) -> Result<RedisResult<()>, Elapsed> {
    let mut set = redis::cmd("SET");
    set.arg(PULSE_KEY).arg("").arg("EX").arg(60);
    tokio::time::timeout(patience, set.query_async::<()>(&mut connection.manager())).await
}
