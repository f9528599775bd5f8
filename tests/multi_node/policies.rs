//! Policies by role and by user: each node applies the user's effective policy, whichever node the
//! operator's request went to.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::time::{unix_millis, until};
use crate::support::{Answer, Client, Cluster, Person, eventually, milliseconds};

const HOUR_MS: i64 = 3_600_000;
/// By then every node knows of a change, even on a busy machine.
const KNOWN: Duration = Duration::from_secs(5);

/// A cluster with another policy for one role, and an operator.
async fn cluster() -> (Cluster, Client) {
    let setup = Cluster::of(2)
        .set("SESSION_TIMEOUT_MINUTES_PRO", 15)
        .set("SESSION_LIFETIME_HOURS_PRO", "2.5")
        .set("MAX_SESSIONS_PER_USER_PRO", 2)
        .set("MAX_SESSIONS_POLICY_PRO", "reject");
    let cluster = setup.start().await;
    let mut operator = cluster.client(0);
    operator.access = Some(cluster.setup(0).api_key(&["users:read", "users:write"]).await);
    eventually("the key is known", KNOWN, async || {
        let answer = operator.get("/admin/users").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    (cluster, operator)
}

async fn change(operator: &Client, user: &Value, body: &Value) -> Answer {
    let path = format!("/admin/users/{}", user.as_str().unwrap());
    let found = operator.get(&path).await.expect(200);
    let request = operator.request(Method::PATCH, &path).header("If-Match", found.header("etag").unwrap());
    operator.send(request.json(body)).await
}

/// Waits until a node reports that limit.
async fn shows_limit(device: &Client, limit: u64) {
    eventually("the limit is known", KNOWN, async || {
        let shown = device.sessions().await.expect(200).json["maxSessions"].clone();
        if shown == limit { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
}

/// Idle timeout and lifetime of a device's session, as its node reports them.
async fn times(device: &Client) -> (i64, i64) {
    let shown = device.session().await.expect(200).json;
    let session = &shown["session"];
    assert_eq!(shown["idleExpiresAt"], session["idleExpiresAt"]);
    (
        milliseconds(&session["lastActivity"], &session["idleExpiresAt"]),
        milliseconds(&session["createdAt"], &session["expiresAt"]),
    )
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_numbers_of_role_and_user_hold_on_every_node() {
    let (cluster, operator) = cluster().await;
    let ada = Person::named("Ada");
    let mut first = cluster.client(0);
    let user = first.signup(&ada).await.expect(201).json["user"]["id"].clone();
    assert_eq!(times(&first).await, (5 * 60_000, 168 * HOUR_MS));
    change(&operator, &user, &json!({"role": "PRO"})).await.expect(200);

    // The role's policy: for the open session from its next refresh on, for the limit immediately.
    let mut second = cluster.client(1);
    second.login(&ada).await.expect(200);
    assert_eq!(times(&second).await, (15 * 60_000, HOUR_MS * 5 / 2));
    for node in 0..2 {
        shows_limit(&first.at(cluster.base(node)), 2).await;
        cluster.client(node).login(&ada).await.expect_problem(409, "session_limit_reached");
        let config = cluster.client(node).get("/config").await.expect(200).json;
        assert_eq!(
            (&config["maxSessionsPerUser"], &config["maxSessionsPolicy"]),
            (&json!(5), &json!("evict_oldest"))
        );
        assert_eq!(config["sessionTimeoutMinutes"].as_f64(), Some(5.0));
    }
    assert_eq!(times(&first).await, (5 * 60_000, 168 * HOUR_MS), "those of its login");
    first.follow(cluster.base(1));
    first.refresh().await.expect(200);
    assert_eq!(times(&first).await, (15 * 60_000, HOUR_MS * 5 / 2));

    // The user's own policy, which takes precedence over the role's.
    let own = json!({"sessionTimeoutMinutes": 20, "sessionLifetimeHours": 3, "maxSessions": 4, "maxSessionsPolicy": "evict_oldest"});
    let changed = change(&operator, &user, &json!({"policy": own})).await.expect(200);
    assert_eq!(changed.json["user"]["policy"]["maxSessions"], 4);
    for node in 0..2 {
        shows_limit(&second.at(cluster.base(node)), 4).await;
    }
    assert_eq!(times(&second).await, (15 * 60_000, HOUR_MS * 5 / 2));
    second.follow(cluster.base(0));
    second.refresh().await.expect(200);
    assert_eq!(times(&second).await, (20 * 60_000, 3 * HOUR_MS));

    // The policy is replaced as a whole: what it no longer sets is the role's again. A user over the
    // limit keeps the open sessions.
    change(&operator, &user, &json!({"policy": {"maxSessions": 1, "maxSessionsPolicy": "evict_oldest"}}))
        .await
        .expect(200);
    for node in 0..2 {
        shows_limit(&first.at(cluster.base(node)), 1).await;
        second.at(cluster.base(node)).session().await.expect(200);
    }
    second.refresh().await.expect(200);
    assert_eq!(times(&second).await, (15 * 60_000, HOUR_MS * 5 / 2));
    let mut third = cluster.client(1);
    let evicted = third.login(&ada).await.expect(200).json["evictedSessionIds"].clone();
    assert_eq!(evicted.as_array().unwrap().len(), 2, "{evicted}");
    for (device, node) in [(&first, 0), (&second, 1)] {
        device.at(cluster.base(node)).session().await.expect_problem(401, "session_evicted");
    }
    change(&operator, &user, &json!({"policy": null})).await.expect(200);
    for node in 0..2 {
        shows_limit(&third.at(cluster.base(node)), 2).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_session_over_its_new_shorter_timeout_ends_at_its_next_refresh() {
    let (cluster, operator) = cluster().await;
    let ada = Person::named("Ada");
    let mut still = cluster.client(0);
    let signup = still.signup(&ada).await.expect(201).json;
    let mut active = cluster.client(1);
    active.login(&ada).await.expect(200);
    // After three seconds, plus what activity takes to be stored.
    until(unix_millis() + 4_500).await;
    active.activity().await.expect(200);
    change(&operator, &signup["user"]["id"], &json!({"policy": {"sessionTimeoutMinutes": 0.05}}))
        .await
        .expect(200);
    still.session().await.expect(200);
    still.follow(cluster.base(1));
    let answer = eventually("the policy is known", KNOWN, async || {
        let answer = still.refresh().await;
        if answer.status == 200 { Err(answer.to_string()) } else { Ok(answer) }
    });
    answer.await.expect_problem(401, "session_idle_timeout").expect_cookie_cleared();
    for node in 0..2 {
        still.at(cluster.base(node)).session().await.expect_problem(401, "session_idle_timeout");
    }
    active.activity().await.expect(200);
    active.refresh().await.expect(200);
    assert_eq!(times(&active).await.0, 3_000);
    let deadline = unix_millis() + 3_000;
    eventually("it ends with nobody asking", Duration::from_secs(3 + 5 + 1), async || {
        let live = cluster.live_sessions().await;
        if live == 0 { Ok(()) } else { Err(format!("{live} live")) }
    })
    .await;
    let ended = cluster.count("SELECT max(ended_at) FROM sessions WHERE end_reason = 'idle_timeout'").await;
    assert!(ended <= deadline + 5_000, "{} ms after its deadline", ended - deadline);
    let others = cluster.count("SELECT count(*) FROM sessions WHERE end_reason <> 'idle_timeout'").await;
    assert_eq!(others, 0);
}
