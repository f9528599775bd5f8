//! Activity that was answered 200 counts on every node, whatever delays the node that answered: a locked
//! row, a connection that falls silent, a busy pool.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::support::proxy::Mode;
use crate::support::time::{Stopwatch, millis_of, until};
use crate::support::{Client, Cluster, Person};

/// 3 s.
const TIMEOUT_MINUTES: &str = "0.05";
/// After the deadline that another node knows, plus `ACTIVITY_FLUSH_SECONDS` and half a second for the
/// sweeper.
const ENDED_BY_THEN_MS: i64 = 1_600;

async fn cluster() -> Cluster {
    Cluster::of(2).set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES).behind_proxies().start().await
}

/// A person on the first node, known to the other node too, and the deadline of the session.
async fn somebody(cluster: &Cluster, name: String) -> (Client, i64) {
    let mut device = cluster.client(0);
    device.signup(&Person::named(&name)).await.expect(201);
    let elsewhere = device.at(cluster.base(1)).session().await.expect(200);
    (device, millis_of(&elsewhere.json["idleExpiresAt"]))
}

async fn people(cluster: &Cluster, count: usize) -> Vec<(Client, i64)> {
    join_all((0..count).map(|number| somebody(cluster, format!("Ada{number}")))).await
}

/// Reports activity that long before the deadline. If that is answered 200, checks that the session
/// lives on the other node beyond its old deadline. Returns whether it was.
async fn active_before(cluster: &Cluster, (device, deadline): &(Client, i64), before_ms: i64) -> bool {
    until(deadline - before_ms).await;
    let watch = Stopwatch::start();
    let answer = device.activity().await;
    if answer.status != 200 {
        // What is refused may be lost: because the node was unavailable, or because it came after the
        // deadline.
        let late = answer.json["code"] == "session_idle_timeout";
        answer.expect_problem(
            if late { 401 } else { 503 },
            if late { "session_idle_timeout" } else { "unavailable" },
        );
        return false;
    }
    assert!(millis_of(&answer.json["idleExpiresAt"]) > *deadline, "the deadline did not move: {answer}");
    // Unless the machine stalled for so long that the new deadline has passed too.
    let late = i64::try_from(watch.elapsed().as_millis()).unwrap();
    assert!(late < 2_000, "answered after {late} ms");
    until(deadline + ENDED_BY_THEN_MS).await;
    device.at(cluster.base(1)).session().await.expect(200);
    true
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_locked_row_delays_only_itself() {
    let cluster = cluster().await;
    let people = people(&cluster, 11).await;
    let (locked, others) = people.split_first().unwrap();
    let connection = cluster.connect().await;
    let lock = connection.begin().await.unwrap();
    let row = format!("SELECT id FROM sessions WHERE id = '{}' FOR UPDATE", locked.0.session_id);
    lock.execute_unprepared(&row).await.unwrap();
    let held = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        lock.rollback().await.unwrap();
    });
    let waiting = locked.0.activity();
    let reports = join_all(others.iter().map(|person| active_before(&cluster, person, 800)));
    let (reported, of_locked) = futures_util::future::join(reports, async {
        until(locked.1 - 800).await;
        waiting.await
    })
    .await;
    assert!(reported.iter().all(|reported| *reported), "somebody else was refused: {reported:?}");
    assert!(matches!(of_locked.status, 200 | 401 | 503), "{of_locked}");
    held.await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_line_that_falls_silent_before_the_deadline_loses_no_answer() {
    let cluster = cluster().await;
    let people = people(&cluster, 5).await;
    let first = people.iter().map(|(_, deadline)| *deadline).min().unwrap();
    until(first - 350).await;
    cluster.nodes[0].database().set(Mode::Stall);
    let cluster = &cluster;
    let reported = join_all(people.iter().map(|(device, deadline)| async move {
        let answer = device.activity().await;
        if answer.status != 200 {
            answer.expect_problem(503, "unavailable");
            return false;
        }
        until(deadline + ENDED_BY_THEN_MS).await;
        device.at(cluster.base(1)).session().await.expect(200);
        true
    }))
    .await;
    println!("answered 200 on a silent line: {reported:?}");
    cluster.nodes[0].database().set(Mode::Forward);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_busy_pool_on_a_slow_line_loses_no_answer() {
    const CLIENTS: usize = 70;
    let cluster = Cluster::of(2)
        .set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES)
        .set("DATABASE_MAX_CONNECTIONS", 8)
        .behind_proxies()
        .start()
        .await;
    let people = people(&cluster, 15).await;
    cluster.nodes[0].database().set(Mode::Delay(Duration::from_millis(50)));
    let busy = people[0].0.clone();
    let asking: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let busy = busy.clone();
            tokio::spawn(async move {
                loop {
                    busy.me().await;
                }
            })
        })
        .collect();
    let reported = join_all(people.iter().map(|person| active_before(&cluster, person, 800))).await;
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    // 503 is an honest answer; that no other activity is lost is checked for each.
    assert!(reported.iter().any(|reported| *reported), "all refused: {reported:?}");
}
