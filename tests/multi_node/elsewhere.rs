//! What one node saw and another uses: activity in answers and in the choice of the session to evict;
//! and messages that must not be believed.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;

use crate::support::metrics::Metrics;
use crate::support::time::{Stopwatch, millis_of, unix_millis, until};
use crate::support::{Cluster, Person, eventually};

const TIMEOUT: Duration = Duration::from_secs(15);

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn activity_on_one_node_is_shown_by_another() {
    let cluster = Cluster::of(2).start().await;
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    let elsewhere = device.at(cluster.base(1));
    let before = millis_of(&elsewhere.session().await.expect(200).json["idleExpiresAt"]);
    // A message may be lost, above all while the other node is only beginning to subscribe; the next
    // activity makes up for it.
    let shown = async || {
        device.activity().await.expect(200);
        let answer = elsewhere.session().await.expect(200);
        let listed = elsewhere.sessions().await.expect(200);
        let told =
            [&answer.json["idleExpiresAt"], &listed.json["sessions"][0]["idleExpiresAt"]].map(millis_of);
        if told.iter().all(|told| *told > before) { Ok(()) } else { Err(format!("{told:?}, from {before}")) }
    };
    eventually("the other node shows it", TIMEOUT, shown).await;

    // To operators too, by each node and by a command, and as the person sees it.
    let key = cluster.setup(0).api_key(&["users:read"]).await;
    let active = device.activity().await.expect(200).json["lastActivity"].clone();
    for node in 0..2 {
        let mut operator = cluster.client(node);
        operator.access = Some(key.clone());
        eventually("an operator sees it", TIMEOUT, async || {
            let listed = operator.get("/admin/users").await;
            let told = &listed.json["users"][0]["lastActivityAt"];
            if *told == active { Ok(()) } else { Err(format!("{listed}, not {active}")) }
        })
        .await;
    }
    let command = ["user", "show", "ada@example.com", "--json"];
    let told = cluster.setup(1).command(&command).await.expect_code(0).json();
    assert_eq!(told["lastActivityAt"], active);
    assert_eq!(device.me().await.expect(200).json["user"]["lastActivityAt"], active);
}

/// Behind a round-robin gateway, a device's requests reach each node.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_other_services_are_told_of_activity_by_one_node() {
    const CHANNEL: &str = "auth:session.activity_updated";
    const INTERVAL: i64 = 3_000;
    let cluster = Cluster::of(2).set("ACTIVITY_EVENT_SECONDS", INTERVAL / 1_000).start().await;
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    let elsewhere = device.at(cluster.base(1));
    elsewhere.session().await.expect(200);
    let mut told = cluster.redis.listen(CHANNEL).await;
    for settled in [false, true] {
        until(unix_millis() + INTERVAL).await;
        let active = millis_of(&device.activity().await.expect(200).json["lastActivity"]);
        let shown = async || {
            let shown = millis_of(&elsewhere.session().await.expect(200).json["session"]["lastActivity"]);
            if shown >= active || !settled { Ok(()) } else { Err(format!("{shown}, not {active}")) }
        };
        eventually("the other node shows it", TIMEOUT, shown).await;
        for _ in 0..3 {
            elsewhere.activity().await.expect(200);
            device.activity().await.expect(200);
        }
        // What had to be published was on its way before this is answered.
        elsewhere.me().await.expect(200);
        cluster.redis.publish(CHANNEL, "that was all").await;
        let mut count = 0;
        while told.next().await.unwrap() != "that was all" {
            count += 1;
        }
        assert_eq!(count, 1, "told {count} times");
    }
    let counted = async || {
        let mut counted = 0.0;
        for node in 0..2 {
            let metrics = Metrics::read(&cluster.client(node)).await;
            counted += metrics.value(&format!("auth_events_published_total{{channel=\"{CHANNEL}\"}}"));
        }
        if counted >= 2.0 { Ok(()) } else { Err(format!("{counted} counted")) }
    };
    eventually("each is counted", TIMEOUT, counted).await;
}

/// Also for a session that the other node sees for the first time a moment later, or at the same moment.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_other_services_are_told_once_of_activity_on_two_nodes_of_a_new_session() {
    const CHANNEL: &str = "auth:session.activity_updated";
    const PEOPLE: usize = 60;
    let cluster = Cluster::of(2).start().await;
    let mut told = cluster.redis.listen(CHANNEL).await;
    for number in 0..PEOPLE {
        let mut device = cluster.client(0);
        device.signup(&Person::named(&format!("Ada{number}"))).await.expect(201);
        let elsewhere = device.at(cluster.base(1));
        if number % 2 == 0 {
            device.activity().await.expect(200);
            elsewhere.activity().await.expect(200);
        } else {
            let (here, there) = futures_util::future::join(device.activity(), elsewhere.activity()).await;
            here.expect(200);
            there.expect(200);
        }
    }
    // Sent on the same connections, after everything else.
    until(unix_millis() + 500).await;
    cluster.redis.publish(CHANNEL, "that was all").await;
    let mut count = 0;
    while told.next().await.unwrap() != "that was all" {
        count += 1;
    }
    assert_eq!(count, PEOPLE, "one a session");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_session_active_on_another_node_is_not_evicted() {
    let cluster = Cluster::of(2).set("MAX_SESSIONS_PER_USER", 2).start().await;
    let ada = Person::named("Ada");
    let (mut first, mut second, mut third) = (cluster.client(0), cluster.client(0), cluster.client(0));
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);
    until(unix_millis() + 20).await;
    first.at(cluster.base(1)).activity().await.expect(200);
    let stored = async || {
        let sql = "SELECT count(*) FROM sessions WHERE last_activity > created_at";
        if cluster.count(sql).await == 1 { Ok(()) } else { Err("it is not".to_owned()) }
    };
    eventually("the activity is stored", TIMEOUT, stored).await;
    let answer = third.login(&ada).await.expect(200);
    assert_eq!(answer.json["evictedSessionIds"], json!([second.session_id]));
    first.session().await.expect(200);
}

/// Redis may be shared, and messages on it prove nothing.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_forged_word_locks_nobody_out_and_keeps_nobody_in() {
    let cluster = Cluster::of(1).set("SESSION_TIMEOUT_MINUTES", "0.15").start().await;
    let mut device = cluster.client(0);
    let answer = device.signup(&Person::named("Ada")).await.expect(201);
    let user = answer.uuid("/user/id");
    let stranger = "00000000-0000-4000-8000-000000000000";
    let far = unix_millis() + 3_600_000;
    let words = [
        json!({"node": stranger, "user": user, "version": i64::MAX, "ended": [], "at": 0}),
        json!({"node": stranger, "user": user, "session": device.session_id, "active_at": far}),
        json!({"node": stranger, "user": user, "version": 1, "ended": [device.session_id], "at": far, "change": {
            "text": json!({"user": user, "version": 1, "check_version": 1, "at": unix_millis(), "ended": [
                {"session": device.session_id, "reason": "terminated", "by": null}]}).to_string(),
            "tag": "c3RyYW5nZXI",
        }}),
    ];
    for word in words {
        for shard in 0..64 {
            cluster.redis.publish(&format!("auth:internal:{{{shard}}}"), &word.to_string()).await;
        }
    }
    let watch = Stopwatch::start();
    while watch.elapsed() < Duration::from_millis(500) {
        device.session().await.expect(200);
    }
    let over = async || match device.session().await {
        answer if answer.status == 401 => Ok(answer),
        answer => Err(answer.to_string()),
    };
    let answer = eventually("it is idle in time all the same", TIMEOUT * 2, over).await;
    answer.expect_problem(401, "session_idle_timeout");
}
