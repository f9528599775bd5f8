//! Whether Redis works, why not, and whether it may evict keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::{join_all, select_ok};
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::error::Elapsed;

use super::connection::{Connection, cause_of, text_of};
use super::server::{Eviction, ServerInfo};
use super::servers::{Servers, line_to};
use super::turns::ENOUGH_REPLICAS;
use super::{PING_INTERVAL, RETRY_AFTER_FAILURE};
use crate::bus::BusError;

/// Unanswered pings after which the connection counts as dead, though nobody has closed it.
const MAX_MISSED_PINGS: u32 = 2;
/// How often the eviction policy is checked; it is also checked after each outage.
const EVICTION_INTERVAL: Duration = Duration::from_secs(60);
/// How often the Sentinels are asked while all is well; otherwise with each pulse.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(5);
/// How long the Sentinels may take to name the master.
const SENTINEL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it may take to find out why Redis does not answer.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(5);
const NO_ANSWER: &str = "no answer in time";
/// Writes the key, if there are enough replicas.
static PULSE: LazyLock<String> = LazyLock::new(|| {
    format!("{ENOUGH_REPLICAS} enough_replicas(ARGV[1]) return redis.call('SET', KEYS[1], '', 'EX', 60)")
});
/// What a replica answers to a write.
const READ_ONLY: ErrorKind = ErrorKind::Server(ServerErrorKind::ReadOnly);

/// What is known of the server.
#[derive(Debug)]
pub(super) struct Health {
    /// Host and port of each configured address.
    address: String,
    /// The keys that are written to find out whether the servers take writes: a full server, or a replica,
    /// answers a ping like any other.
    pulses: Vec<String>,
    min_replicas: u32,
    up: AtomicBool,
    eviction: ArcSwap<Eviction>,
    began: Instant,
    /// Until when counters do not try Redis, in ms since `began`.
    rests_until: AtomicI64,
}

impl Health {
    pub(super) fn new(servers: &Servers, pulses: Vec<String>) -> Self {
        Self {
            address: servers.addresses(),
            pulses,
            min_replicas: servers.min_replicas(),
            up: AtomicBool::new(true),
            eviction: ArcSwap::default(),
            began: Instant::now(),
            rests_until: AtomicI64::new(0),
        }
    }

    /// Records whether a command succeeded.
    pub(super) fn note(&self, failure: Option<&BusError>) {
        self.up.store(failure.is_none(), Ordering::Relaxed);
        if failure.is_some() {
            self.rests_until.store(self.millis() + RETRY_AFTER_FAILURE.as_millis() as i64, Ordering::Relaxed);
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn may_try(&self) -> bool {
        self.is_up() || self.millis() >= self.rests_until.load(Ordering::Relaxed)
    }

    /// Whether it is known not to evict keys.
    pub(super) fn never_evicts(&self) -> bool {
        **self.eviction.load() == Eviction::Never
    }

    /// The policy by which it evicts keys, if it does.
    pub(super) fn evicts_by(&self) -> Option<String> {
        match &**self.eviction.load() {
            Eviction::By(policy) => Some(policy.clone()),
            Eviction::Unknown | Eviction::Never => None,
        }
    }

    fn note_eviction(&self, eviction: Eviction) {
        let before = self.eviction.swap(Arc::new(eviction.clone()));
        match eviction {
            _ if *before == eviction => {}
            Eviction::Never if matches!(*before, Eviction::By(_)) => {
                tracing::info!(address = self.address, "redis.evicts_no_more");
            }
            Eviction::Never => {}
            Eviction::By(policy) => tracing::warn!(address = self.address, policy, "redis.evicts"),
            Eviction::Unknown => tracing::warn!(address = self.address, "redis.eviction_unknown"),
        }
    }

    fn millis(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The first check. An address that leads to a server of another kind than configured is refused; one
    /// that does not answer may do so later.
    pub(super) async fn begin(&self, connection: &Connection) -> Result<(), BusError> {
        // A Cluster's node may take the write or answer MOVED; a Sentinel knows no writes. Each reports
        // what it is.
        let servers = connection.servers();
        let info = probe(servers).await;
        if let Some(mismatch) = info.as_ref().ok().and_then(|info| info.mismatch(servers.mode())) {
            return Err(BusError::WrongMode(mismatch));
        }
        follow(connection).await;
        let pulse = self.pulse(connection, PING_INTERVAL).await;
        // Where nothing answers, nothing more is waited for.
        if info.is_ok()
            && let Ok(eviction) = eviction(connection).await
        {
            self.note_eviction(eviction);
        }
        self.up.store(pulse.failure.is_none(), Ordering::Relaxed);
        Ok(())
    }

    /// Checks repeatedly, for as long as the service lives. A connection that has fallen silent is
    /// replaced, and so is one to a Redis that has become a replica: the address may lead to another
    /// server by then.
    pub(super) async fn watch(self: Arc<Self>, connection: Connection) {
        let (mut useless, mut was_up, mut asked) = (0, true, Some(Instant::now()));
        let mut followed = Instant::now();
        loop {
            if !was_up || followed.elapsed() >= FOLLOW_INTERVAL {
                follow(&connection).await;
                followed = Instant::now();
            }
            let pulse = self.pulse(&connection, PING_INTERVAL * 2).await;
            let is_up = pulse.failure.is_none();
            self.up.store(is_up, Ordering::Relaxed);
            if was_up && !is_up {
                let asking = tokio::time::timeout(DIAGNOSIS_TIMEOUT, why_down(&connection, &pulse));
                let cause = asking.await.unwrap_or_else(|_| NO_ANSWER.to_owned());
                tracing::warn!(address = self.address, cause, "redis.down");
            } else if is_up && !was_up {
                tracing::info!(address = self.address, "redis.up");
                asked = None;
            }
            was_up = is_up;
            if is_up && asked.is_none_or(|asked| asked.elapsed() >= EVICTION_INTERVAL) {
                asked = Some(Instant::now());
                if let Ok(eviction) = eviction(&connection).await {
                    self.note_eviction(eviction);
                }
            }
            useless = if pulse.is_useless { useless + 1 } else { 0 };
            if useless == MAX_MISSED_PINGS {
                useless = 0;
                connection.replace();
            }
            tokio::time::sleep(PING_INTERVAL).await;
        }
    }

    /// Writes each key.
    async fn pulse(&self, connection: &Connection, timeout: Duration) -> Pulse {
        let writes = self.pulses.iter().map(|key| {
            let write = match self.min_replicas {
                0 => redis::cmd("SET").arg(key).arg("").arg("EX").arg(60).to_owned(),
                wanted => redis::cmd("EVAL").arg(&*PULSE).arg(1).arg(key).arg(wanted).to_owned(),
            };
            let mut line = connection.line();
            tokio::time::timeout(
                timeout,
                async move { write.query_async::<Value>(&mut line).await.map(drop) },
            )
        });
        let results = join_all(writes).await;
        let in_cluster = connection.servers().cluster().is_some();
        let is_useless = results.iter().all(|result| match result {
            Ok(Ok(())) => false,
            Ok(Err(error)) => error.kind() == READ_ONLY || in_cluster && is_of_no_master(error),
            Err(_) => true,
        });
        let failure = results.into_iter().find(|result| !matches!(result, Ok(Ok(()))));
        Pulse { failure, is_useless }
    }
}

/// What became of writing the keys.
struct Pulse {
    /// The first that failed.
    failure: Option<Result<RedisResult<()>, Elapsed>>,
    /// Whether no server took one, so that another connection may be better. A Cluster's connection repairs
    /// itself where only some fail.
    is_useless: bool,
}

fn is_of_no_master(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.kind() == ErrorKind::ClusterConnectionNotFound
}

/// Follows the master, if there are Sentinels. If they name none, `why_down` reports it.
async fn follow(connection: &Connection) {
    if connection.servers().has_sentinels() {
        let _ = tokio::time::timeout(SENTINEL_TIMEOUT, connection.follow()).await;
    }
}

/// What one of the configured addresses leads to: the first that answers. Over a connection of its own,
/// which reports why it cannot be opened.
async fn probe(servers: &Servers) -> RedisResult<ServerInfo> {
    let asked = servers.asked().iter().map(|client| {
        async move {
            let mut line = line_to(client).await?;
            ServerInfo::ask(&mut line).await
        }
        .boxed()
    });
    Ok(select_ok(asked).await?.0)
}

/// What the servers do when their memory is full.
async fn eviction(connection: &Connection) -> RedisResult<Eviction> {
    if let Some(client) = connection.servers().current() {
        let mut line = line_to(&client).await?;
        return Ok(ServerInfo::ask(&mut line).await?.eviction());
    }
    // In a Cluster every master answers.
    let infos = redis::cmd("INFO").query_async::<HashMap<String, String>>(&mut connection.line()).await?;
    let all = infos.into_values().map(|info| ServerInfo::read(&info).eviction());
    Ok(all.reduce(Eviction::and).unwrap_or_default())
}

/// The cause in words for an operator.
async fn why_down(connection: &Connection, pulse: &Pulse) -> String {
    let servers = connection.servers();
    let mismatch = match probe(servers).await {
        Ok(info) => info.mismatch(servers.mode()),
        Err(error) if servers.has_sentinels() => return format!("the Sentinels: {}", cause_of(&error)),
        Err(error) => return cause_of(&error),
    };
    match (mismatch, servers.line().await, &pulse.failure) {
        (Some(mismatch), ..) => mismatch.to_owned(),
        (None, _, Some(Ok(Err(error)))) if servers.cluster().is_some() && is_of_a_hole(error) => {
            let text = text_of(error);
            format!("a master of the Cluster is down and has not been replaced yet ({text})")
        }
        (None, Err(error), _) => cause_of(&error),
        (None, Ok(_), Some(Ok(Err(error)))) => cause_of(error),
        (None, Ok(_), _) => NO_ANSWER.to_owned(),
    }
}

/// Whether it says that a part of the Cluster has no master that answers.
fn is_of_a_hole(error: &RedisError) -> bool {
    matches!(error.code(), Some("MOVED" | "ASK" | "CLUSTERDOWN" | "MASTERDOWN"))
        || error.is_connection_refusal()
}
