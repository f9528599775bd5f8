//! GET `/session`: the session of the token, and how long it will last.

use crate::support::answer::members;
use crate::support::{Database, Person, Setup, TestApp, milliseconds, on_each_database, timestamp};

on_each_database!(tells_the_session_and_its_time, idle_never_ends_after_the_lifetime);

async fn tells_the_session_and_its_time(db: Database) {
    let app = TestApp::on(db).await;
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201).json;

    let told = ada.session().await.expect(200).json;
    assert_eq!(members(&told), ["idleExpiresAt", "remainingSeconds", "session", "userId"]);
    assert_eq!(told["userId"], signup["user"]["id"]);
    assert_eq!(told["session"], signup["session"]);
    assert_eq!(told["idleExpiresAt"], told["session"]["idleExpiresAt"]);
    let idle = milliseconds(&told["session"]["lastActivity"], &told["idleExpiresAt"]);
    assert_eq!(idle, 5 * 60_000);
    let remaining = told["remainingSeconds"].as_u64().unwrap();
    assert!((280..=300).contains(&remaining), "{told}");
}

#[tokio::test]
async fn asking_is_no_activity() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201).json;

    for _ in 0..5 {
        ada.me().await.expect(200);
        ada.sessions().await.expect(200);
        let told = ada.session().await.expect(200).json;
        assert_eq!(told["session"]["lastActivity"], signup["session"]["lastActivity"]);
        assert_eq!(told["idleExpiresAt"], signup["session"]["idleExpiresAt"]);
    }
}

async fn idle_never_ends_after_the_lifetime(db: Database) {
    let app = Setup::on(db)
        .await
        .set("SESSION_LIFETIME_HOURS", "0.05")
        .set("SESSION_TIMEOUT_MINUTES", 5)
        .start()
        .await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);

    let active = ada.activity().await.expect(200).json;
    let session = ada.session().await.expect(200).json["session"].clone();
    assert_eq!(milliseconds(&session["createdAt"], &session["expiresAt"]), 180_000);
    assert_eq!(session["idleExpiresAt"], session["expiresAt"]);
    assert_eq!(timestamp(&active["idleExpiresAt"]), timestamp(&session["expiresAt"]));
}
