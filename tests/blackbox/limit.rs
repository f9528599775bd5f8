//! No user ever has more live sessions than `MAX_SESSIONS_PER_USER`, however many sign in at once.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Database, Person, Setup, TestApp, eventually, on_each_database, timestamp,
};

on_each_database!(
    the_least_recently_active_session_is_evicted,
    the_reject_policy_refuses_the_login,
    many_logins_at_once_never_exceed_the_limit,
    many_logins_at_once_under_the_reject_policy,
);

async fn limited(db: Database, limit: usize, policy: &str) -> TestApp {
    Setup::on(db).await.set("MAX_SESSIONS_PER_USER", limit).set("MAX_SESSIONS_POLICY", policy).start().await
}

/// Reports activity until this device's is the latest.
async fn become_latest(device: &Client) {
    let list = device.sessions().await.expect(200).json;
    let before = timestamp(&list["sessions"][0]["lastActivity"]);
    eventually("activity moves", Duration::from_secs(5), async || {
        let answer = device.activity().await.expect(200).json;
        if timestamp(&answer["lastActivity"]) > before { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

async fn the_least_recently_active_session_is_evicted(db: Database) {
    let app = limited(db, 2, "evict_oldest").await;
    let ada = Person::named("Ada");
    let (mut first, mut second, mut third) = (app.client(), app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);
    // This is the older session, but the last active one.
    become_latest(&first).await;

    let answer = third.login(&ada).await.expect(200);
    assert_eq!(answer.json["evictedSessionIds"], json!([second.session_id]));
    second.session().await.expect_problem(401, "session_evicted");
    second.refresh().await.expect_problem(401, "session_evicted").expect_cookie_cleared();
    first.session().await.expect(200);
    let list = third.sessions().await.expect(200).json;
    assert_eq!(list["total"], 2);
    assert_eq!(list["maxSessions"], 2);
}

async fn the_reject_policy_refuses_the_login(db: Database) {
    let app = limited(db, 2, "reject").await;
    let ada = Person::named("Ada");
    let (mut first, mut second, mut third) = (app.client(), app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);

    let refused = third.login(&ada).await.expect_problem(409, "session_limit_reached");
    assert_eq!(refused.set_cookie(), None);
    // The person sees which devices there are, but has nothing with which to end one from here.
    let listed = first.sessions().await.expect(200).json;
    let ids = |sessions: &Value| -> BTreeSet<String> {
        sessions.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&refused.json["sessions"]), ids(&listed["sessions"]));
    assert_eq!((&refused.json["maxSessions"], &refused.json["loginTicket"]), (&json!(2), &Value::Null));
    // A caller who does not know the password does not learn that the limit is reached.
    let mut wrong = ada.credentials();
    wrong["password"] = json!("not the password");
    third.login_with(&wrong).await.expect_problem(401, "invalid_credentials");

    second.logout().await.expect(204);
    third.login(&ada).await.expect(200);
    first.session().await.expect(200);
}

/// A login that is tried again if the password queue was full.
async fn persistent_login(app: &TestApp, person: &Person) -> Answer {
    eventually("a login gets through the queue", Duration::from_secs(60), async || {
        let answer = app.client().login(person).await;
        match answer.status {
            503 => Err(answer.expect_problem(503, "overloaded").to_string()),
            _ => Ok(answer),
        }
    })
    .await
}

/// Reads the list forever, asserting the limit.
async fn watch_the_limit(client: &Client, limit: u64) {
    loop {
        let answer = client.sessions().await;
        // The watching session may itself be evicted; then there is nothing left to watch.
        if answer.status == 401 {
            std::future::pending::<()>().await;
        }
        let list = answer.expect(200).json;
        assert!(list["total"].as_u64().unwrap() <= limit, "{list}");
        assert!(list["sessions"].as_array().unwrap().len() as u64 <= limit, "{list}");
    }
}

/// Fifty concurrent logins of one person, watched all the time.
async fn rush(app: &TestApp, person: &Person, watcher: &Client, limit: u64) -> Vec<Answer> {
    let logins = join_all((0..50).map(async |_| persistent_login(app, person).await));
    let watching = watch_the_limit(watcher, limit);
    match select(Box::pin(logins), Box::pin(watching)).await {
        Either::Left((answers, _)) => answers,
        Either::Right(((), _)) => unreachable!("it watches for ever"),
    }
}

async fn many_logins_at_once_never_exceed_the_limit(db: Database) {
    let app = limited(db, 5, "evict_oldest").await;
    let ada = Person::named("Ada");
    let mut watcher = app.client();
    watcher.signup(&ada).await.expect(201);

    let answers = rush(&app, &ada, &watcher, 5).await;
    let mut created = BTreeSet::from([watcher.session_id.clone()]);
    let mut evicted = Vec::new();
    for answer in answers {
        let answer = answer.expect(200);
        created.insert(answer.uuid("/session/id").to_string());
        let ids = answer.json["evictedSessionIds"].as_array().unwrap();
        evicted.extend(ids.iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    assert_eq!(created.len(), 51);
    assert_eq!(evicted.len(), 46, "each session beyond the limit is evicted once");
    let evicted: BTreeSet<_> = evicted.into_iter().collect();
    assert_eq!(evicted.len(), 46, "no session is evicted twice");

    // The remaining five are those that no response named as evicted, and a further login evicts one more.
    let mut last = app.client();
    let answer = last.login(&ada).await.expect(200);
    let list = last.sessions().await.expect(200).json;
    assert_eq!(list["total"], 5);
    for session in list["sessions"].as_array().unwrap() {
        assert!(!evicted.contains(session["id"].as_str().unwrap()), "{list}");
    }
    assert_eq!(answer.json["evictedSessionIds"].as_array().unwrap().len(), 1);
}

async fn many_logins_at_once_under_the_reject_policy(db: Database) {
    let app = limited(db, 5, "reject").await;
    let ada = Person::named("Ada");
    let mut watcher = app.client();
    watcher.signup(&ada).await.expect(201);

    let answers = rush(&app, &ada, &watcher, 5).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(accepted.len(), 4);
    for answer in refused {
        answer.expect_problem(409, "session_limit_reached");
    }
    assert_eq!(watcher.sessions().await.expect(200).json["total"], 5);
}
