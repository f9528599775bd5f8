//! SIGKILL of a node: its users go on elsewhere, and the others keep its timers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::support::time::{Stopwatch, millis_of, until};
use crate::support::witness::Witness;
use crate::support::{Client, Cluster, Person, eventually};

const PEOPLE: usize = 8;
const SEED: u64 = 0xDEAD_0001;

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn nothing_acknowledged_is_lost_and_everybody_goes_on_elsewhere_at_once() {
    let setup = Cluster::of(3).set("MAX_SESSIONS_PER_USER", 1_000);
    let mut cluster = setup.set("REFRESH_REUSE_GRACE_SECONDS", 300).start().await;
    let base = cluster.base(0).to_owned();
    let mut witnesses = join_all((0..PEOPLE).map(|number| Witness::new(&base, SEED, number))).await;
    for round in 0..3 {
        let (dying, next) = (round, round + 1);
        let base = cluster.base(dying).to_owned();
        let answered = AtomicUsize::new(0);
        let using = join_all(witnesses.iter_mut().map(|witness| witness.use_until_it_dies(&base, &answered)));
        let node = &mut cluster.nodes[dying];
        let killing = async {
            eventually("requests are answered", Duration::from_secs(60), async || {
                let count = answered.load(Ordering::Relaxed);
                if count >= 200 { Ok(()) } else { Err(count.to_string()) }
            })
            .await;
            node.kill();
        };
        Box::pin(join(using, killing)).await;

        let watch = Stopwatch::start();
        let base = cluster.base(next).to_owned();
        // Every request is answered correctly the first time.
        join_all(witnesses.iter_mut().map(|witness| witness.check(&base))).await;
        println!("all sessions checked on another node {:.1?} after the kill", watch.elapsed());
        cluster.nodes[dying].restart().await;
    }
}

/// `ACTIVITY_FLUSH_SECONDS`, at its default, and a little for the statement.
const FLUSHED_MS: i64 = 1_000 + 50;
/// The flush and one second more: the most by which the ending of a session may be late if its node is
/// gone.
const ENDED_WITHIN_MS: i64 = 3_000;
/// The most by which other services learn of it late.
const TOLD_WITHIN_MS: i64 = 5_000;

/// A session that was active on a node and then left alone: its id, and its deadline.
async fn left_alone(base: &str, number: usize) -> (String, i64) {
    let mut device = Client::new(base);
    device.signup(&Person::named(&format!("Sleeper{number}"))).await.expect(201);
    let answer = device.activity().await.expect(200);
    (device.session_id.clone(), millis_of(&answer.json["idleExpiresAt"]))
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn overdue_sessions_of_a_dead_node_end_on_time_and_are_told() {
    let timeout_ms = 3_000;
    let mut cluster = Cluster::of(3).set("SESSION_TIMEOUT_MINUTES", "0.05").start().await;
    let base = cluster.base(0).to_owned();
    let sessions = join_all((0..PEOPLE).map(|number| left_alone(&base, number))).await;
    let sessions: HashMap<_, _> = sessions.into_iter().collect();
    let last = sessions.values().max().unwrap() - timeout_ms;
    until(last + FLUSHED_MS).await;
    cluster.nodes[0].kill();

    eventually("all sessions are ended", Duration::from_secs(15), async || {
        let live = cluster.live_sessions().await;
        if live == 0 { Ok(()) } else { Err(format!("{live} live")) }
    })
    .await;
    for row in cluster.query("SELECT id::text, end_reason, ended_at FROM sessions").await {
        let (id, reason, ended): (String, String, i64) = (
            row.try_get_by_index(0).unwrap(),
            row.try_get_by_index(1).unwrap(),
            row.try_get_by_index(2).unwrap(),
        );
        let late = ended - sessions[&id];
        assert_eq!(reason, "idle_timeout");
        assert!((0..=ENDED_WITHIN_MS).contains(&late), "ended {late} ms after its deadline");
    }
    let told = eventually("all endings are published", Duration::from_secs(15), async || {
        let mut events = cluster.redis.events().await;
        events.retain(|event| event.text("reason") == "idle_timeout");
        if events.len() < PEOPLE { Err(format!("{} told", events.len())) } else { Ok(events) }
    })
    .await;
    assert_eq!(told.len(), PEOPLE, "each is published once");
    for event in &told {
        let late = event.taken_at - sessions[event.text("sessionId")];
        assert!((0..=TOLD_WITHIN_MS).contains(&late), "told {late} ms after its deadline: {event:?}");
    }
}
