//! `MAX_SESSIONS_POLICY=ask`: a login at the limit asks which sessions end, and the limit holds on any number
//! of nodes.

use std::convert::Infallible;

use futures_util::future::{Either, join_all, select};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Cluster, Person};

const NODES: usize = 3;
const LOGINS: usize = 50;
const LIMIT: usize = 5;

fn ids(answer: &Answer) -> Vec<Value> {
    answer.json["sessions"].as_array().unwrap().iter().map(|session| session["id"].clone()).collect()
}

/// Logs in; if asked to, ends one session of the list, and again until there is room. Returns the new
/// session, and those that were ended for it.
async fn log_in(cluster: &Cluster, number: usize, ada: &Person) -> (Client, Vec<Value>) {
    let mut device = cluster.client(number % NODES);
    let mut answer = device.login(ada).await;
    for round in 0..1_000 {
        if answer.status == 200 {
            let ended = answer.json["evictedSessionIds"].as_array().unwrap().clone();
            assert!(ended.is_empty(), "{answer}");
            return (device, Vec::new());
        }
        let answer_now = answer.expect_problem(409, "session_limit_reached");
        let shown = ids(&answer_now);
        assert!(shown.len() <= LIMIT && answer_now.json["maxSessions"] == LIMIT, "{answer_now}");
        let chosen = shown.get((number * 7 + round) % shown.len().max(1)).cloned();
        let chosen: Vec<_> = chosen.into_iter().collect();
        let body = json!({"loginTicket": answer_now.json["loginTicket"], "endSessionIds": chosen});
        let mut next = device.at(cluster.base(number + round));
        answer = next.send_and_keep("/login/continue", &body).await;
        if answer.status == 200 {
            return (next, chosen);
        }
    }
    panic!("login {number} never got in");
}

/// Counts live sessions repeatedly, as long as it is polled; passes each count to `seen`.
async fn sample(cluster: &Cluster, mut seen: impl FnMut(i64)) -> Infallible {
    loop {
        seen(cluster.live_sessions().await);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn asking_holds_under_logins_on_all_nodes() {
    let setup = Cluster::of(NODES).set("MAX_SESSIONS_PER_USER", LIMIT).set("MAX_SESSIONS_POLICY", "ask");
    let setup = setup.set("RATE_LIMIT_ENABLED", false).set("PASSWORD_QUEUE", LOGINS);
    let cluster = setup.set("DATABASE_MAX_CONNECTIONS", 20).start().await;
    let ada = Person::named("Ada");
    cluster.client(0).signup(&ada).await.expect(201);

    let logging_in = join_all((0..LOGINS).map(|number| log_in(&cluster, number, &ada)));
    let mut most = 0;
    let watching = sample(&cluster, |count| most = most.max(count));
    let devices = match select(Box::pin(logging_in), Box::pin(watching)).await {
        Either::Left((devices, _)) => devices,
        Either::Right((never, _)) => match never {},
    };
    assert!(most <= LIMIT as i64, "{most} live sessions, {LIMIT} allowed");
    assert_eq!(cluster.live_sessions().await, LIMIT as i64);
    let ended = cluster.count("SELECT count(*) FROM sessions WHERE end_reason = 'terminated'").await;
    let others = cluster.count("SELECT count(*) FROM sessions WHERE end_reason <> 'terminated'").await;
    assert_eq!((ended, others), ((LOGINS + 1 - LIMIT) as i64, 0));

    // Each session that ended had been chosen, and its device got the reason.
    let chosen: Vec<_> = devices.iter().flat_map(|(_, chosen)| chosen.clone()).collect();
    for (device, _) in &devices {
        let answer = device.session().await;
        if answer.status != 200 {
            let answer = answer.expect_problem(401, "session_terminated");
            assert!(chosen.contains(&json!(device.session_id)), "nobody chose it: {answer}");
        }
    }
}
