//! POST `/refresh`: rotation, and the ways in which a refresh token is sent and returned.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::answer::members;
use crate::support::app::REFRESH_SECRET;
use crate::support::time::unix_seconds;
use crate::support::token::Token;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(
    a_cookie_rotates_and_comes_back_as_a_cookie,
    two_tabs_at_once_both_go_on,
    a_session_that_is_over_tells_its_reason,
);

fn generation(token: &str) -> u64 {
    Token::open(token, REFRESH_SECRET).claims["gen"].as_u64().unwrap()
}

async fn signed_in(app: &TestApp) -> Client {
    let mut client = app.client();
    client.signup(&Person::named("Ada")).await.expect(201);
    client
}

async fn a_cookie_rotates_and_comes_back_as_a_cookie(db: Database) {
    let app = TestApp::on(db).await;
    let mut ada = signed_in(&app).await;
    let before = ada.cookie.clone().unwrap();
    let asked = ada.session().await.expect(200).json;

    let answer = ada.refresh().await.expect(200);
    assert_eq!(members(&answer.json), ["accessToken", "expiresIn", "session", "tokenType"]);
    assert_eq!(answer.json["tokenType"], "Bearer");
    assert_eq!(answer.json["expiresIn"], 900);
    assert_eq!(answer.json["session"]["id"], ada.session_id);
    assert_eq!(answer.json["session"]["current"], true);
    // A refresh is not activity.
    assert_eq!(answer.json["session"]["lastActivity"], asked["session"]["lastActivity"]);
    assert_eq!(answer.json["session"]["idleExpiresAt"], asked["idleExpiresAt"]);

    let after = ada.cookie.clone().unwrap();
    assert_eq!(generation(&after), generation(&before) + 1);
    ada.session().await.expect(200);
    ada.refresh().await.expect(200);
}

#[tokio::test]
async fn a_token_in_the_body_comes_back_in_the_body() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    let mut program = app.client();
    let login = program.login_for_body(&ada).await.expect(200);
    assert_eq!(login.set_cookie(), None);
    let before = program.refresh.clone().unwrap();

    let answer = program.refresh().await.expect(200);
    let names = ["accessToken", "expiresIn", "refreshToken", "session", "tokenType"];
    assert_eq!(members(&answer.json), names);
    assert_eq!(answer.set_cookie(), None);
    assert_eq!(generation(program.refresh.as_ref().unwrap()), generation(&before) + 1);
}

#[tokio::test]
async fn with_both_the_body_counts() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    let browser = signed_in(&app).await;
    let mut program = app.client();
    program.login_for_body(&ada).await.expect(200);

    let both = browser
        .cookie_refresh(browser.cookie.as_ref().unwrap())
        .json(&json!({"refreshToken": program.refresh}));
    let answer = program.try_exchange(both).await.unwrap().expect(200);

    assert_eq!(answer.json["session"]["id"], program.session_id);
    assert!(answer.json["refreshToken"].is_string());
    assert_eq!(answer.set_cookie(), None);

    // If the body contains no token, the cookie is used.
    let empty = browser.cookie_refresh(browser.cookie.as_ref().unwrap()).json(&json!({}));
    let answer = browser.send(empty).await.expect(200);
    assert_eq!(answer.json["session"]["id"], browser.session_id);
    assert!(answer.set_cookie().is_some());
}

async fn two_tabs_at_once_both_go_on(db: Database) {
    let app = TestApp::on(db).await;
    let ada = signed_in(&app).await;
    let cookie = ada.cookie.clone().unwrap();

    let tabs = join_all((0..16).map(async |_| {
        let mut tab = ada.clone();
        tab.refresh().await.expect(200);
        tab
    }))
    .await;

    // One rotated; all the others got the resulting token.
    for tab in &tabs {
        assert_eq!(generation(tab.cookie.as_ref().unwrap()), generation(&cookie) + 1);
        tab.session().await.expect(200);
    }
}

#[tokio::test]
async fn the_token_just_before_gets_the_current_one_again() {
    let app = TestApp::start().await;
    let mut ada = signed_in(&app).await;
    let before = ada.cookie.clone().unwrap();
    ada.refresh().await.expect(200);
    let current = generation(ada.cookie.as_ref().unwrap());

    for _ in 0..3 {
        let mut late = ada.clone();
        late.cookie = Some(before.clone());
        late.refresh().await.expect(200);
        assert_eq!(generation(late.cookie.as_ref().unwrap()), current);
    }
}

#[tokio::test]
async fn no_token_and_no_good_token_are_refused_and_the_cookie_is_cleared() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let post = |body| ada.request(reqwest::Method::POST, "/refresh").json(&body);

    for nothing in [ada.request(reqwest::Method::POST, "/refresh"), post(json!({}))] {
        let answer = ada.send(nothing).await;
        answer.expect_problem(401, "refresh_token_missing").expect_cookie_cleared();
    }
    let good = Token::open(ada.cookie.as_ref().unwrap(), REFRESH_SECRET);
    let forged = good.sign("some other secret that is long enough!!");
    let wrong_type = good.with_header(|header| header.typ = Some("JWT".to_owned())).sign(REFRESH_SECRET);
    for bad in ["garbage", forged.as_str(), wrong_type.as_str()] {
        for request in [ada.cookie_refresh(bad), ada.body_refresh(bad)] {
            let answer = ada.send(request).await;
            answer.expect_problem(401, "refresh_token_invalid").expect_cookie_cleared();
        }
    }
    // None of this has harmed the session.
    ada.clone().refresh().await.expect(200);
}

#[tokio::test]
async fn an_expired_token_is_refused_and_the_cookie_is_cleared() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let good = Token::open(ada.cookie.as_ref().unwrap(), REFRESH_SECRET);
    let expired = good.with("exp", unix_seconds() - 2).sign(REFRESH_SECRET);

    let answer = ada.send(ada.cookie_refresh(&expired)).await;
    answer.expect_problem(401, "refresh_token_expired").expect_cookie_cleared();
}

#[tokio::test]
async fn the_lifetime_of_a_refresh_token_is_configured_and_has_no_leeway() {
    let app = Setup::on(Database::Sqlite).await.set("JWT_REFRESH_EXPIRY", "1s").start().await;
    let ada = signed_in(&app).await;

    eventually("the token expires", Duration::from_secs(5), async || {
        let answer = ada.send(ada.cookie_refresh(ada.cookie.as_ref().unwrap())).await;
        match answer.status {
            401 => Ok(answer.expect_problem(401, "refresh_token_expired")),
            _ => Err(answer.expect(200).to_string()),
        }
    })
    .await;
}

async fn a_session_that_is_over_tells_its_reason(db: Database) {
    let app = TestApp::on(db).await;
    let mut ada = signed_in(&app).await;
    let cookie = ada.cookie.clone().unwrap();
    let mut other = app.client();
    other.login(&Person::named("Ada")).await.expect(200);
    let other_cookie = other.cookie.clone().unwrap();

    ada.terminate(&other.session_id).await.expect(204);
    ada.logout().await.expect(204);

    for (cookie, code) in [(cookie, "session_logged_out"), (other_cookie, "session_terminated")] {
        let answer = ada.send(ada.cookie_refresh(&cookie)).await;
        answer.expect_problem(401, code).expect_cookie_cleared();
    }
}
