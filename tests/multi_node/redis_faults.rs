//! A Redis that answers and takes no writes: a replica, or one that is full. Events for other services
//! wait for it, and the service itself goes on.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use reqwest::Method;

use super::events::{everything_is_told, write, writers};
use crate::support::metrics::Metrics;
use crate::support::redis::RedisServer;
use crate::support::{Client, Cluster, Connection, Person, Transport, eventually};

/// A port without a listener: a replica of it has no other data than its own.
const NOBODY: &str = "1";
const MENDED_WITHIN: Duration = Duration::from_secs(15);
/// After this many failed attempts to publish, everything that an attempt does has been seen.
const TRIES: f64 = 3.0;

/// Publishing has failed a few times, and the health answer reports it. Browsers can still connect.
async fn is_told_honestly(cluster: &Cluster, device: &Client) {
    let failed = async || Metrics::read(device).await.sum("auth_events_failed_total").unwrap();
    let before = failed().await;
    eventually("publishing is tried", MENDED_WITHIN, async || {
        // Only one node has the turn at a time, and it may be the other one.
        let others = Metrics::read(&cluster.client(1)).await.sum("auth_events_failed_total").unwrap();
        let tries = failed().await + others - before;
        if tries >= TRIES { Ok(()) } else { Err(format!("{tries} tries")) }
    })
    .await;
    for _ in 0..20 {
        let health = device.get("/health").await.expect(200);
        assert_eq!(health.json["status"], "degraded", "{health}");
    }
    let ticket = device.send(device.request(Method::POST, "/events/ticket")).await.expect(201);
    let request = Transport::Sse.request_by(device, ticket.json["ticket"].as_str().unwrap());
    Connection::open_by(Transport::Sse, request).await;
}

async fn somebody(cluster: &Cluster) -> Client {
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    device
}

async fn health_is_ok(device: &Client) {
    eventually("all is well", MENDED_WITHIN, async || {
        let health = device.get("/health").await;
        if health.json["status"] == "ok" { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
}

/// Writes while Redis refuses writes, and checks on a channel what is published: each event once, when
/// Redis is writable again.
async fn owes_nothing_after(broken: &[&str], mended: &[&str]) {
    let cluster = Cluster::of(2).on_redis(&[]).start().await;
    let mut writers = writers(&cluster).await;
    let device = somebody(&cluster).await;
    cluster.all_is_published(MENDED_WITHIN).await;
    let mut heard = cluster.redis.listen("auth:user.login").await;

    cluster.redis.command(broken).await;
    write(&mut writers, &[cluster.base(0), cluster.base(1)]).await;
    is_told_honestly(&cluster, &device).await;
    let waiting = "SELECT count(*) FROM outbox WHERE channel = 'auth:user.login'";
    let owed = cluster.count(waiting).await;
    assert!(owed > 0, "nothing waits");

    cluster.redis.command(mended).await;
    everything_is_told(&cluster, &writers).await;
    health_is_ok(&device).await;
    // A message after all the others shows that there are no more of them.
    cluster.redis.publish("auth:user.login", "last").await;
    let heard: Vec<_> =
        heard.by_ref().take_while(|message| std::future::ready(message != "last")).collect().await;
    assert_eq!(i64::try_from(heard.len()), Ok(owed), "messages on the channel");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn what_happened_while_redis_was_read_only_is_told_once() {
    owes_nothing_after(&["REPLICAOF", "127.0.0.1", NOBODY], &["REPLICAOF", "NO", "ONE"]).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn what_happened_while_redis_was_full_is_told_once() {
    owes_nothing_after(&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]).await;
}

/// The address leads to another Redis, and the previous one lives on as its replica: nobody closes the
/// connections to it.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_redis_that_took_over_is_found() {
    let cluster = Cluster::of(2).behind_proxies().start().await;
    let mut device = somebody(&cluster).await;
    cluster.all_is_published(MENDED_WITHIN).await;
    let successor = RedisServer::start().await;
    cluster.nodes.iter().for_each(|node| node.redis().lead_to(&successor.address()));
    let address = successor.address();
    let (host, port) = address.split_once(':').unwrap();
    cluster.redis.command(&["REPLICAOF", host, port]).await;
    device.logout().await.expect(204);
    let told = eventually("the successor's event arrives", MENDED_WITHIN, async || {
        let events = successor.events().await;
        let mine = events.iter().filter(|event| event.text("sessionId") == device.session_id);
        match mine.map(|event| event.channel.clone()).collect::<Vec<_>>() {
            told if told.len() == 2 => Ok(told),
            told => Err(format!("{told:?}")),
        }
    })
    .await;
    assert_eq!(told, ["auth:user.logout", "auth:session.deleted"]);
    join(health_is_ok(&cluster.client(0)), health_is_ok(&cluster.client(1))).await;
}
