//! What is done to nodes, to Redis and to the pooler: one fault of each at a time, for a short while,
//! repeatedly.

use futures_util::future::join4;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};

use super::history::History;
use super::people::Bases;
use crate::support::Cluster;
use crate::support::cluster::Node;
use crate::support::pgbouncer::PgBouncer;
use crate::support::proxy::Mode;
use crate::support::redis_kind::Redis;
use crate::support::time::{unix_millis, until as wait_until};

/// The node number under which a fault of Redis or of the pooler is recorded.
const NO_NODE: usize = usize::MAX;

/// Breaks things until the time is up, and leaves everything intact. The spared node is frozen instead
/// of killed.
pub(super) async fn until(
    ends_at: i64,
    seed: u64,
    spared: Option<usize>,
    cluster: &mut Cluster,
    bases: &Bases,
    history: &History,
) {
    let (here, elsewhere) = (cluster.connect().await, cluster.connect_elsewhere().await);
    let Cluster { nodes, redis, pooler, .. } = cluster;
    join4(
        break_nodes(ends_at, StdRng::seed_from_u64(seed * 1_000 + 900), spared, nodes, bases, history),
        break_redis(ends_at, StdRng::seed_from_u64(seed * 1_000 + 901), redis, history),
        break_pooler(ends_at, StdRng::seed_from_u64(seed * 1_000 + 902), pooler.as_ref(), history),
        use_the_database(ends_at, StdRng::seed_from_u64(seed * 1_000 + 903), &here, &elsewhere, history),
    )
    .await;
}

async fn pause(random: &mut StdRng, millis: std::ops::Range<i64>) {
    wait_until(unix_millis() + random.random_range(millis)).await;
}

async fn break_nodes(
    ends_at: i64,
    mut random: StdRng,
    spared: Option<usize>,
    nodes: &mut [Node],
    bases: &Bases,
    history: &History,
) {
    while unix_millis() < ends_at {
        pause(&mut random, 100..800).await;
        let number = random.random_range(0..nodes.len());
        let node = &mut nodes[number];
        let from = unix_millis();
        let fault = match random.random_range(0..10) {
            0 | 1 if spared != Some(number) => {
                node.kill();
                pause(&mut random, 50..1_000).await;
                node.restart().await;
                bases.set(number, node.base());
                "killed"
            }
            0..=3 => {
                node.freeze();
                pause(&mut random, 50..2_500).await;
                node.thaw();
                "frozen"
            }
            choice => {
                let mode = if random.random_bool(0.5) { Mode::Cut } else { Mode::Stall };
                let (proxies, fault) = match choice {
                    4 => (vec![node.database()], "without the database"),
                    5 | 6 => (node.redis_if_single().into_iter().collect(), "without Redis"),
                    _ => {
                        let both = [node.database()].into_iter().chain(node.redis_if_single());
                        (both.collect::<Vec<_>>(), "without the database and Redis")
                    }
                };
                proxies.iter().for_each(|proxy| proxy.set(mode));
                pause(&mut random, 100..3_000).await;
                proxies.iter().for_each(|proxy| proxy.set(Mode::Forward));
                fault
            }
        };
        history.fault(number, fault, from);
    }
}

async fn break_redis(ends_at: i64, mut random: StdRng, redis: &mut Redis, history: &History) {
    while unix_millis() < ends_at {
        pause(&mut random, 500..3_000).await;
        let from = unix_millis();
        let fault = if let Redis::Cluster(cluster) = redis {
            let key = if random.random_bool(0.5) { "auth:events" } else { "{0}" };
            let dead = cluster.kill_master_of(key).await;
            pause(&mut random, 50..500).await;
            cluster.restart(dead).await;
            "a master of the Cluster replaced"
        } else if random.random_bool(0.5) {
            redis.freeze();
            pause(&mut random, 100..1_500).await;
            redis.thaw();
            "Redis frozen"
        } else {
            redis.kill();
            pause(&mut random, 50..500).await;
            redis.restart().await;
            "Redis killed"
        };
        history.fault(NO_NODE, fault, from);
    }
}

async fn break_pooler(ends_at: i64, mut random: StdRng, pooler: Option<&PgBouncer>, history: &History) {
    let Some(pooler) = pooler else { return };
    while unix_millis() < ends_at {
        pause(&mut random, 1_000..4_000).await;
        let from = unix_millis();
        pooler.freeze();
        pause(&mut random, 100..1_500).await;
        pooler.thaw();
        history.fault(NO_NODE, "PgBouncer frozen", from);
    }
}

/// Other users of the same database, or of another database on its server: transactions that stay open,
/// and rows that stay locked.
async fn use_the_database(
    ends_at: i64,
    mut random: StdRng,
    here: &DatabaseConnection,
    elsewhere: &DatabaseConnection,
    history: &History,
) {
    while unix_millis() < ends_at {
        pause(&mut random, 100..800).await;
        let from = unix_millis();
        let (connection, sql, fault) = match random.random_range(0..4) {
            0 => (elsewhere, "SELECT pg_current_xact_id()", "a transaction in another database"),
            1 => (here, "SELECT pg_current_xact_id()", "a transaction in this database"),
            2 => (here, "SELECT id FROM users ORDER BY random() LIMIT 1 FOR UPDATE", "a user's row locked"),
            _ => (
                here,
                "SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY random() LIMIT 2 FOR UPDATE",
                "sessions' rows locked",
            ),
        };
        let transaction = connection.begin().await.unwrap();
        // This waits for rows that others have locked.
        let taken = transaction.execute_unprepared(sql).await;
        pause(&mut random, 100..1_500).await;
        if taken.is_ok() {
            transaction.rollback().await.unwrap();
        }
        history.fault(NO_NODE, fault, from);
    }
}
