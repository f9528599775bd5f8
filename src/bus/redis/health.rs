//! Whether Redis works, why not, and whether it may evict keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisResult, ServerErrorKind};
use tokio::time::error::Elapsed;

use super::connection::{Connection, cause_of};
use super::server::{Eviction, ServerInfo};
use super::{PING_INTERVAL, RETRY_AFTER_FAILURE};
use crate::bus::BusError;

/// Unanswered pings after which the connection counts as dead, though nobody has closed it.
const MAX_MISSED_PINGS: u32 = 2;
/// How often the eviction policy is checked; it is also checked after each outage.
const EVICTION_INTERVAL: Duration = Duration::from_secs(60);
/// How long a diagnostic query may take.
const PROBE_STEP_TIMEOUT: Duration = Duration::from_secs(1);
/// What a replica answers to a write.
const READ_ONLY: ErrorKind = ErrorKind::Server(ServerErrorKind::ReadOnly);

/// What is known of the server.
#[derive(Debug)]
pub(super) struct Health {
    /// Host and port.
    address: String,
    /// The key that is written to find out whether the server takes writes: a full server, or a replica,
    /// answers a ping like any other.
    ping_key: String,
    up: AtomicBool,
    eviction: ArcSwap<Eviction>,
    began: Instant,
    /// Until when counters do not try Redis, in ms since `began`.
    rests_until: AtomicI64,
}

impl Health {
    pub(super) fn new(address: String, ping_key: String) -> Self {
        Self {
            address,
            ping_key,
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
    pub(super) fn keeps_keys(&self) -> bool {
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

    /// The first check. An address that leads to a server of an unsupported kind is refused; one that
    /// does not answer may do so later.
    pub(super) async fn begin(&self, connection: &Connection) -> Result<(), BusError> {
        let answer = self.ping(connection, PING_INTERVAL).await;
        // A Cluster's node may take the write or answer MOVED; a Sentinel knows no writes. Each reports
        // what it is.
        if let Ok(info) = ask(connection.client()).await {
            if info.is_cluster() {
                return Err(BusError::Cluster);
            }
            if info.is_sentinel() {
                return Err(BusError::Sentinel);
            }
            self.note_eviction(info.eviction());
        }
        self.up.store(matches!(answer, Ok(Ok(()))), Ordering::Relaxed);
        Ok(())
    }

    /// Checks repeatedly, for as long as the service lives. A connection that has fallen silent is
    /// replaced, and so is one to a Redis that has become a replica: the address may lead to another
    /// server by then.
    pub(super) async fn watch(self: Arc<Self>, connection: Connection) {
        let (mut useless, mut was_up, mut asked) = (0, true, Some(Instant::now()));
        loop {
            let answer = self.ping(&connection, PING_INTERVAL * 2).await;
            let is_up = matches!(answer, Ok(Ok(())));
            self.up.store(is_up, Ordering::Relaxed);
            if was_up && !is_up {
                let cause = why_down(&connection, &answer).await;
                tracing::warn!(address = self.address, cause, "redis.down");
            } else if is_up && !was_up {
                tracing::info!(address = self.address, "redis.up");
                asked = None;
            }
            was_up = is_up;
            if is_up && asked.is_none_or(|asked| asked.elapsed() >= EVICTION_INTERVAL) {
                asked = Some(Instant::now());
                if let Ok(info) = ask(connection.client()).await {
                    self.note_eviction(info.eviction());
                }
            }
            let is_useless =
                answer.map_or(true, |answer| answer.is_err_and(|error| error.kind() == READ_ONLY));
            useless = if is_useless { useless + 1 } else { 0 };
            if useless == MAX_MISSED_PINGS {
                useless = 0;
                connection.replace();
            }
            tokio::time::sleep(PING_INTERVAL).await;
        }
    }

    async fn ping(&self, connection: &Connection, timeout: Duration) -> Result<RedisResult<()>, Elapsed> {
        let mut set = redis::cmd("SET");
        set.arg(&self.ping_key).arg("").arg("EX").arg(60);
        tokio::time::timeout(timeout, set.query_async::<()>(&mut connection.manager())).await
    }
}

/// Queries over a connection of its own, which reports why it cannot be opened: the manager keeps trying
/// and reports nothing.
async fn ask(client: &Client) -> RedisResult<ServerInfo> {
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PROBE_STEP_TIMEOUT))
        .set_response_timeout(Some(PROBE_STEP_TIMEOUT));
    let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
    ServerInfo::ask(&mut connection).await
}

/// The cause in words for an operator.
async fn why_down(connection: &Connection, answer: &Result<RedisResult<()>, Elapsed>) -> String {
    match (ask(connection.client()).await, answer) {
        (Ok(info), _) if info.is_cluster() => BusError::Cluster.to_string(),
        (Ok(info), _) if info.is_sentinel() => BusError::Sentinel.to_string(),
        (Err(error), _) => cause_of(&error),
        (Ok(_), Ok(Err(error))) => cause_of(error),
        (Ok(_), _) => "no answer in time".to_owned(),
    }
}
