//! POST `/signup`: a new user, signed in at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::answer::members;
use crate::support::{Database, Person, TestApp, on_each_database, timestamp};

on_each_database!(answers_like_login, an_email_is_taken_once, one_of_many_at_once_gets_the_email);

async fn answers_like_login(db: Database) {
    let app = TestApp::on(db).await;
    let mut ada = app.client();
    let answer = ada
        .signup_with(&json!({
            "name": "  Ada Lovelace ", "email": " Ada@Example.COM ", "password": "analytical engine",
            "deviceName": "Ada's desk", "somethingUnknown": [1, 2],
        }))
        .await
        .expect(201);

    let names = ["accessToken", "evictedSessionIds", "expiresIn", "session", "tokenType", "user"];
    assert_eq!(members(&answer.json), names);
    assert_eq!(answer.json["tokenType"], "Bearer");
    assert_eq!(answer.json["expiresIn"], 900);
    assert_eq!(answer.json["evictedSessionIds"], json!([]));
    assert!(answer.set_cookie().is_some());

    let user = &answer.json["user"];
    let names = [
        "createdAt",
        "email",
        "emailVerified",
        "emailVerifiedAt",
        "id",
        "lastActivityAt",
        "name",
        "role",
        "updatedAt",
    ];
    assert_eq!(members(user), names);
    assert_eq!(user["name"], "Ada Lovelace");
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["role"], "STARTER");
    answer.uuid("/user/id");
    for time in ["createdAt", "updatedAt", "lastActivityAt"] {
        timestamp(&user[time]);
    }
    assert_eq!(answer.json["session"]["deviceInfo"]["name"], "Ada's desk");
    assert_eq!(answer.json["session"]["current"], true);

    ada.session().await.expect(200);
}

#[tokio::test]
async fn the_refresh_token_comes_in_the_body_when_asked() {
    let app = TestApp::start().await;
    let mut body = Person::named("Ada").registration();
    body["refreshTokenDelivery"] = json!("body");
    let answer = app.client().signup_with(&body).await.expect(201);

    assert!(answer.json["refreshToken"].is_string());
    assert_eq!(answer.set_cookie(), None);
}

async fn an_email_is_taken_once(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);

    for email in ["ada@example.com", "ADA@example.com", "  Ada@Example.Com\t"] {
        let mut body = ada.registration();
        body["email"] = json!(email);
        app.client().signup_with(&body).await.expect_problem(409, "email_taken");
    }
}

async fn one_of_many_at_once_gets_the_email(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let answers = join_all((0..12).map(async |_| app.client().signup(&ada).await)).await;

    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.expect_problem(409, "email_taken");
    }
}

#[tokio::test]
async fn the_password_is_in_no_answer() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    for answer in [device.signup(&ada).await, device.me().await, device.login(&ada).await] {
        assert!(!answer.text.contains(&ada.password), "{answer}");
        assert!(!answer.text.to_lowercase().contains("password"), "{answer}");
        assert_ne!(answer.json["user"], Value::Null);
    }
}
