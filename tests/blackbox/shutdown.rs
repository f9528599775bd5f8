//! SIGTERM: what was begun is finished, new requests are turned away, and the exit code is 0.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::metrics::Metrics;
use crate::support::{Database, Person, Setup, TestApp, eventually, on_each_database};

/// More than are hashed at the same time.
const LOGINS: usize = 8;

on_each_database!(ends_in_order_and_in_time, requests_in_flight_are_finished);

async fn ends_in_order_and_in_time(db: Database) {
    for signal in ["TERM", "INT"] {
        let mut app = TestApp::on(db).await;
        let mut ada = app.client();
        ada.signup(&Person::named("Ada")).await.expect(201);
        app.signal(signal);
        let ended = app.end().await.expect_code(0);
        assert!(ended.took < Duration::from_secs(10), "it took {:?}", ended.took);
        assert!(ada.try_get("/health/live").await.is_err(), "it still listens");
    }
}

async fn requests_in_flight_are_finished(db: Database) {
    // A cost at which logins take many times longer than receiving them.
    let app = Setup::on(db).await.set("BCRYPT_COST", 11).start();
    let mut app = app.await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);

    let mut logins = JoinSet::new();
    for mut client in (0..LOGINS).map(|_| app.client()) {
        let ada = ada.clone();
        logins.spawn(async move { client.login(&ada).await });
    }
    // All are received when all but those being hashed are done or waiting; the sign-up was one more.
    let hashers = std::thread::available_parallelism().unwrap().get();
    let client = app.client();
    eventually("all logins are received", Duration::from_secs(20), async || {
        let metrics = Metrics::read(&client).await;
        let count = |name| metrics.sum(name).unwrap_or_default();
        let received =
            count("auth_password_hash_duration_seconds_count") + count("auth_password_queue_depth");
        if received >= (LOGINS + 1 - hashers.min(LOGINS)) as f64 { Ok(()) } else { Err(received.to_string()) }
    })
    .await;
    app.signal("TERM");
    while let Some(answer) = logins.join_next().await {
        answer.unwrap().expect(200);
    }
    app.end().await.expect_code(0);
}

#[tokio::test]
async fn is_not_ready_at_once_and_serves_on_while_draining() {
    let setup = Setup::on(Database::Sqlite).await.set("SHUTDOWN_DRAIN_SECONDS", 3);
    let mut app = setup.start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    app.signal("TERM");

    eventually("it tells that it is going", Duration::from_secs(2), async || {
        // A new connection each time, as a load balancer would open it.
        let answer = app.client().get("/health/ready").await;
        if answer.status == 503 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    app.client().get("/health/live").await.expect(200);
    ada.session().await.expect(200);
    app.end().await.expect_code(0);
}

#[tokio::test]
async fn a_second_signal_forces_it() {
    let setup = Setup::on(Database::Sqlite).await.set("SHUTDOWN_DRAIN_SECONDS", 14);
    let mut app = setup.start().await;
    app.signal("TERM");
    eventually("the first signal is heard", Duration::from_secs(5), async || {
        let answer = app.client().get("/health/ready").await;
        if answer.status == 503 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    let ended = app.terminate().await;
    assert!(ended.took < Duration::from_secs(5), "it took {:?}", ended.took);
}
