//! `Cluster`: several real processes of the program on one PostgreSQL database and one Redis, all created for
//! one test.
//!
//! One cluster at a time: a test holds a lock, its turn, for as long as its cluster lives.

use std::fmt::Display;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use tokio::sync::{Mutex, MutexGuard};

use super::app::{PATIENT_STALENESS_MS, STALENESS, Setup, TestApp};
use super::client::Client;
use super::database::{Database, PostgresDatabase};
use super::pgbouncer::PgBouncer;
use super::proxy::Proxy;
use super::redis::RedisServer;
use super::redis_cluster::RedisCluster;
use super::redis_kind::Redis;
use super::sentinels::Sentinels;
use super::time::eventually;

const QUIET: &str = "info,auth_service::http=off";

static TURN: Mutex<()> = Mutex::const_new(());

/// The setup of a cluster.
pub(crate) struct ClusterSetup {
    nodes: usize,
    variables: Vec<(&'static str, String)>,
    behind_proxies: bool,
    /// Settings of a pooler between the nodes and PostgreSQL, if there is one.
    pooler: Option<Vec<&'static str>>,
    redis: RedisSetup,
}

/// What to start for the events.
enum RedisSetup {
    /// One server, or what [`KIND`] says.
    Any,
    /// One server, with these settings.
    Server(Vec<String>),
    Cluster,
    Sentinels,
}

/// `cluster` or `sentinel`: every test that can runs on that.
const KIND: &str = "TEST_REDIS";

impl ClusterSetup {
    pub(crate) fn set(mut self, variable: &'static str, value: impl Display) -> Self {
        self.variables.push((variable, value.to_string()));
        self
    }

    /// Gives each node proxies of its own to the database and to Redis, to be cut, stalled or delayed.
    pub(crate) fn behind_proxies(mut self) -> Self {
        self.behind_proxies = true;
        self
    }

    /// Puts PgBouncer with these settings between the nodes and PostgreSQL.
    pub(crate) fn behind_pooler(mut self, settings: &[&'static str]) -> Self {
        self.pooler = Some(settings.to_vec());
        self
    }

    /// Gives Redis additional arguments.
    pub(crate) fn on_redis(mut self, settings: &[&str]) -> Self {
        self.redis = RedisSetup::Server(settings.iter().map(|setting| (*setting).to_owned()).collect());
        self
    }

    /// Uses a Redis Cluster.
    pub(crate) fn on_redis_cluster(mut self) -> Self {
        self.redis = RedisSetup::Cluster;
        self
    }

    /// Uses a Redis whose master Sentinels name.
    pub(crate) fn on_sentinels(mut self) -> Self {
        self.redis = RedisSetup::Sentinels;
        self
    }

    async fn start_redis(&self) -> Redis {
        let kind = std::env::var(KIND).unwrap_or_default();
        match (&self.redis, kind.as_str()) {
            (RedisSetup::Cluster, _) => Redis::Cluster(RedisCluster::start().await),
            (RedisSetup::Sentinels, _) => Redis::Sentinels(Sentinels::start().await),
            (RedisSetup::Any, "cluster") if !self.behind_proxies => {
                Redis::Cluster(RedisCluster::start().await)
            }
            (RedisSetup::Any, "sentinel") if !self.behind_proxies => {
                Redis::Sentinels(Sentinels::start().await)
            }
            (RedisSetup::Server(settings), _) => {
                let settings: Vec<_> = settings.iter().map(String::as_str).collect();
                Redis::Server(RedisServer::start_with(&settings).await)
            }
            _ => Redis::Server(RedisServer::start().await),
        }
    }

    /// Starts everything, all nodes at the same time, and waits until each is ready.
    pub(crate) async fn start(self) -> Cluster {
        let turn = TURN.lock().await;
        let database = PostgresDatabase::create().await;
        let redis = self.start_redis().await;
        let pooler = match &self.pooler {
            Some(settings) => Some(PgBouncer::start(database.address(), settings).await),
            None => None,
        };
        let address = pooler.as_ref().map_or_else(|| database.address().to_owned(), PgBouncer::address);
        let nodes = join_all((0..self.nodes).map(|_| self.node(&database, &address, &redis))).await;
        let watcher = database.connect().await;
        Cluster { nodes, watcher, redis, pooler, database, _turn: turn }
    }

    async fn node(&self, database: &PostgresDatabase, address: &str, redis: &Redis) -> Node {
        let lines = if self.behind_proxies {
            // The nodes of a Cluster, and Sentinels, give addresses of their own.
            let to_redis = match redis {
                Redis::Server(server) => Some(Proxy::to(&server.address()).await),
                Redis::Cluster(_) | Redis::Sentinels(_) => None,
            };
            Some(Lines { database: Proxy::to(address).await, redis: to_redis })
        } else {
            None
        };
        let database_url = match &lines {
            Some(lines) => database.url_through(lines.database.address()),
            None => database.url_through(address),
        };
        let redis_settings = match lines.as_ref().and_then(|lines| lines.redis.as_ref()) {
            Some(redis) => vec![("REDIS_URL", format!("redis://{}", redis.address()))],
            None => redis.settings(),
        };
        let mut setup = Setup::on(Database::Sqlite)
            .await
            .set("DATABASE_URL", database_url)
            .set(STALENESS, PATIENT_STALENESS_MS)
            // One line per request would bury the relevant output of a failing test.
            .set("LOG_LEVEL", std::env::var("TEST_LOG").unwrap_or_else(|_| QUIET.to_owned()));
        for (variable, value) in redis_settings.iter().chain(&self.variables) {
            setup = setup.set(variable, value);
        }
        Node { app: setup.start().await, lines }
    }
}

struct Lines {
    database: Proxy,
    /// To a single Redis.
    redis: Option<Proxy>,
}

/// One process, and its proxies, if it has any.
pub(crate) struct Node {
    app: TestApp,
    lines: Option<Lines>,
}

impl Node {
    /// `http://127.0.0.1:port`; another one after a restart.
    pub(crate) fn base(&self) -> &str {
        self.app.base()
    }

    /// A new device that nobody has signed in on.
    pub(crate) fn client(&self) -> Client {
        self.app.client()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.app.kill();
    }

    /// Starts it again, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        self.app.restart().await;
    }

    /// The memory it holds, in bytes.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.app.resident_memory()
    }

    pub(crate) fn freeze(&self) {
        self.app.freeze();
    }

    pub(crate) fn thaw(&self) {
        self.app.thaw();
    }

    /// Its proxy to PostgreSQL.
    pub(crate) fn database(&self) -> &Proxy {
        &self.lines.as_ref().expect("a cluster behind proxies").database
    }

    /// Its proxy to Redis.
    pub(crate) fn redis(&self) -> &Proxy {
        self.redis_if_single().expect("a single Redis behind proxies")
    }

    /// The same, if there is one.
    pub(crate) fn redis_if_single(&self) -> Option<&Proxy> {
        self.lines.as_ref()?.redis.as_ref()
    }
}

pub(crate) struct Cluster {
    // Fields are dropped in this order: the nodes before what they depend on, the turn last.
    pub(crate) nodes: Vec<Node>,
    /// A connection to the database without any proxy.
    watcher: DatabaseConnection,
    pub(crate) redis: Redis,
    /// Between the nodes and PostgreSQL, if there is one.
    pub(crate) pooler: Option<PgBouncer>,
    database: PostgresDatabase,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    pub(crate) fn of(nodes: usize) -> ClusterSetup {
        ClusterSetup {
            nodes,
            variables: Vec::new(),
            behind_proxies: false,
            pooler: None,
            redis: RedisSetup::Any,
        }
    }

    /// The address of the node with this index, modulo the number of nodes.
    pub(crate) fn base(&self, place: usize) -> &str {
        self.nodes[place % self.nodes.len()].base()
    }

    /// The setup of a node, to run commands beside it.
    pub(crate) fn setup(&self, node: usize) -> &Setup {
        &self.nodes[node].app.setup
    }

    /// A new device that uses that node.
    pub(crate) fn client(&self, node: usize) -> Client {
        self.nodes[node].client()
    }

    /// Queries the database directly.
    pub(crate) async fn query(&self, sql: &str) -> Vec<QueryResult> {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        self.watcher.query_all_raw(statement).await.unwrap()
    }

    /// One more connection to the database, without any proxy.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        self.database.connect().await
    }

    /// A connection to another database of the same server.
    pub(crate) async fn connect_elsewhere(&self) -> DatabaseConnection {
        self.database.connect_elsewhere().await
    }

    /// The single number that a query returns.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.query(sql).await[0].try_get_by_index(0).unwrap()
    }

    /// Waits until the outbox is empty.
    pub(crate) async fn all_is_published(&self, within: Duration) {
        eventually("everything is published", within, async || {
            let waiting = self.count("SELECT count(*) FROM outbox").await;
            if waiting == 0 { Ok(()) } else { Err(format!("{waiting} in the outbox")) }
        })
        .await;
    }

    pub(crate) async fn live_sessions(&self) -> i64 {
        self.count("SELECT count(*) FROM sessions WHERE ended_at IS NULL").await
    }
}
