//! Live connections with several nodes: each device is notified of everything, whichever node it is connected
//! to.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::support::app::{PATIENT_STALENESS_MS, STALENESS};
use crate::support::child::Process;
use crate::support::child::free_port;
use crate::support::time::Stopwatch;
use crate::support::{Client, Connection, Database, Person, Setup, TestApp, Transport, eventually};

/// Two nodes on one PostgreSQL and one Redis of their own.
struct TwoNodes {
    // Dropped in this order: the second uses the database that the first has created.
    second: TestApp,
    first: TestApp,
    _redis: Process,
}

async fn two_nodes() -> TwoNodes {
    let (redis, url) = redis().await;
    let setup = Setup::on(Database::Postgres).await.set("REDIS_URL", &url);
    let database = setup.get("DATABASE_URL").to_owned();
    let first = setup.start().await;
    let setup =
        Setup::on(Database::Sqlite).await.set("DATABASE_URL", database).set(STALENESS, PATIENT_STALENESS_MS);
    let second = setup.set("REDIS_URL", &url).start().await;
    TwoNodes { second, first, _redis: redis }
}

async fn redis() -> (Process, String) {
    let port = free_port();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
    let process = Process::spawn(command);
    eventually("Redis listens", Duration::from_secs(10), async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map_err(|cause| cause.to_string())
    })
    .await;
    (process, format!("redis://127.0.0.1:{port}"))
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn each_device_hears_of_what_happens_on_another_node() {
    let nodes = two_nodes().await;
    for transport in Transport::EACH {
        let ada = Person::named(&format!("Ada{transport:?}"));
        let mut devices = nodes.first.devices(&ada, 2).await;
        devices[1].follow(nodes.second.base());
        let mut here = Connection::open(transport, &devices[0]).await;
        // The ticket of one node is valid on the other.
        let ticket = devices[0].post("/events/ticket", &serde_json::Value::Null).await.expect(201);
        let by_ticket = transport.request_by(&devices[1], ticket.json["ticket"].as_str().unwrap());
        let mut there = Connection::open_by(transport, by_ticket).await;
        assert_eq!(there.snapshot["sessionId"], devices[0].session_id);
        let mut other = Connection::open(transport, &devices[1]).await;

        let mut third = nodes.second.client();
        third.login(&ada).await.expect(200);
        for connection in [&mut here, &mut there, &mut other] {
            assert_eq!(connection.expect("session.created").await["sessionId"], third.session_id);
        }
        let gone = devices[0].session_id.clone();
        devices[1].terminate(&gone).await.expect(204);
        for connection in [&mut here, &mut there] {
            let told = connection.expect("session.terminated").await;
            assert_eq!(told["current"], true);
            assert_eq!(told["terminatedBySessionId"], devices[1].session_id);
            connection.expect_over("terminated").await;
        }
        assert_eq!(other.expect("session.terminated").await["current"], false);
    }
}

/// Each has two sessions with two connections each: 2,000 connections.
const USERS: usize = 500;
/// Terminations measured from each node.
const MEASURED: usize = 200;
/// Concurrent sign-ins.
const AT_ONCE: usize = 16;
/// A limit that only a failure reaches; the measured figures are printed.
const PUSHED_WITHIN: Duration = Duration::from_secs(5);

/// One person's two devices; each notice of its end on the second one's connections yields the time at which
/// it arrived.
struct Pair {
    ending: Client,
    ended: Client,
    heard: mpsc::UnboundedReceiver<Duration>,
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn two_thousand_connections_hear_of_terminations_at_once() {
    let nodes = two_nodes().await;
    let anybody = nodes.first.client();
    let signed_in: Vec<_> = stream::iter(0..USERS)
        .map(|number| sign_in_twice(&anybody, number))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let before = nodes.first.resident_memory();
    let watch = Stopwatch::start();
    let mut pairs: Vec<_> = stream::iter(signed_in)
        .map(|devices| connect(devices, &watch))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let memory = nodes.first.resident_memory().saturating_sub(before) / (USERS as u64 * 4);

    // One at a time, to measure a single termination, not a queue of them.
    let same = measure(&mut pairs[..MEASURED], nodes.first.base(), &watch).await;
    let other = measure(&mut pairs[MEASURED..2 * MEASURED], nodes.second.base(), &watch).await;
    let report = format!(
        "2,000 connections on one node, from the request to end a session to the message on its devices:\n  \
         same node:  {}\n  other node: {}\n  memory per open connection, this build: {memory} bytes\n",
        spread(same),
        spread(other)
    );
    // Bypasses the test runner, which hides the output of passing tests.
    std::io::stderr().write_all(report.as_bytes()).unwrap();
}

async fn sign_in_twice(anybody: &Client, number: usize) -> (Client, Client) {
    let person = Person::named(&format!("Ada{number}"));
    let (mut first, mut second) = (anybody.clone(), anybody.clone());
    first.signup(&person).await.expect(201);
    second.login(&person).await.expect(200);
    (first, second)
}

async fn connect((ending, ended): (Client, Client), watch: &Stopwatch) -> Pair {
    let (told, heard) = mpsc::unbounded_channel();
    for transport in Transport::EACH {
        for device in [&ending, &ended] {
            let connection = Connection::open(transport, device).await;
            tokio::spawn(listen(connection, watch.clone(), told.clone()));
        }
    }
    Pair { ending, ended, heard }
}

/// Reports when the connection's own session ended.
async fn listen(mut connection: Connection, watch: Stopwatch, told: mpsc::UnboundedSender<Duration>) {
    while let Ok(message) = connection.next_whenever().await {
        if message["type"] == "session.terminated" && message["current"] == true {
            // When the test is over, nobody receives it any more.
            let _ = told.send(watch.elapsed());
        }
    }
}

/// The time from the request to each of the two messages.
async fn measure(pairs: &mut [Pair], node: &str, watch: &Stopwatch) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for pair in pairs {
        pair.ending.follow(node);
        let sent = watch.elapsed();
        pair.ending.terminate(&pair.ended.session_id).await.expect(204);
        for _ in Transport::EACH {
            let came = tokio::time::timeout(PUSHED_WITHIN, pair.heard.recv()).await;
            latencies.push(came.expect("the device gets the event").unwrap() - sent);
        }
    }
    latencies
}

fn spread(mut latencies: Vec<Duration>) -> String {
    latencies.sort();
    let at = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)];
    format!("p50 {:.1?}, p99 {:.1?}, longest {:.1?} of {}", at(50), at(99), at(100), latencies.len())
}
