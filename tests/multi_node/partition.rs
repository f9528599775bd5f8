//! Redis or the database becomes unavailable: no session outlives its end by more than the bound,
//! whatever is missing.

use std::time::Duration;

use futures_util::future::{join, join_all};

use super::revocation::{BOUND, Household, Times, check_within_bound, refused_after};
use crate::support::app::STALENESS;
use crate::support::metrics::Metrics;
use crate::support::proxy::Mode;
use crate::support::time::Stopwatch;
use crate::support::{Client, Cluster, eventually};

const ROUNDS: usize = 20;
/// Longer than the service waits for anything before it opens a new connection.
const MENDED_WITHIN: Duration = Duration::from_secs(30);

/// Ends sessions on the first node, one after another, and checks how long the others accept them.
async fn revoke(cluster: &Cluster, home: &Household, rounds: usize, what: &str) {
    let (mut refused, mut answered) = (Times::default(), Times::default());
    for _ in 0..rounds {
        let device = home.device_known_everywhere(cluster).await;
        answered.add(home.end(&device).await);
        let ended = Stopwatch::start();
        device.session().await.expect_problem(401, "session_terminated");
        let (b, c) = (device.at(cluster.base(1)), device.at(cluster.base(2)));
        let (b, c) = join(refused_after(&b, &ended), refused_after(&c, &ended)).await;
        refused.add(b);
        refused.add(c);
    }
    refused.tell(what);
    assert!(answered.percentile(50) < Duration::from_millis(250), "answers wait for Redis: {answered:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_bound_holds_with_redis_frozen() {
    let cluster = Cluster::of(3).set(STALENESS, BOUND.as_millis()).start().await;
    let home = Household::new(&cluster).await;
    cluster.redis.freeze();
    revoke(&cluster, &home, ROUNDS, "Redis frozen").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_bound_holds_with_redis_cut_off_or_half_open() {
    let cluster = Cluster::of(3).set(STALENESS, BOUND.as_millis()).behind_proxies().start().await;
    let home = Household::new(&cluster).await;
    for (fault, what) in [(Mode::Cut, "Redis cut off"), (Mode::Stall, "Redis half-open")] {
        cluster.nodes.iter().for_each(|node| node.redis().set(fault));
        revoke(&cluster, &home, ROUNDS, what).await;
    }
    cluster.nodes.iter().for_each(|node| node.redis().set(Mode::Forward));
    revoke(&cluster, &home, 5, "Redis back").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_bound_holds_with_slow_lines_to_the_database() {
    let cluster = Cluster::of(3).set(STALENESS, BOUND.as_millis()).behind_proxies().start().await;
    let home = Household::new(&cluster).await;
    cluster.nodes.iter().for_each(|node| node.redis().set(Mode::Cut));
    // In each direction: an answer takes twice as long.
    cluster.nodes[1].database().set(Mode::Delay(Duration::from_millis(10)));
    cluster.nodes[2].database().set(Mode::Delay(Duration::from_millis(50)));
    revoke(&cluster, &home, 3, "Redis cut off and the database slow").await;
    // Also when the connection must be opened again, which takes several round trips.
    cluster.nodes[2].database().silence_open();
    revoke(&cluster, &home, 3, "the same, on new lines").await;
}

/// Queries the node that is cut off, until some time after the bound: it must stop accepting, and must
/// not invent refusals.
async fn asks_while_cut_off(device: &Client, cut: &Stopwatch) {
    while cut.elapsed() < BOUND * 3 {
        let sent = cut.elapsed();
        let answer = device.session().await;
        match answer.status {
            200 => check_within_bound(sent, &answer),
            _ => {
                answer.expect_problem(503, "unavailable");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

async fn a_node_without_the_database_says_so(fault: Mode) {
    let cluster = Cluster::of(2).set(STALENESS, BOUND.as_millis()).behind_proxies().start().await;
    let home = Household::new(&cluster).await;
    let device = home.device_known_everywhere(&cluster).await.at(cluster.base(1));
    let keeper = home.keeper.at(cluster.base(1));

    // Without Redis there is no other way in which the node could hear of changes.
    cluster.nodes[1].redis().set(Mode::Cut);
    cluster.nodes[1].database().set(fault);
    let cut = Stopwatch::start();
    home.end(&device).await;
    join(asks_while_cut_off(&device, &cut), asks_while_cut_off(&keeper, &cut)).await;
    assert_eq!(cluster.client(1).get("/health/ready").await.status, 503);

    cluster.nodes[1].database().set(Mode::Forward);
    eventually("the node serves again by itself", MENDED_WITHIN, async || {
        let answer = keeper.session().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    device.session().await.expect_problem(401, "session_terminated");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_node_that_is_cut_off_from_the_database_says_so() {
    a_node_without_the_database_says_so(Mode::Cut).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_node_with_a_half_open_line_to_the_database_says_so() {
    a_node_without_the_database_says_so(Mode::Stall).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_frozen_node_accepts_nothing_old_when_it_goes_on() {
    let cluster = Cluster::of(2).set(STALENESS, BOUND.as_millis()).start().await;
    let home = Household::new(&cluster).await;
    for _ in 0..4 {
        let device = home.device_known_everywhere(&cluster).await;
        cluster.nodes[1].freeze();
        home.end(&device).await;
        let ended = Stopwatch::start();
        // These requests wait in the node's sockets until it resumes.
        let asked = device.at(cluster.base(1));
        let asking = join_all((0..10).map(|_| async { asked.session().await }));
        let thawing = async {
            tokio::time::sleep(BOUND + Duration::from_millis(100)).await;
            cluster.nodes[1].thaw();
        };
        for answer in join(asking, thawing).await.0 {
            assert!(matches!(answer.status, 401 | 503), "accepted after {:?}: {answer}", ended.elapsed());
        }
        refused_after(&asked, &ended).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn lines_that_fall_silent_are_replaced() {
    let cluster = Cluster::of(3).set(STALENESS, BOUND.as_millis()).behind_proxies().start().await;
    let home = Household::new(&cluster).await;
    let device = home.device_known_everywhere(&cluster).await;
    cluster.nodes[1].database().silence_open();
    cluster.nodes.iter().for_each(|node| node.redis().silence_open());
    home.end(&device).await;
    let ended = Stopwatch::start();
    refused_after(&device.at(cluster.base(1)), &ended).await;

    // A change written through the pool, whose connections have all fallen silent.
    let silent = home.keeper.at(cluster.base(1));
    eventually("the pool has new lines", MENDED_WITHIN, async || {
        let answer = silent.terminate_others().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    cluster.all_is_published(MENDED_WITHIN).await;
    let heard = async || {
        let metrics = Metrics::read(&cluster.client(1)).await;
        metrics.sum("auth_revocation_propagation_seconds_count").unwrap()
    };
    let before = heard().await;
    eventually("the node hears of endings over Redis again", MENDED_WITHIN, async || {
        let device = home.device_known_everywhere(&cluster).await;
        home.end(&device).await;
        refused_after(&device.at(cluster.base(1)), &Stopwatch::start()).await;
        if heard().await > before { Ok(()) } else { Err("over the feed only".to_owned()) }
    })
    .await;
}
