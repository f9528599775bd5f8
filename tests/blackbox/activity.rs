//! POST `/activity`: with login, the only thing that moves the idle deadline.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::answer::members;
use crate::support::metrics::Metrics;
use crate::support::time::{unix_millis, until};
use crate::support::{
    Client, Database, Person, Setup, TestApp, eventually, milliseconds, on_each_database, timestamp,
};

on_each_database!(
    moves_the_idle_deadline,
    survives_an_orderly_restart,
    is_waited_for_once_an_idle_period_where_several_nodes_serve,
);

/// Reports activity until the deadline has moved beyond that of the login.
async fn active(device: &Client) -> serde_json::Value {
    let before = device.session().await.expect(200).json["idleExpiresAt"].clone();
    eventually("activity moves the deadline", Duration::from_secs(5), async || {
        let answer = device.activity().await.expect(200).json;
        let moved = timestamp(&answer["idleExpiresAt"]) > timestamp(&before);
        if moved { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await
}

/// If only one process uses the database, nobody else could end the session.
async fn is_waited_for_once_an_idle_period_where_several_nodes_serve(db: Database) {
    let app = Setup::on(db).await.set("SESSION_TIMEOUT_MINUTES", 0.1).start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let waited = async || {
        let metrics = Metrics::read(&app.client()).await;
        metrics.sum("auth_activity_written_through_total").unwrap()
    };
    let heartbeats = async || {
        for _ in 0..20 {
            ada.activity().await.expect(200);
        }
    };
    heartbeats().await;
    assert_eq!(waited().await, 0.0, "the login is stored");
    // More than half of the timeout.
    until(unix_millis() + 3_300).await;
    heartbeats().await;
    assert_eq!(waited().await, if db == Database::Sqlite { 0.0 } else { 1.0 });
}

async fn moves_the_idle_deadline(db: Database) {
    let app = TestApp::on(db).await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);

    let answer = active(&ada).await;
    assert_eq!(members(&answer), ["idleExpiresAt", "lastActivity"]);
    assert_eq!(milliseconds(&answer["lastActivity"], &answer["idleExpiresAt"]), 300_000);

    let session = ada.session().await.expect(200).json["session"].clone();
    assert_eq!(session["lastActivity"], answer["lastActivity"]);
    assert_eq!(session["idleExpiresAt"], answer["idleExpiresAt"]);
}

#[tokio::test]
async fn never_moves_backwards() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);

    for _ in 0..10 {
        let before = ada.session().await.expect(200).json;
        let answers = join_all((0..10).map(async |_| ada.activity().await.expect(200).json)).await;
        let after = ada.session().await.expect(200).json;
        let latest = answers.iter().map(|answer| timestamp(&answer["lastActivity"])).max();
        assert!(latest >= Some(timestamp(&before["session"]["lastActivity"])));
        assert_eq!(latest, Some(timestamp(&after["session"]["lastActivity"])));
    }
}

async fn survives_an_orderly_restart(db: Database) {
    let mut app = TestApp::on(db).await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);

    let answer = active(&ada).await;
    app.terminate().await.expect_code(0);
    app.restart().await;
    ada.follow(app.base());

    let session = ada.session().await.expect(200).json["session"].clone();
    assert_eq!(session["lastActivity"], answer["lastActivity"]);
}
