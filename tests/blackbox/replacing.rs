//! Signing in again in the same browser, and what a login may specify about the session it opens.

use reqwest::Method;
use reqwest::header::{COOKIE, ORIGIN};
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::{Client, Database, Person, Setup, TestApp, on_each_database};

on_each_database!(
    the_same_browser_leaves_no_ghost,
    somebody_else_at_the_same_browser_ends_it_too,
    of_several_cookies_none_leaves_a_ghost,
    a_sign_up_replaces_the_session_of_its_browser,
    what_is_kept_or_cannot_be_shown_goes_on,
    a_role_has_its_own_numbers,
    remembering_is_the_persons_choice,
);

/// A login from the browser of that device, with its cookie.
async fn login_again(device: &Client, body: &Value, origin: Option<&str>) -> Answer {
    let mut fresh = device.clone();
    fresh.access = None;
    let cookie = format!("refreshToken={}", device.cookie.as_ref().unwrap());
    let request = fresh.request(Method::POST, "/login").header(COOKIE, cookie).json(body);
    fresh
        .send(match origin {
            Some(origin) => request.header(ORIGIN, origin),
            None => request,
        })
        .await
}

async fn signed_up(app: &TestApp, name: &str) -> (Person, Client) {
    let (person, mut device) = (Person::named(name), app.client());
    device.signup(&person).await.expect(201);
    (person, device)
}

async fn the_same_browser_leaves_no_ghost(db: Database) {
    let app = Setup::on(db)
        .await
        .set("MAX_SESSIONS_PER_USER", 1)
        .set("MAX_SESSIONS_POLICY", "reject")
        .start()
        .await;
    let (ada, device) = signed_up(&app, "Ada").await;
    // The replaced session makes room, too.
    let answer = login_again(&device, &ada.credentials(), None).await.expect(200);
    assert_eq!(answer.json["evictedSessionIds"], json!([]));
    device.session().await.expect_problem(401, "session_replaced");
    app.client().login(&ada).await.expect_problem(409, "session_limit_reached");
}

async fn somebody_else_at_the_same_browser_ends_it_too(db: Database) {
    let app = TestApp::on(db).await;
    let (_, adas) = signed_up(&app, "Ada").await;
    let (bob, bobs) = signed_up(&app, "Bob").await;
    login_again(&adas, &bob.credentials(), None).await.expect(200);
    adas.session().await.expect_problem(401, "session_replaced");
    bobs.session().await.expect(200);
}

/// A cookie that is left over beside another, newer or older, keeps no session alive.
async fn of_several_cookies_none_leaves_a_ghost(db: Database) {
    let app = TestApp::on(db).await;
    let (ada, adas) = signed_up(&app, "Ada").await;
    let (_, bobs) = signed_up(&app, "Bob").await;
    let mut ended = app.client();
    ended.login(&ada).await.expect(200);
    let cookies =
        [&adas, &bobs, &ended].map(|device| format!("refreshToken={}", device.cookie.clone().unwrap()));
    ended.logout().await.expect(204);
    let browser = app.client();
    let login = browser.request(Method::POST, "/login").header(COOKIE, cookies.join("; "));
    browser.send(login.json(&ada.credentials())).await.expect(200);
    adas.session().await.expect_problem(401, "session_replaced");
    bobs.session().await.expect_problem(401, "session_replaced");
}

async fn a_sign_up_replaces_the_session_of_its_browser(db: Database) {
    let app = TestApp::on(db).await;
    let (_, adas) = signed_up(&app, "Ada").await;
    let browser = app.client();
    let cookie = format!("refreshToken={}", adas.cookie.clone().unwrap());
    let signup = browser.request(Method::POST, "/signup").header(COOKIE, &cookie);
    browser.send(signup.json(&Person::named("Bob").registration())).await.expect(201);
    adas.session().await.expect_problem(401, "session_replaced");
    // Not from a page of somewhere else.
    let (_, eves) = signed_up(&app, "Eve").await;
    let cookie = format!("refreshToken={}", eves.cookie.clone().unwrap());
    let signup = browser.request(Method::POST, "/signup").header(COOKIE, &cookie);
    let foreign = signup.header(ORIGIN, "https://elsewhere.example");
    browser.send(foreign.json(&Person::named("Mallory").registration())).await;
    eves.session().await.expect(200);
}

async fn what_is_kept_or_cannot_be_shown_goes_on(db: Database) {
    let app = TestApp::on(db).await;
    let (ada, device) = signed_up(&app, "Ada").await;
    let mut keep = ada.credentials();
    keep["keepSession"] = json!(true);
    login_again(&device, &keep, None).await.expect(200);
    login_again(&device, &ada.credentials(), Some("https://evil.example")).await;
    let mut wrong = ada.credentials();
    wrong["password"] = json!("not the password");
    login_again(&device, &wrong, None).await.expect_problem(401, "invalid_credentials");
    device.session().await.expect(200);
}

async fn a_role_has_its_own_numbers(db: Database) {
    let app = Setup::on(db)
        .await
        .set("MAX_SESSIONS_PER_USER_STARTER", 2)
        .set("SESSION_TIMEOUT_MINUTES_STARTER", 30)
        .start()
        .await;
    let (ada, device) = signed_up(&app, "Ada").await;
    let session = device.session().await.expect(200);
    let remaining = session.json["remainingSeconds"].as_u64().unwrap();
    assert!((1700..=1800).contains(&remaining), "{remaining}");
    assert_eq!(device.sessions().await.expect(200).json["maxSessions"], 2);
    app.client().login(&ada).await.expect(200);
    let third = app.client().login(&ada).await.expect(200);
    assert_eq!(third.json["evictedSessionIds"], json!([device.session_id]));
    let config = app.client().get("/config").await.expect(200);
    assert_eq!(config.json["sessionTimeoutMinutes"], 5, "the default is everybody's");
}

async fn remembering_is_the_persons_choice(db: Database) {
    let app = Setup::on(db).await.set("REMEMBER_TIMEOUT_MINUTES", 600).start().await;
    let (ada, _) = signed_up(&app, "Ada").await;
    let config = app.client().get("/config").await.expect(200);
    assert!(config.json["features"].as_array().unwrap().contains(&json!("remember")));
    for (remember, keeps, minutes) in
        [(json!(true), true, 600), (json!(false), false, 5), (json!(null), true, 5)]
    {
        let (mut device, mut body) = (app.client(), ada.credentials());
        body["remember"] = remember.clone();
        let login = device.login_with(&body).await.expect(200);
        assert_eq!(login.set_cookie().unwrap().contains("Max-Age"), keeps, "{remember}");
        let refreshed = device.refresh().await.expect(200);
        assert_eq!(refreshed.set_cookie().unwrap().contains("Max-Age"), keeps, "{remember}");
        let remaining = device.session().await.expect(200).json["remainingSeconds"].as_u64().unwrap();
        assert!((minutes * 60 - 60..=minutes * 60).contains(&remaining), "{remember}: {remaining}");
    }
}
