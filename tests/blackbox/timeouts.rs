//! Sessions that end by the clock: after too long without activity, or at the end of their lifetime.

use std::time::Duration;

use crate::support::metrics::Metrics;
use crate::support::time::Stopwatch;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(
    idle_sessions_end_with_nobody_asking,
    an_idle_session_is_refused_with_its_reason,
    activity_keeps_a_session_and_asking_does_not,
    a_session_ends_with_its_lifetime_however_active,
    a_deadline_that_passed_while_the_service_was_down_counts,
);

/// Three seconds.
const TIMEOUT_MINUTES: &str = "0.05";
const TIMEOUT: Duration = Duration::from_secs(3);

/// A timeout is noticed at most five seconds after its deadline; one more second for the machine.
const NOTICED: Duration = Duration::from_secs(3 + 5 + 1);

async fn short_lived(db: Database) -> TestApp {
    let setup = Setup::on(db).await.set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES);
    setup.start().await
}

async fn signed_in(app: &TestApp, name: &str) -> Client {
    let mut client = app.client();
    client.signup(&Person::named(name)).await.expect(201);
    client
}

async fn wait_for_active_sessions(app: &TestApp, wanted: f64, within: Duration) {
    let operator = app.client();
    let what = format!("{wanted} active sessions");
    eventually(&what, within, async || match Metrics::read(&operator).await.sum("auth_active_sessions") {
        Some(count) if count == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn idle_sessions_end_with_nobody_asking(db: Database) {
    let app = short_lived(db).await;
    for name in ["Ada", "Bob", "Eve"] {
        signed_in(&app, name).await;
    }
    // Nobody uses any of the sessions from here on; the operator only reads a number.
    wait_for_active_sessions(&app, 3.0, TIMEOUT).await;
    wait_for_active_sessions(&app, 0.0, NOTICED).await;
}

async fn an_idle_session_is_refused_with_its_reason(db: Database) {
    let app = short_lived(db).await;
    let watch = Stopwatch::start();
    let ada = signed_in(&app, "Ada").await;

    let refused = eventually("the session is idle", TIMEOUT * 2, async || {
        let answer = ada.session().await;
        if answer.status == 200 { Err(answer.to_string()) } else { Ok(answer) }
    })
    .await;
    refused.expect_problem(401, "session_idle_timeout");
    assert!(watch.elapsed() >= TIMEOUT, "refused before the deadline: {:?}", watch.elapsed());

    let answer = ada.send(ada.cookie_refresh(ada.cookie.as_ref().unwrap())).await;
    answer.expect_problem(401, "session_idle_timeout").expect_cookie_cleared();
}

async fn activity_keeps_a_session_and_asking_does_not(db: Database) {
    let app = short_lived(db).await;
    let (active, asking) = (signed_in(&app, "Ada").await, signed_in(&app, "Bob").await);
    let watch = Stopwatch::start();

    let refused = eventually("asking does not keep a session", NOTICED, async || {
        active.activity().await.expect(200);
        let answer = asking.session().await;
        if answer.status == 200 { Err(answer.to_string()) } else { Ok(answer) }
    })
    .await;
    refused.expect_problem(401, "session_idle_timeout");

    eventually("activity keeps a session for twice its timeout", NOTICED, async || {
        active.activity().await.expect(200);
        if watch.elapsed() > TIMEOUT * 2 { Ok(()) } else { Err("alive".to_owned()) }
    })
    .await;
    active.session().await.expect(200);
}

async fn a_session_ends_with_its_lifetime_however_active(db: Database) {
    // 3.6 seconds.
    let setup = Setup::on(db).await.set("SESSION_LIFETIME_HOURS", "0.001");
    let app = setup.start().await;
    let ada = signed_in(&app, "Ada").await;

    let refused = eventually("the lifetime is over", NOTICED, async || {
        let answer = ada.activity().await;
        if answer.status == 200 { Err(answer.to_string()) } else { Ok(answer) }
    })
    .await;
    refused.expect_problem(401, "session_expired");
    wait_for_active_sessions(&app, 0.0, NOTICED).await;
    let answer = ada.send(ada.cookie_refresh(ada.cookie.as_ref().unwrap())).await;
    answer.expect_problem(401, "session_expired").expect_cookie_cleared();
}

async fn a_deadline_that_passed_while_the_service_was_down_counts(db: Database) {
    let mut app = short_lived(db).await;
    let watch = Stopwatch::start();
    let mut ada = signed_in(&app, "Ada").await;
    app.kill();
    eventually("the deadline passes", TIMEOUT * 2, async || {
        if watch.elapsed() > TIMEOUT + Duration::from_millis(500) { Ok(()) } else { Err(String::new()) }
    })
    .await;

    app.restart().await;
    ada.follow(app.base());
    wait_for_active_sessions(&app, 0.0, NOTICED).await;
    ada.session().await.expect_problem(401, "session_idle_timeout");
}
