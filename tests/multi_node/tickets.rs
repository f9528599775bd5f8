//! Tickets across several nodes: valid on any of them, once, with Redis, without it, and where only some
//! have it.

use std::time::Duration;

use futures_util::future::{join, join_all};
use reqwest::{Method, StatusCode};

use crate::support::app::REFRESH_SECRET;
use crate::support::proxy::Mode;
use crate::support::time::eventually;
use crate::support::token::Token;
use crate::support::{Client, Cluster, Connection, Person, Transport};

const NOTICED_WITHIN: Duration = Duration::from_secs(15);
/// Tickets that are presented to all nodes at once.
const RACES: usize = 200;
/// How many times at once a ticket is presented to each.
const TRIES: usize = 3;

async fn ticket(device: &Client) -> String {
    let answer = device.send(device.request(Method::POST, "/events/ticket")).await.expect(201);
    answer.json["ticket"].as_str().unwrap().to_owned()
}

/// Presents a ticket to all nodes at once, a few times; returns how many were admitted. `None` if a node
/// did not find out in time.
async fn show_at_once(cluster: &Cluster, device: &Client) -> Option<usize> {
    let ticket = ticket(device).await;
    let places = (0..cluster.nodes.len() * TRIES).map(|place| device.at(cluster.base(place)));
    let answers = join_all(places.map(|at| Transport::Sse.request_by(&at, &ticket).send())).await;
    let status: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().status()).collect();
    let count = |wanted| status.iter().filter(|status| **status == wanted).count();
    let let_in = count(StatusCode::OK);
    assert!(let_in <= 1, "used {let_in} times");
    if count(StatusCode::SERVICE_UNAVAILABLE) > 0 {
        return None;
    }
    assert_eq!(let_in + count(StatusCode::UNAUTHORIZED), status.len(), "{status:?}");
    Some(let_in)
}

/// Of many that use a ticket at the same moment, on any node, one is admitted.
pub(super) async fn one_is_let_in(cluster: &Cluster, device: &Client) {
    let mut races = 0;
    for _ in 0..RACES * 2 {
        if let Some(let_in) = show_at_once(cluster, device).await {
            assert_eq!(let_in, 1);
            races += 1;
        }
        if races == RACES {
            return;
        }
    }
    panic!("only {races} races of {RACES} were decided");
}

async fn somebody(cluster: &Cluster) -> Client {
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    device
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn of_many_who_show_a_ticket_one_is_let_in() {
    let cluster = Cluster::of(2).set("RATE_LIMIT_ENABLED", false).start().await;
    one_is_let_in(&cluster, &somebody(&cluster).await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_same_where_nodes_have_no_redis() {
    let cluster = Cluster::of(2).set("RATE_LIMIT_ENABLED", false).set("REDIS_URL", "").start().await;
    one_is_let_in(&cluster, &somebody(&cluster).await).await;
}

/// A device connects with a ticket, and nobody else with the same one.
async fn connects_once(
    device: &Client,
    giver: &Client,
    used: &Client,
    not_used: &Client,
    transport: Transport,
) {
    let ticket = ticket(giver).await;
    let connection = Connection::open_by(transport, transport.request_by(used, &ticket)).await;
    assert_eq!(connection.snapshot["sessionId"], device.session_id);
    for again in [used, not_used] {
        let answer = transport.refusal(again, transport.request_by(again, &ticket)).await;
        answer.expect_problem(401, "token_invalid");
    }
}

/// Waits until a node knows that Redis is unavailable, or back.
async fn knows(device: &Client, status: &str) {
    eventually("health tells of Redis", NOTICED_WITHIN, async || {
        let health = device.get("/health").await.expect(200);
        if health.json["status"] == status { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
}

/// A ticket issued for Redis can be used where there is a Redis, and only there.
async fn is_spent_where_it_says(cut: &Client, other: &Client) {
    let status = async |at: &Client, ticket: &str| {
        Transport::Sse.request_by(at, ticket).send().await.unwrap().status().as_u16()
    };
    eventually("a ticket that was given for Redis is used there", NOTICED_WITHIN, async || {
        let ticket = ticket(other).await;
        let spent_in = Token::open(&ticket, REFRESH_SECRET).claims["spent_in"].clone();
        // A node may have waited for Redis without success just now.
        if spent_in != "redis" {
            return Err(spent_in.to_string());
        }
        assert_eq!(status(cut, &ticket).await, 503);
        match status(other, &ticket).await {
            200 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
}

/// Each way in which one node can be without Redis while the other has it: a browser can still connect,
/// with either node's tickets on either node.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn browsers_connect_while_a_node_is_cut_off_from_redis() {
    let cluster = Cluster::of(2).behind_proxies().start().await;
    let device = somebody(&cluster).await;
    let (cut, other) = (device.at(cluster.base(0)), device.at(cluster.base(1)));
    for fault in [Mode::Cut, Mode::Stall] {
        cluster.nodes[0].redis().set(fault);
        knows(&cut, "degraded").await;
        connects_once(&device, &cut, &cut, &other, Transport::Sse).await;
        connects_once(&device, &cut, &other, &cut, Transport::WebSocket).await;
        is_spent_where_it_says(&cut, &other).await;
        cluster.nodes[0].redis().set(Mode::Forward);
        join(knows(&cut, "ok"), knows(&other, "ok")).await;
    }
}
