//! How soon a session that ended on one node is refused by the others, when everything works.

use std::time::Duration;

use futures_util::future::join;

use super::revocation::{BOUND, Household, Times, refused_after};
use crate::support::Cluster;
use crate::support::app::STALENESS;
use crate::support::metrics::Metrics;
use crate::support::time::Stopwatch;
use crate::support::writer::settled;

const ROUNDS: usize = 500;
const NEW_USERS: usize = 1_000;
const REQUESTS: usize = 1_000;

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn an_ended_session_is_refused_elsewhere_within_milliseconds() {
    let cluster = Cluster::of(3).set(STALENESS, BOUND.as_millis()).start().await;
    let home = Household::new(&cluster).await;
    let mut times = Times::default();
    for _ in 0..ROUNDS {
        let device = home.device_known_everywhere(&cluster).await;
        home.end(&device).await;
        let ended = Stopwatch::start();
        // The node that has answered never accepts it again.
        settled(async || device.session().await).await.expect_problem(401, "session_terminated");
        let (b, c) = (device.at(cluster.base(1)), device.at(cluster.base(2)));
        let (b, c) = join(refused_after(&b, &ended), refused_after(&c, &ended)).await;
        times.add(b);
        times.add(c);
    }
    times.tell("all well");
    assert!(times.percentile(50) < Duration::from_millis(50), "the fast path is not taken: {times:?}");
}

/// Sessions that other nodes saw for the first time a moment ago are no different.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_session_of_a_user_who_is_new_there_is_refused_elsewhere_within_milliseconds() {
    let cluster = Cluster::of(2).set(STALENESS, BOUND.as_millis()).start().await;
    let mut times = Times::default();
    for _ in 0..NEW_USERS {
        let home = Household::new(&cluster).await;
        let device = home.device().await;
        let elsewhere = device.at(cluster.base(1));
        elsewhere.session().await.expect(200);
        home.end(&device).await;
        times.add(refused_after(&elsewhere, &Stopwatch::start()).await);
    }
    times.tell("users new to the node");
    assert!(times.percentile(50) < Duration::from_millis(20), "the fast path is not taken: {times:?}");
    assert!(times.percentile(99) < Duration::from_millis(100), "some are only told by the feed: {times:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn requests_cost_no_database_statement() {
    let cluster = Cluster::of(2).start().await;
    let home = Household::new(&cluster).await;
    let device = home.device_known_everywhere(&cluster).await.at(cluster.base(1));
    let operator = cluster.client(1);
    let statements = async || Metrics::read(&operator).await.sum("auth_database_statements_total").unwrap();
    let before = statements().await;
    for _ in 0..REQUESTS {
        device.session().await.expect(200);
    }
    // The node's own regular polls of the database go on, a few a second.
    let each = (statements().await - before) / REQUESTS as f64;
    println!("{each:.3} statements a request, the node's own included");
    assert!(each < 0.2, "{each} statements a request");
}

/// What a change costs nodes that had no part in it, their own regular polls included.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn refreshes_and_endings_cost_other_nodes_no_reading() {
    const CHANGES: usize = 60;
    let cluster = Cluster::of(3).set("MAX_SESSIONS_PER_USER", 1_000).start().await;
    let home = Household::new(&cluster).await;
    let mut refreshed = home.keeper.clone();
    let mut ended = Vec::new();
    for _ in 0..CHANGES {
        ended.push(home.device().await);
    }
    let statements = async |node: usize| {
        Metrics::read(&cluster.client(node)).await.sum("auth_database_statements_total").unwrap()
    };
    let checked_elsewhere = async |device: &crate::support::Client| {
        for node in [1, 2] {
            device.at(cluster.base(node)).session().await.expect(200);
        }
    };
    for (what, is_refresh) in [("refresh", true), ("ending", false)] {
        checked_elsewhere(&refreshed).await;
        let before = statements(1).await + statements(2).await;
        let watch = Stopwatch::start();
        for device in &ended {
            if is_refresh {
                refreshed.refresh().await.expect(200);
            } else {
                home.end(device).await;
            }
            checked_elsewhere(&refreshed).await;
        }
        // Their sweepers: two statements each half second.
        let regular = (watch.elapsed().as_secs_f64() * 2.0 + 1.0) * 2.0 * 2.0;
        let each = (statements(1).await + statements(2).await - before - regular) / (CHANGES * 2) as f64;
        println!("{each:.2} statements a {what} and other node");
        assert!(each < 0.5, "{each} statements a {what} and other node");
    }
}
