//! POST `/signup`: a new user, signed in at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::answer::members;
use crate::support::{Database, Person, TestApp, on_each_database, timestamp};

on_each_database!(
    answers_like_login,
    an_email_is_taken_once,
    all_spellings_of_a_domain_are_one_account,
    what_nobody_can_see_is_refused,
    one_of_many_at_once_gets_the_email,
);

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

/// As typed, as browsers send it, and with a combining character.
async fn all_spellings_of_a_domain_are_one_account(db: Database) {
    let app = TestApp::on(db).await;
    let spellings = ["ada@bücher.example", "ada@xn--bcher-kva.example", "Ada@BU\u{308}CHER.example"];
    let somebody = |email: &str| Person { email: email.to_owned(), ..Person::named("Ada") };
    let answer = app.client().signup(&somebody(spellings[0])).await.expect(201);
    assert_eq!(answer.json["user"]["email"], spellings[1]);
    for spelling in spellings {
        app.client().signup(&somebody(spelling)).await.expect_problem(409, "email_taken");
        app.client().login(&somebody(spelling)).await.expect(200);
    }
    let setup = app.setup;
    if db == Database::Postgres {
        setup.command(&["user", "show", spellings[0]]).await.expect_code(0).expect_output(spellings[1]);
        let listed = setup.command(&["user", "list", "--search", spellings[0]]).await.expect_code(0);
        listed.expect_output(spellings[1]);
    }
}

async fn what_nobody_can_see_is_refused(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    for email in ["ada@example.com\u{200b}", "a\u{ad}da@example.com", "ada@exam\u{202e}ple.com"] {
        let mut body = ada.registration();
        body["email"] = json!(email);
        app.client().signup_with(&body).await.expect_problem(422, "validation_failed");
    }
    for unseen in ["\u{200b}", "\u{2800}", "\u{3164}", "\u{202e}", "Ada\u{2066}"] {
        let mut body = ada.registration();
        body["name"] = json!(unseen);
        app.client().signup_with(&body).await.expect_problem(422, "validation_failed");
        let mut body = ada.registration();
        body["deviceName"] = json!(unseen);
        app.client().signup_with(&body).await.expect_problem(422, "validation_failed");
    }
    let mut body = ada.registration();
    body["name"] = json!("نامه\u{200c}ای \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}");
    app.client().signup_with(&body).await.expect(201);
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
