//! SIGTERM: what was begun is finished, what comes new is sent away, and the exit code is 0.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::support::{Database, Person, Setup, TestApp, eventually, on_each_database};

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
    // A cost at which eight logins take many times as long as receiving them.
    let app = Setup::on(db).await.set("BCRYPT_COST", 11).start();
    let mut app = app.await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);

    let clients: Vec<_> = (0..8).map(|_| app.client()).collect();
    let mut logins: FuturesUnordered<_> =
        clients.into_iter().map(async |mut client| client.login(&ada).await).collect();
    // When the first is through, the others were received long ago and wait for their turn.
    logins.next().await.unwrap().expect(200);
    app.signal("TERM");
    while let Some(answer) = logins.next().await {
        answer.expect(200);
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
        // A connection of its own each time, as a load balancer would open it.
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
