//! `POST /password/change` and `POST /reauthenticate`: what a person does to the account while signed in.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::ACCESS_SECRET;
use crate::support::token::Token;
use crate::support::{Client, Database, Person, Setup, TestApp, on_each_database};

on_each_database!(
    a_change_ends_the_others_and_renews_this_one,
    others_may_stay,
    a_wrong_password_changes_nothing,
    no_login_with_the_old_password_survives_a_change,
    a_proof_is_renewed_by_password,
);

const NEW: &str = "a much better passphrase";

fn change_of(person: &Person) -> Value {
    json!({"currentPassword": person.password, "newPassword": NEW})
}

fn with_new_password(person: &Person) -> Person {
    Person { password: NEW.to_owned(), ..person.clone() }
}

async fn signed_up(app: &TestApp) -> (Person, Client) {
    let (ada, mut device) = (Person::named("Ada"), app.client());
    device.signup(&ada).await.expect(201);
    (ada, device)
}

async fn a_change_ends_the_others_and_renews_this_one(db: Database) {
    let app = TestApp::on(db).await;
    let (ada, mut device) = signed_up(&app).await;
    let mut other = app.client();
    other.login_for_body(&ada).await.expect(200);
    let before = device.clone();

    let changed = device.post("/password/change", &change_of(&ada)).await.expect(200);
    assert_eq!((&changed.json["terminated"], &changed.json["tokenType"]), (&json!(1), &json!("Bearer")));
    assert_eq!(changed.json["session"]["id"], device.session_id.as_str());
    assert_eq!(changed.json.get("refreshToken"), None, "login delivered it as a cookie");

    before.session().await.expect_problem(401, "token_invalid");
    let answer = before.send(before.cookie_refresh(before.cookie.as_ref().unwrap())).await;
    answer.expect_problem(401, "refresh_token_invalid");
    other.session().await.expect_problem(401, "session_credentials_changed");
    other.refresh().await.expect_problem(401, "session_credentials_changed");
    // The old refresh token was merely refused, not treated as theft.
    device.access = changed.json["accessToken"].as_str().map(str::to_owned);
    device.session().await.expect(200);
    let cookie = changed.set_cookie().unwrap().split_once(';').unwrap().0;
    device.cookie = Some(cookie.trim_start_matches("refreshToken=").to_owned());
    device.refresh().await.expect(200);

    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    app.client().login(&with_new_password(&ada)).await.expect(200);
}

async fn others_may_stay(db: Database) {
    let app = TestApp::on(db).await;
    let (ada, device) = signed_up(&app).await;
    let mut other = app.client();
    other.login_for_body(&ada).await.expect(200);
    let mut body = change_of(&ada);
    body["endOtherSessions"] = json!(false);
    let changed = other.post("/password/change", &body).await.expect(200);
    assert_eq!(changed.json["terminated"], 0);
    assert!(changed.json["refreshToken"].is_string(), "login delivered it in the body");
    assert_eq!(changed.set_cookie(), None);
    device.session().await.expect(200);
}

async fn a_wrong_password_changes_nothing(db: Database) {
    let app = Setup::on(db)
        .await
        .set("RATE_LIMIT_ENABLED", true)
        .set("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", 3)
        .start()
        .await;
    let (ada, device) = signed_up(&app).await;
    let wrong = json!({"currentPassword": "not the password", "newPassword": NEW});
    device.post("/password/change", &wrong).await.expect_problem(403, "wrong_password");
    let short = json!({"currentPassword": ada.password, "newPassword": "short"});
    device.post("/password/change", &short).await.expect_problem(422, "validation_failed");
    device.post("/password/change", &json!({})).await.expect_problem(422, "validation_failed");
    let wrong = json!({"password": "not the password"});
    device.post("/reauthenticate", &wrong).await.expect_problem(403, "wrong_password");
    device.session().await.expect(200);
    app.client().login(&ada).await.expect(200);
    // They are counted like failed logins.
    device.post("/reauthenticate", &wrong).await.expect_problem(403, "wrong_password");
    device.post("/password/change", &change_of(&ada)).await.expect_problem(429, "rate_limited");
}

async fn no_login_with_the_old_password_survives_a_change(db: Database) {
    let app =
        Setup::on(db).await.set("RATE_LIMIT_ENABLED", false).set("MAX_SESSIONS_PER_USER", 50).start().await;
    let (ada, device) = signed_up(&app).await;
    let logins = (0..12).map(|_| {
        let (mut racer, ada) = (app.client(), ada.clone());
        tokio::spawn(async move {
            let answer = racer.login(&ada).await;
            (answer.status, racer)
        })
    });
    let logins: Vec<_> = logins.collect();
    device.post("/password/change", &change_of(&ada)).await.expect(200);
    for login in logins {
        let (status, racer) = login.await.unwrap();
        assert!(status == 200 || status == 401, "{status}");
        if status == 200 {
            racer.session().await.expect_problem(401, "session_credentials_changed");
        }
    }
}

async fn a_proof_is_renewed_by_password(db: Database) {
    let app = TestApp::on(db).await;
    let (ada, mut device) = signed_up(&app).await;
    let claims = |device: &Client| Token::open(device.access.as_ref().unwrap(), ACCESS_SECRET).claims;
    let before = claims(&device);
    crate::support::eventually("the next second", std::time::Duration::from_secs(5), async || {
        let now = crate::support::time::unix_seconds();
        if now > before["auth_time"].as_i64().unwrap() { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let request = device.request(Method::POST, "/reauthenticate").json(&json!({"password": ada.password}));
    let answer = device.try_exchange(request).await.unwrap().expect(200);
    assert_eq!(answer.json["session"]["id"], device.session_id.as_str());
    let after = claims(&device);
    assert!(after["auth_time"].as_i64() > before["auth_time"].as_i64());
    assert_eq!((&after["amr"], &after["stk"]), (&json!(["pwd"]), &before["stk"]));
    device.refresh().await.expect(200);
    assert_eq!(claims(&device)["auth_time"], after["auth_time"], "a refresh is no proof");
}
