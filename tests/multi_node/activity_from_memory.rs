//! Activity in the first half of the timeout is answered from memory. For half of the timeout nothing loses
//! it: neither a lock on its own row, nor a line that falls silent. A short timeout has no such half:
//! activity is stored before it is answered, and outlives even its node.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::support::proxy::Mode;
use crate::support::time::{millis_of, until};
use crate::support::{Client, Cluster, Connection, Person, Transport, eventually};

/// 4.2 s.
const TIMEOUT_MINUTES: &str = "0.07";
/// Before the deadline that is stored; the other half begins 2.1 s before it.
const ACTIVE_BEFORE_MS: i64 = 2_200;
/// Before the deadline that is stored: what held the writing up is over.
const FREE_BEFORE_MS: i64 = 400;
/// After the deadline that is stored: `ACTIVITY_FLUSH_SECONDS` and half a second for the sweeper, and not yet
/// the new deadline.
const ENDED_BY_THEN_MS: i64 = 1_600;

/// A person on the first node, known to the other one too, with the deadline that is stored.
struct Somebody {
    device: Client,
    socket: Connection,
    deadline: i64,
}

async fn somebody(cluster: &Cluster, name: String) -> Somebody {
    let mut device = cluster.client(0);
    device.signup(&Person::named(&name)).await.expect(201);
    let elsewhere = device.at(cluster.base(1)).session().await.expect(200);
    let deadline = millis_of(&elsewhere.json["idleExpiresAt"]);
    let socket = Connection::open(Transport::WebSocket, &device).await;
    Somebody { device, socket, deadline }
}

impl Somebody {
    /// Is active in the first half of the timeout, and returns the new deadline.
    async fn be_active(&mut self, transport: Option<Transport>) -> i64 {
        until(self.deadline - ACTIVE_BEFORE_MS).await;
        if transport.is_none() {
            let answer = self.device.activity().await.expect(200);
            return millis_of(&answer.json["idleExpiresAt"]);
        }
        self.socket.say(r#"{"type":"activity"}"#).await;
        eventually("the node knows of it", Duration::from_secs(1), async || {
            let shown = millis_of(&self.device.session().await.expect(200).json["idleExpiresAt"]);
            if shown > self.deadline { Ok(shown) } else { Err(format!("{shown}")) }
        })
        .await
    }

    /// Waits until the other node could have ended it by what was stored before.
    async fn lives_elsewhere(&self, cluster: &Cluster, promised: i64) {
        let seen = self.deadline + ENDED_BY_THEN_MS;
        assert!(promised > seen, "{promised} is no later than {seen}");
        until(seen).await;
        self.device.at(cluster.base(1)).session().await.expect(200);
    }
}

async fn cluster() -> Cluster {
    Cluster::of(2).set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES).behind_proxies().start().await
}

const WAYS: [Option<Transport>; 2] = [None, Some(Transport::WebSocket)];

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_lock_on_its_own_row_loses_no_activity() {
    let cluster = &cluster().await;
    join_all(WAYS.into_iter().enumerate().map(async |(number, way)| {
        let mut ada = somebody(cluster, format!("Ada{number}")).await;
        let connection = cluster.connect().await;
        let row = format!("SELECT id FROM sessions WHERE id = '{}' FOR UPDATE", ada.device.session_id);
        until(ada.deadline - ACTIVE_BEFORE_MS - 50).await;
        let lock = connection.begin().await.unwrap();
        lock.execute_unprepared(&row).await.unwrap();
        let promised = ada.be_active(way).await;
        until(ada.deadline - FREE_BEFORE_MS).await;
        lock.rollback().await.unwrap();
        ada.lives_elsewhere(cluster, promised).await;
    }))
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_silent_line_after_the_answer_loses_no_activity() {
    let cluster = &cluster().await;
    let mut people = join_all(
        WAYS.into_iter()
            .enumerate()
            .map(async |(number, way)| (somebody(cluster, format!("Ada{number}")).await, way)),
    )
    .await;
    let promised = join_all(people.iter_mut().map(async |(ada, way)| ada.be_active(*way).await)).await;
    cluster.nodes[0].database().set(Mode::Stall);
    let first = people.iter().map(|(ada, _)| ada.deadline).min().unwrap();
    until(first - FREE_BEFORE_MS).await;
    cluster.nodes[0].database().set(Mode::Forward);
    join_all(people.iter().zip(promised).map(|((ada, _), promised)| ada.lives_elsewhere(cluster, promised)))
        .await;
}

/// 3 s.
const SHORT_TIMEOUT_MINUTES: &str = "0.05";

/// Somebody who is active in the first half of a short timeout, and when that lets the session end.
async fn active_early(cluster: &Cluster, name: String) -> (Client, i64) {
    let ada = somebody(cluster, name).await;
    until(ada.deadline - 2_000).await;
    let answer = ada.device.activity().await.expect(200);
    (ada.device, millis_of(&answer.json["idleExpiresAt"]))
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn with_a_short_timeout_no_fault_after_the_answer_loses_activity() {
    let mut cluster =
        Cluster::of(2).set("SESSION_TIMEOUT_MINUTES", SHORT_TIMEOUT_MINUTES).behind_proxies().start().await;
    for fault in ["a locked row", "a silent line", "a dead node"] {
        let (device, promised) = active_early(&cluster, format!("Ada{}", fault.len())).await;
        let connection = cluster.connect().await;
        let lock = connection.begin().await.unwrap();
        match fault {
            "a locked row" => {
                let row = format!("SELECT id FROM sessions WHERE id = '{}' FOR UPDATE", device.session_id);
                lock.execute_unprepared(&row).await.unwrap();
            }
            "a silent line" => cluster.nodes[0].database().set(Mode::Stall),
            _ => cluster.nodes[0].kill(),
        }
        until(promised - 200).await;
        let elsewhere = device.at(cluster.base(1)).session().await;
        assert_eq!(elsewhere.status, 200, "{fault}: {elsewhere}");
        lock.rollback().await.unwrap();
        cluster.nodes[0].database().set(Mode::Forward);
        if fault == "a silent line" {
            eventually("the first node serves again", Duration::from_secs(30), async || {
                let health = cluster.client(0).get("/health/ready").await;
                if health.status == 200 { Ok(()) } else { Err(health.to_string()) }
            })
            .await;
        }
    }
}
