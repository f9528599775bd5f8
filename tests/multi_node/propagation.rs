//! How soon a session that ended on one node is refused by the others, with everything well.

use std::time::Duration;

use futures_util::future::join;

use super::revocation::{BOUND, Household, Times, refused_after};
use crate::support::Cluster;
use crate::support::app::STALENESS;
use crate::support::metrics::Metrics;
use crate::support::time::Stopwatch;
use crate::support::writer::settled;

const ROUNDS: usize = 500;
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
    // The node's own regular looks at the database go on, a few a second.
    let each = (statements().await - before) / REQUESTS as f64;
    println!("{each:.3} statements a request, the node's own included");
    assert!(each < 0.2, "{each} statements a request");
}
