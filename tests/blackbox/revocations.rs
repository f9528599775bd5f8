//! `/revocations`: services that follow it learn of every ending, in time, even after they were disconnected.

use std::time::Duration;

use serde_json::json;

use super::api_keys::with_key;
use crate::support::answer::members;
use crate::support::follower::{Follower, Told};
use crate::support::metrics::Metrics;
use crate::support::time::Stopwatch;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database, timestamp};

on_each_database!(
    endings_are_told_within_a_second_and_once,
    a_follower_that_was_away_goes_on_from_its_cursor,
    a_cursor_that_is_too_old_is_said_plainly
);

async fn followed(db: Database) -> (TestApp, Client) {
    let setup = Setup::on(db).await;
    let key = setup.api_key(&["tokens:introspect"]).await;
    let app = setup.start().await;
    let client = with_key(&app, &key);
    (app, client)
}

async fn ending(follower: &mut Follower) -> serde_json::Value {
    loop {
        if let Told::Ended(ended) = follower.next().await.expect("the stream goes on") {
            return ended;
        }
    }
}

async fn endings_are_told_within_a_second_and_once(db: Database) {
    let (app, service) = followed(db).await;
    let ada = Person::named("Ada");
    let mut devices = app.devices(&ada, 3).await;
    let mut follower = Follower::new(service);
    follower.connect().await;
    // Without a cursor it begins at some position, and says so.
    assert_eq!(follower.next().await, Some(Told::Reset));
    follower.catch_up().await;
    assert_eq!(follower.ended.len(), 0);

    let user = devices[0].get("/me").await.expect(200).json["user"]["id"].clone();
    devices[0].logout().await.expect(204);
    let (since, told) = (Stopwatch::start(), ending(&mut follower).await);
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(members(&told), ["reason", "sessionId", "tokensExpireAt", "userId"]);
    assert_eq!(told["sessionId"], devices[0].session_id);
    assert_eq!((&told["userId"], &told["reason"]), (&user, &json!("logout")));
    let live = devices[1].session().await.expect(200).json;
    assert!(timestamp(&told["tokensExpireAt"]) > timestamp(&live["session"]["lastActivity"]), "{told}");

    let other = devices[2].session_id.clone();
    devices[1].terminate(&other).await.expect(204);
    let told = ending(&mut follower).await;
    assert_eq!((&told["sessionId"], &told["reason"]), (&json!(other), &json!("terminated")));
    // A change of the same person repeats nothing.
    devices[1].refresh().await.expect(200);
    follower.catch_up().await;
    assert!(follower.ended.values().all(|(_, times)| *times == 1), "{:?}", follower.ended);
    assert_eq!((follower.ended.len(), follower.resets), (2, 1));
    let metrics = Metrics::read(&app.client()).await;
    assert_eq!(metrics.value("auth_revocation_followers"), 1.0);
    assert_eq!(metrics.value("auth_revocations_sent_total"), 2.0);
}

async fn a_follower_that_was_away_goes_on_from_its_cursor(db: Database) {
    let (mut app, service) = followed(db).await;
    let mut devices = app.devices(&Person::named("Ada"), 4).await;
    let mut follower = Follower::new(service.clone());
    follower.connect().await;
    follower.catch_up().await;
    follower.disconnect();
    devices[0].logout().await.expect(204);
    devices[1].logout().await.expect(204);
    follower.connect().await;
    follower.catch_up().await;
    assert_eq!((follower.ended.len(), follower.resets), (2, 1), "{:?}", follower.ended);

    // The cursor remains valid over a restart too.
    follower.disconnect();
    devices[2].logout().await.expect(204);
    app.restart().await;
    let mut again = Follower::new(with_key(&app, service.access.as_ref().unwrap()));
    again.cursor = follower.cursor.take();
    eventually("the key is known", Duration::from_secs(5), async || {
        let answer =
            super::api_keys::introspect(&with_key(&app, service.access.as_ref().unwrap()), "x").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    again.connect().await;
    again.catch_up().await;
    assert!(again.ended.contains_key(&devices[2].session_id), "{:?}", again.ended);
    assert_eq!(again.resets, 0);
    // A follower without a cursor gets what ended recently.
    let mut newcomer = Follower::new(with_key(&app, service.access.as_ref().unwrap()));
    newcomer.connect().await;
    newcomer.catch_up().await;
    assert_eq!((newcomer.ended.len(), newcomer.resets), (3, 1), "{:?}", newcomer.ended);
}

async fn a_cursor_that_is_too_old_is_said_plainly(db: Database) {
    let (app, service) = followed(db).await;
    let mut follower = Follower::new(service.clone());
    follower.connect().await;
    follower.catch_up().await;
    follower.disconnect();
    let cursor = follower.cursor.clone().unwrap();
    let parts: Vec<_> = cursor.split('.').collect();
    let old: i64 = parts[1].parse::<i64>().unwrap() - 24 * 3_600_000;
    let old = cursor.replacen(parts[1], &old.to_string(), 1);
    // Cursors of another database, too: PostgreSQL's in place of SQLite's, and one from a later position.
    for strange in [old, "t.1".to_owned(), format!("p.{}.999999999999", parts[1])] {
        let mut follower = Follower::new(service.clone());
        follower.cursor = Some(strange);
        follower.connect().await;
        assert_eq!(follower.next().await, Some(Told::Reset));
        follower.catch_up().await;
    }
    for nonsense in ["x", "t.", "p.1.2.3x", "%0a"] {
        let answer = service.get(&format!("/revocations?cursor={nonsense}")).await;
        answer.expect_problem(422, "validation_failed");
    }
    drop(app);
}

#[tokio::test]
async fn it_takes_the_scope_and_ends_with_the_key() {
    let setup = Setup::on(Database::Sqlite).await;
    setup.command(&["migrate"]).await.expect_code(0);
    let short = ["api-keys", "create", "--scope", "tokens:introspect", "--expires", "4s"];
    let (short, other) = (setup.key_of(&short).await, setup.api_key(&["users:read"]).await);
    let app = setup.start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    app.client().get("/revocations").await.expect_problem(401, "token_missing");
    ada.get("/revocations").await.expect_problem(403, "insufficient_scope");
    with_key(&app, &other).get("/revocations").await.expect_problem(403, "insufficient_scope");
    let mut follower = Follower::new(with_key(&app, &short));
    follower.connect().await;
    let mut heartbeats = 0;
    while let Some(told) = follower.next().await {
        heartbeats += usize::from(matches!(told, Told::Heartbeat(_)));
    }
    // There is at least one a second.
    assert!(heartbeats >= 3, "{heartbeats}");
    with_key(&app, &short).get("/revocations").await.expect_problem(401, "token_expired");
}
