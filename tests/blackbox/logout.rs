//! POST `/logout`: this session ends, and the browser forgets its token.

use std::time::Duration;

use reqwest::Method;

use crate::support::app::{ACCESS_SECRET, REFRESH_SECRET};
use crate::support::time::unix_seconds;
use crate::support::token::Token;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(ends_this_session_alone, stays_ended_after_a_restart, the_cookie_alone_signs_out);

async fn ends_this_session_alone(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);

    let answer = first.logout().await.expect(204);
    assert_eq!(answer.text, "");
    answer.expect_cookie_cleared();

    first.session().await.expect_problem(401, "session_logged_out");
    first.logout().await.expect_problem(401, "session_logged_out");
    let list = second.sessions().await.expect(200).json;
    assert_eq!(list["total"], 1);
    assert_eq!(list["sessions"][0]["id"], second.session_id);
}

async fn stays_ended_after_a_restart(db: Database) {
    let mut app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);
    first.logout().await.expect(204);

    app.restart().await;
    first.follow(app.base());
    second.follow(app.base());
    first.session().await.expect_problem(401, "session_logged_out");
    second.session().await.expect(200);
}

async fn signed_in(app: &TestApp) -> Client {
    let mut client = app.client();
    client.signup(&Person::named("Ada")).await.expect(201);
    client
}

/// A logout as a browser sends it: cookies, and an access token if there is one.
async fn log_out(client: &Client, access: Option<&str>, cookie: &str) -> Answer {
    let mut browser = client.clone();
    browser.access = access.map(str::to_owned);
    browser.send(browser.request(Method::POST, "/logout").header("Cookie", cookie)).await
}

async fn the_cookie_alone_signs_out(db: Database) {
    let app = TestApp::on(db).await;
    let ada = signed_in(&app).await;
    let cookie = format!("refreshToken=left-over; refreshToken={}", ada.cookie.as_ref().unwrap());
    log_out(&ada, None, &cookie).await.expect(204).expect_cookie_cleared();
    ada.session().await.expect_problem(401, "session_logged_out");
    let again = log_out(&ada, None, &cookie).await;
    again.expect_problem(401, "session_logged_out").expect_cookie_cleared();
}

#[tokio::test]
async fn an_access_token_that_has_merely_expired_still_ends_its_session() {
    let app = TestApp::start().await;
    let mut ada = signed_in(&app).await;
    let good = Token::open(ada.access.as_ref().unwrap(), ACCESS_SECRET);
    ada.access = Some(good.with("exp", unix_seconds() - 3_600).sign(ACCESS_SECRET));
    ada.session().await.expect_problem(401, "token_expired");
    let refresh = ada.cookie.clone().unwrap();
    ada.logout().await.expect(204).expect_cookie_cleared();
    ada.send(ada.cookie_refresh(&refresh)).await.expect_problem(401, "session_logged_out");
    // It is not accepted for anything else, nor more than once.
    ada.logout().await.expect_problem(401, "token_expired");
    ada.terminate_others().await.expect_problem(401, "token_expired");
}

#[tokio::test]
async fn one_that_expired_by_itself_does_too() {
    let app = Setup::on(Database::Sqlite).await.set("JWT_ACCESS_EXPIRY", "1s").start().await;
    let mut ada = signed_in(&app).await;
    eventually("the access token expires", Duration::from_secs(5), async || match ada.session().await {
        answer if answer.status == 401 => Ok(()),
        answer => Err(answer.to_string()),
    })
    .await;
    ada.logout().await.expect(204);
}

#[tokio::test]
async fn a_forged_token_leaves_it_to_the_cookie() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let forged =
        Token::open(ada.access.as_ref().unwrap(), ACCESS_SECRET).sign("some other secret, long enough!!");
    let expired = Token::open(ada.access.as_ref().unwrap(), ACCESS_SECRET)
        .with("exp", unix_seconds() - 60)
        .with("stk", "00000000-0000-4000-8000-000000000000")
        .sign(ACCESS_SECRET);
    for (token, code) in [(&forged, "token_invalid"), (&expired, "token_expired")] {
        let answer = log_out(&ada, Some(token), "theme=dark").await.expect_problem(401, code);
        assert_eq!(answer.set_cookie(), None, "none was sent: {answer}");
        let answer = log_out(&ada, Some(token), "refreshToken=garbage").await.expect_problem(401, code);
        answer.expect_cookie_cleared();
    }
    ada.session().await.expect(200);
    let cookie = format!("refreshToken={}", ada.cookie.as_ref().unwrap());
    log_out(&ada, Some(&forged), &cookie).await.expect(204).expect_cookie_cleared();
    ada.session().await.expect_problem(401, "session_logged_out");
}

#[tokio::test]
async fn an_old_refresh_token_is_theft_here_too() {
    let app = Setup::on(Database::Sqlite).await.set("REFRESH_REUSE_GRACE_SECONDS", 0).start().await;
    let mut ada = signed_in(&app).await;
    let old = format!("refreshToken={}", ada.cookie.as_ref().unwrap());
    ada.refresh().await.expect(200);
    ada.refresh().await.expect(200);
    let answer = log_out(&ada, None, &old).await;
    answer.expect_problem(401, "refresh_token_reused").expect_cookie_cleared();
    let refresh = Token::open(ada.cookie.as_ref().unwrap(), REFRESH_SECRET).sign(REFRESH_SECRET);
    ada.send(ada.cookie_refresh(&refresh)).await.expect_problem(401, "refresh_token_reused");
}

#[tokio::test]
async fn without_anything_it_is_a_401_that_clears_nothing() {
    let app = TestApp::start().await;
    let stranger = app.client();
    let answer = stranger.send(stranger.request(Method::POST, "/logout")).await;
    let answer = answer.expect_problem(401, "token_missing").expect_header("www-authenticate", "Bearer");
    assert_eq!(answer.header("set-cookie"), None, "{answer}");
}
