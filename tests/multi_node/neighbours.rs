//! Neighbours that misbehave: transactions in another database of the server, a database restored from
//! another server, and hundreds of thousands of changes while a node is suspended. No request is refused
//! because of them.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::support::app::STALENESS;
use crate::support::database::{connect, execute};
use crate::support::metrics::Metrics;
use crate::support::postgres::{PostgresServer, add_users};
use crate::support::time::Stopwatch;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually};

const USERS: usize = 300_000;
/// Five times the bound, and many polls.
const WATCHED: Duration = Duration::from_secs(5);
const SERVES_WITHIN: Duration = Duration::from_secs(5);

struct Scene {
    server: PostgresServer,
    nodes: Vec<TestApp>,
    device: Client,
}

/// Two nodes on a PostgreSQL of their own, and somebody known to both.
async fn scene(staleness_ms: u64, prepare: impl AsyncFnOnce(&PostgresServer)) -> Scene {
    let server = PostgresServer::start(&["max_prepared_transactions=2", "max_wal_size=4GB"]).await;
    Setup::on(Database::Sqlite)
        .await
        .set("DATABASE_URL", server.url())
        .command(&["migrate"])
        .await
        .expect_code(0);
    prepare(&server).await;
    let nodes = join_all((0..2).map(|_| async {
        let setup = Setup::on(Database::Sqlite).await;
        setup.set("DATABASE_URL", server.url()).set(STALENESS, staleness_ms).start().await
    }))
    .await;
    let mut device = nodes[0].client();
    device.signup(&Person::named("Ada")).await.expect(201);
    for node in &nodes {
        device.at(node.base()).session().await.expect(200);
    }
    Scene { server, nodes, device }
}

impl Scene {
    /// Queries every node for a while; returns how many answers were not 200, and how many there were.
    async fn refused(&self) -> (usize, usize) {
        let asking = self.nodes.iter().map(|node| async {
            let (device, watch) = (self.device.at(node.base()), Stopwatch::start());
            let mut statuses = Vec::new();
            while watch.elapsed() < WATCHED {
                statuses.push(device.session().await.status);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            statuses
        });
        let statuses: Vec<_> = join_all(asking).await.into_iter().flatten().collect();
        (statuses.iter().filter(|status| **status != 200).count(), statuses.len())
    }

    async fn rows_read(&self) -> f64 {
        let read = self
            .nodes
            .iter()
            .map(|node| async { Metrics::read(&node.client()).await.sum("auth_feed_rows_total").unwrap() });
        join_all(read).await.into_iter().sum()
    }
}

fn stamp(users: &str) -> String {
    format!(
        "UPDATE users SET session_version = session_version + 1, \
         change_stamp = pg_current_xact_id()::text::bigint WHERE {users}"
    )
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_transaction_of_another_database_refuses_nobody_with_many_changes() {
    let scene = scene(1_000, async |server| add_users(&server.url(), USERS).await).await;
    scene.server.execute("CREATE DATABASE elsewhere").await;
    let elsewhere = format!("postgres://postgres@{}/elsewhere", scene.server.address());
    let open = connect(&elsewhere).await.unwrap().begin().await.unwrap();
    open.execute_unprepared("SELECT pg_current_xact_id()").await.unwrap();
    execute(&elsewhere, "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'forgotten'").await.unwrap();
    scene.server.execute(&stamp("email LIKE 'bulk%'")).await;
    let (refused, asked) = scene.refused().await;
    let read = scene.rows_read().await;
    println!("{refused} of {asked} refused beside {USERS} changes; {read} rows read by two nodes");
    assert_eq!(refused, 0, "of {asked}");
    assert!(read <= USERS as f64 * 2.0 * 1.1, "{read} rows were read");
    open.rollback().await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_database_restored_from_another_server_is_served_from_the_first_second() {
    let scene = scene(1_000, async |server| {
        add_users(&server.url(), USERS).await;
        // As in a dump of a server whose transaction ids are far advanced.
        server.execute("UPDATE users SET change_stamp = 900000000").await;
    })
    .await;
    let (refused, asked) = scene.refused().await;
    let read = scene.rows_read().await;
    println!("{refused} of {asked} refused after a restore; {read} rows read");
    assert_eq!(refused, 0, "of {asked}");
    assert!(read < 100.0, "{read} rows were read");
    eventually("the stamps are cleared", Duration::from_secs(60), async || {
        match scene.server.count("SELECT count(*) FROM users WHERE change_stamp = 900000000").await {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_node_that_stood_still_through_many_changes_serves_within_seconds() {
    const CHANGED: usize = 600_000;
    const TRANSACTIONS: usize = 30;
    let scene = scene(300, async |server| add_users(&server.url(), CHANGED).await).await;
    let device = scene.device.at(scene.nodes[1].base());
    scene.nodes[1].freeze();
    for transaction in 0..TRANSACTIONS {
        let (from, to) = (transaction * CHANGED / TRANSACTIONS, (transaction + 1) * CHANGED / TRANSACTIONS);
        let users = format!("email >= 'bulk{from:07}' AND email < 'bulk{to:07}'");
        scene.server.execute(&stamp(&users)).await;
    }
    scene.nodes[1].thaw();
    let watch = Stopwatch::start();
    eventually("it serves again", SERVES_WITHIN, async || match device.try_get("/session").await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(answer.to_string()),
        // A connection that was idle this long is closed, and a request may hit that.
        Err(error) => Err(error.to_string()),
    })
    .await;
    println!("served {:.1?} after {CHANGED} changes", watch.elapsed());
}
