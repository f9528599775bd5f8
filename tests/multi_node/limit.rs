//! The session limit holds however many nodes receive logins at once.

use std::collections::BTreeMap;

use futures_util::future::{Either, join_all, select};

use crate::support::{Answer, Cluster, Person};

const NODES: usize = 3;
const LOGINS: usize = 200;
const LIMIT: i64 = 3;

/// Counts live sessions repeatedly, as long as it is polled; passes each count to `seen`.
async fn sample(cluster: &Cluster, mut seen: impl FnMut(i64)) -> std::convert::Infallible {
    loop {
        seen(cluster.live_sessions().await);
    }
}

/// All logins at once, spread over the nodes, while the number of sessions is watched.
async fn log_in_everywhere_at_once(cluster: &Cluster, person: &Person) -> Vec<Answer> {
    let logins = join_all((0..LOGINS).map(|number| async move {
        let mut device = cluster.client(number % cluster.nodes.len());
        device.login(person).await
    }));
    let (mut samples, mut most) = (0, 0);
    let sampling = sample(cluster, |count| {
        samples += 1;
        most = most.max(count);
        assert!(count <= LIMIT, "{count} live sessions, {LIMIT} allowed");
    });
    let answers = match select(Box::pin(logins), Box::pin(sampling)).await {
        Either::Left((answers, _)) => answers,
        Either::Right((never, _)) => match never {},
    };
    println!("{LOGINS} logins, {samples} counts between them, never more than {most} sessions");
    assert!(samples >= 10, "only {samples} looks at the database");
    answers
}

fn by_status(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

async fn cluster(policy: &str) -> (Cluster, Person) {
    let setup = Cluster::of(NODES).set("MAX_SESSIONS_PER_USER", LIMIT).set("MAX_SESSIONS_POLICY", policy);
    // All may wait for their password and none for a connection: this is not a test of load shedding.
    let setup = setup.set("PASSWORD_QUEUE", LOGINS).set("DATABASE_MAX_CONNECTIONS", LOGINS / NODES + 1);
    let cluster = setup.start().await;
    let ada = Person::named("Ada");
    cluster.client(0).signup(&ada).await.expect(201);
    (cluster, ada)
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn evicting_holds_under_logins_on_all_nodes() {
    let (cluster, ada) = cluster("evict_oldest").await;
    let answers = log_in_everywhere_at_once(&cluster, &ada).await;
    assert_eq!(by_status(&answers), BTreeMap::from([(200, LOGINS)]));
    assert_eq!(cluster.live_sessions().await, LIMIT);
    // Each session except the last ones was evicted, and some answer said so.
    let evicted: usize =
        answers.iter().map(|answer| answer.json["evictedSessionIds"].as_array().unwrap().len()).sum();
    assert_eq!(evicted, LOGINS + 1 - usize::try_from(LIMIT).unwrap());
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn rejecting_holds_under_logins_on_all_nodes() {
    let (cluster, ada) = cluster("reject").await;
    let answers = log_in_everywhere_at_once(&cluster, &ada).await;
    // One session is that of the sign-up.
    let accepted = usize::try_from(LIMIT).unwrap() - 1;
    assert_eq!(by_status(&answers), BTreeMap::from([(200, accepted), (409, LOGINS - accepted)]));
    assert_eq!(cluster.live_sessions().await, LIMIT);
}
