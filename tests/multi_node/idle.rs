//! Idleness is decided for the whole cluster, not by a single node.

use std::time::Duration;

use crate::support::time::{Stopwatch, millis_of, unix_millis, until};
use crate::support::{Client, Cluster, Person, eventually};

const TIMEOUT_MINUTES: &str = "0.05";
const TIMEOUT: Duration = Duration::from_secs(3);
/// `ACTIVITY_FLUSH_SECONDS`, half a second for the sweeper and a slow machine: the most by which the
/// ending of an idle session may be late.
const ENDED_WITHIN_MS: i64 = 3_000;
/// Attempts at what must be done within a tenth of a second.
const TRIES: usize = 10;

async fn signed_in() -> (Cluster, Client) {
    let cluster = Cluster::of(3).set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES).start().await;
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    (cluster, device)
}

/// Queries a node repeatedly: 200 until the deadline, and never for a request made after it. Returns
/// when it was first refused.
async fn refused_at(device: &Client, deadline: i64) -> i64 {
    eventually("the session is idle", TIMEOUT * 3, async || {
        let sent = unix_millis();
        let answer = device.session().await;
        if answer.status == 200 {
            assert!(sent <= deadline, "accepted {} ms after the deadline: {answer}", sent - deadline);
            return Err(answer.to_string());
        }
        answer.expect_problem(401, "session_idle_timeout");
        let refused = unix_millis();
        assert!(refused >= deadline, "refused {} ms before the deadline", deadline - refused);
        Ok(refused)
    })
    .await
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn activity_on_one_node_keeps_the_session_on_another_and_it_ends_on_all() {
    let (cluster, device) = signed_in().await;
    let (a, b, c) = (device.at(cluster.base(0)), device.at(cluster.base(1)), device.at(cluster.base(2)));
    let watch = Stopwatch::start();
    let mut deadline = 0;
    while watch.elapsed() < TIMEOUT * 2 {
        let answer = b.activity().await.expect(200);
        deadline = millis_of(&answer.json["idleExpiresAt"]);
        a.session().await.expect(200);
        until(unix_millis() + 200).await;
    }

    futures_util::future::join3(refused_at(&a, deadline), refused_at(&b, deadline), refused_at(&c, deadline))
        .await;
    let ended = cluster.count("SELECT ended_at FROM sessions").await;
    assert!(
        (deadline..=deadline + ENDED_WITHIN_MS).contains(&ended),
        "ended {} ms after the deadline",
        ended - deadline
    );
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn activity_in_the_last_moment_counts_for_who_has_not_heard_of_it() {
    let (cluster, mut device) = signed_in().await;
    let mut deadline = millis_of(&device.session().await.json["idleExpiresAt"]);
    let mut tries = 0;
    // Each node has each role twice: the node that sees the activity, and the one that is asked just
    // after the deadline it knows of.
    for round in 0..6 {
        loop {
            let told = device.at(cluster.base(round));
            let asked = device.at(cluster.base(round + 1));
            asked.session().await.expect(200);
            until(deadline - 100).await;
            let answer = told.activity().await;
            if answer.status == 401 && unix_millis() > deadline && tries < TRIES {
                // The machine stalled for longer than that.
                tries += 1;
                device.login(&Person::named("Ada")).await.expect(200);
                deadline = millis_of(&device.session().await.expect(200).json["idleExpiresAt"]);
                continue;
            }
            let moved = millis_of(&answer.expect(200).json["idleExpiresAt"]);
            assert!(moved > deadline, "the deadline did not move");
            until(deadline + 1).await;
            asked.session().await.expect(200);
            deadline = moved;
            break;
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn an_idle_session_ends_everywhere_with_nobody_asking() {
    let (cluster, device) = signed_in().await;
    let deadline = millis_of(&device.session().await.json["idleExpiresAt"]);
    for node in &cluster.nodes {
        device.at(node.base()).session().await.expect(200);
    }
    eventually("the session is ended", TIMEOUT * 3, async || {
        let live = cluster.live_sessions().await;
        if live == 0 { Ok(()) } else { Err(format!("{live} live")) }
    })
    .await;
    let ended = cluster.count("SELECT ended_at FROM sessions").await;
    assert!((deadline..=deadline + ENDED_WITHIN_MS).contains(&ended), "{} ms late", ended - deadline);
    let told = eventually("the event arrives", Duration::from_secs(5), async || {
        let events = cluster.redis.events().await;
        let deleted: Vec<_> =
            events.into_iter().filter(|event| event.channel == "auth:session.deleted").collect();
        if deleted.is_empty() { Err(String::new()) } else { Ok(deleted) }
    })
    .await;
    assert_eq!(told.len(), 1, "ended and told once, whichever node was first: {told:?}");
    assert_eq!(told[0].text("reason"), "idle_timeout");
    for node in &cluster.nodes {
        device.at(node.base()).session().await.expect_problem(401, "session_idle_timeout");
    }
}
