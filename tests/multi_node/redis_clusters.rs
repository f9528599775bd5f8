//! A Redis Cluster and Sentinels: every promise that Redis has a part in holds there too, also while a
//! master dies; and where the address leads to something other than `REDIS_MODE` says, the program does not
//! start.

use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};

use super::events::{everything_is_told, write, writers};
use super::revocation::{Household, Times, refused_after};
use super::tickets::one_is_let_in;
use crate::support::cluster::ClusterSetup;
use crate::support::redis::RedisServer;
use crate::support::redis_cluster::RedisCluster;
use crate::support::redis_kind::Redis;
use crate::support::sentinels::Sentinels;
use crate::support::time::Stopwatch;
use crate::support::{Cluster, Database, Person, Setup, eventually};

const NOTICED_WITHIN: Duration = Duration::from_secs(15);
const FAILOVERS: usize = 2;
/// Endings whose way to the other nodes is timed.
const ENDINGS: usize = 60;

/// Waits until every node says that its events get through.
async fn health_is_ok(cluster: &Cluster) {
    for node in 0..cluster.nodes.len() {
        eventually("health says so", NOTICED_WITHIN, async || {
            let health = cluster.client(node).get("/health").await;
            if health.json["status"] == "ok" { Ok(()) } else { Err(health.to_string()) }
        })
        .await;
    }
}

/// The other node learns of an ending over Redis, not from the database a second later.
async fn endings_are_heard(cluster: &Cluster) {
    let home = Household::new(cluster).await;
    let mut times = Times::default();
    for _ in 0..ENDINGS {
        let device = home.device_known_everywhere(cluster).await;
        home.end(&device).await;
        times.add(refused_after(&device.at(cluster.base(1)), &Stopwatch::start()).await);
    }
    times.tell("after the failover");
    assert!(times.percentile(50) < Duration::from_millis(50), "the fast path is not taken: {times:?}");
}

/// Kills the master that has the most to do, and starts it again when it has been replaced.
async fn fail_over(redis: &mut Redis) {
    let watch = Stopwatch::start();
    match redis {
        Redis::Cluster(cluster) => {
            let dead = cluster.kill_master_of("auth:events").await;
            cluster.restart(dead).await;
        }
        Redis::Sentinels(sentinels) => {
            let dead = sentinels.kill_master().await;
            sentinels.restart(dead).await;
        }
        Redis::Server(_) => panic!("a single Redis has nobody to take over"),
    }
    println!("{:.1?} from the death of a master to its return as a replica", watch.elapsed());
}

async fn a_failover_costs_nothing(setup: ClusterSetup) {
    let mut cluster = setup.set("RATE_LIMIT_ENABLED", false).set("REDIS_MIN_REPLICAS", 1).start().await;
    health_is_ok(&cluster).await;
    endings_are_heard(&cluster).await;
    let mut writers = writers(&cluster).await;
    for _ in 0..FAILOVERS {
        let bases: Vec<_> = cluster.nodes.iter().map(|node| node.base().to_owned()).collect();
        let bases: Vec<_> = bases.iter().map(String::as_str).collect();
        join(write(&mut writers, &bases), fail_over(&mut cluster.redis)).await;
        everything_is_told(&cluster, &writers).await;
    }
    health_is_ok(&cluster).await;
    endings_are_heard(&cluster).await;
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    one_is_let_in(&cluster, &device).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_failover_of_a_redis_cluster_costs_nothing() {
    a_failover_costs_nothing(Cluster::of(3).on_redis_cluster()).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_failover_by_sentinels_costs_nothing() {
    a_failover_costs_nothing(Cluster::of(3).on_sentinels()).await;
}

/// All nodes count together, on whichever master a counter is.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn limits_are_counted_once_on_a_redis_cluster() {
    let setup = Cluster::of(2).on_redis_cluster();
    let setup = setup.set("RATE_LIMIT_ENABLED", true).set("RATE_LIMIT_SIGNUP_PER_HOUR", 0);
    let setup = setup.set("RATE_LIMIT_LOGIN_PER_MINUTE", 0);
    let cluster = setup.set("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", 4).start().await;
    for name in ["Ada", "Bob", "Eve", "Ivy"] {
        let person = Person::named(name);
        cluster.client(0).signup(&person).await.expect(201);
        let wrong = json!({"email": person.email, "password": "a wrong password"});
        for attempt in 0..4 {
            cluster.client(attempt % 2).post("/login", &wrong).await.expect(401);
        }
        for node in 0..2 {
            cluster.client(node).post("/login", &wrong).await.expect_problem(429, "rate_limited");
        }
    }
}

/// Whichever node of it is asked first.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_events_of_a_redis_cluster_are_followed() {
    const PEOPLE: usize = 12;
    let cluster = Cluster::of(1).on_redis_cluster().start().await;
    let mut tail = cluster.setup(0).start_command(&["events", "tail", "--from", "0"]);
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let answer = cluster.client(0).signup(&Person::named(&format!("Person{number}"))).await.expect(201);
        people.push(answer.uuid("/user/id").to_string());
    }
    eventually("every event is printed", NOTICED_WITHIN, async || {
        let logs = tail.logs();
        let events = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let users: Vec<_> = events.map(|event| event["data"]["userId"].clone()).collect();
        let is_told = |user: &String| users.iter().filter(|told| *told == user).count() == 2;
        if people.iter().all(is_told) { Ok(()) } else { Err(logs) }
    })
    .await;
    tail.signal("INT");
    tail.end(NOTICED_WITHIN).await.expect_code(0);
}

async fn refused(mode: &str, address: &str, words: &str) {
    let setup = Setup::on(Database::Sqlite).await.set("REDIS_URL", format!("redis://{address}"));
    setup.set("REDIS_MODE", mode).run().await.expect_code(1).expect_output(words);
}

#[tokio::test]
#[ignore = "needs Redis: run ./scripts/test"]
async fn a_mode_that_is_not_the_servers_is_refused_in_plain_words() {
    let (cluster, sentinels) = (RedisCluster::start().await, Sentinels::start().await);
    let single = RedisServer::start().await;
    for node in cluster.nodes() {
        refused("standalone", &node.address(), "a node of a Redis Cluster; set REDIS_MODE=cluster").await;
    }
    let sentinel = sentinels.addresses();
    let sentinel = sentinel.split(',').next().unwrap();
    refused("standalone", sentinel, "a Redis Sentinel; set REDIS_MODE=sentinel").await;
    refused("cluster", sentinel, "a Redis Sentinel; set REDIS_MODE=sentinel").await;
    refused("cluster", &single.address(), "not a node of a Redis Cluster; set REDIS_MODE=standalone").await;
    refused("sentinel", &single.address(), "the server is not a Sentinel").await;
}
