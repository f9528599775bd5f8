//! Mailed codes: for a new password, a verified address, a changed address, an account.

use serde_json::{Value, json};

use super::mail::with_mail;
use crate::support::answer::members;
use crate::support::smtp::MailServer;
use crate::support::{Client, Database, Person, Setup, TestApp, on_each_database};

on_each_database!(
    a_reset_sets_the_password_and_ends_every_session,
    a_code_is_good_once_and_for_five_tries,
    a_change_of_the_password_voids_codes_and_is_mailed,
    an_address_is_verified,
    an_address_is_changed_once_the_new_one_is_shown,
    a_verified_sign_up_makes_no_account_before_its_mailbox_is_shown,
    names_and_languages_are_changed
);

async fn app_with_mail(database: Database) -> (TestApp, MailServer) {
    let (setup, server) = with_mail(database).await;
    (setup.start().await, server)
}

fn confirmation(asked: &Value, code: &str) -> Value {
    json!({"requestId": asked["requestId"], "code": code})
}

fn reset(asked: &Value, code: &str, password: &str) -> Value {
    let mut body = confirmation(asked, code);
    body["newPassword"] = json!(password);
    body
}

fn other(code: &str) -> String {
    format!("{:08}", (code.parse::<u32>().unwrap() + 1) % 100_000_000)
}

async fn ask_for_reset(client: &Client, email: &str) -> Value {
    client.post("/password/reset", &json!({"email": email})).await.expect(202).json
}

#[track_caller]
fn expect_wrong_code(answer: crate::support::Answer) {
    let answer = answer.expect_problem(422, "validation_failed");
    assert_eq!(answer.fields(), ["code"]);
    assert_eq!(answer.json["errors"][0]["code"], "invalid");
}

async fn a_reset_sets_the_password_and_ends_every_session(database: Database) {
    let (app, server) = app_with_mail(database).await;
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 2).await;
    let asked = ask_for_reset(&app.client(), &ada.email).await;
    let code = server.mail_about(&ada.email, "Set a new password").await.code();

    let client = app.client();
    client.post("/password/reset/confirm", &reset(&asked, &code, "another good one")).await.expect(204);
    for device in &devices {
        device.session().await.expect_problem(401, "session_credentials_changed");
    }
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    let ada = Person { password: "another good one".to_owned(), ..ada };
    let login = app.client().login(&ada).await.expect(200);
    assert_eq!(login.json["user"]["emailVerified"], true);
    server.mail_about(&ada.email, "was changed").await;
    expect_wrong_code(client.post("/password/reset/confirm", &reset(&asked, &code, "yet another one")).await);
}

async fn a_code_is_good_once_and_for_five_tries(database: Database) {
    let (app, server) = app_with_mail(database).await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    let client = app.client();
    let asked = ask_for_reset(&client, &ada.email).await;
    let code = server.mail_about(&ada.email, "Set a new password").await.code();
    let confirm = async |code: &str, password: &str| {
        client.post("/password/reset/confirm", &reset(&asked, code, password)).await
    };
    // An unacceptable password costs no try.
    for _ in 0..6 {
        let answer = confirm(&code, "12345678").await.expect_problem(422, "validation_failed");
        assert_eq!(
            (answer.fields(), &answer.json["errors"][0]["code"]),
            (vec!["newPassword".to_owned()], &json!("too_common"))
        );
        let answer = confirm(&code, "ada@example.com").await.expect_problem(422, "validation_failed");
        assert_eq!(answer.json["errors"][0]["code"], "too_guessable");
    }
    for _ in 0..5 {
        expect_wrong_code(confirm(&other(&code), "another good one").await);
    }
    expect_wrong_code(confirm(&code, "another good one").await);
    app.client().login(&ada).await.expect(200);

    // Somebody without an account, and unknown ids, get the same answer.
    let unknown = ask_for_reset(&client, "nobody@example.com").await;
    assert_eq!(members(&unknown), members(&asked));
    for id in [unknown["requestId"].clone(), json!("nonsense"), json!("0198c1a2-3b4c-7d5e-8f60-718293a4b5c6")]
    {
        let body = json!({"requestId": id, "code": code, "newPassword": "another good one"});
        expect_wrong_code(client.post("/password/reset/confirm", &body).await);
    }
    assert!(server.received("nobody@example.com").is_empty());
}

async fn a_change_of_the_password_voids_codes_and_is_mailed(database: Database) {
    let (app, server) = app_with_mail(database).await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    device.signup(&ada).await.expect(201);
    let asked = ask_for_reset(&device, &ada.email).await;
    let code = server.mail_about(&ada.email, "Set a new password").await.code();
    let change = json!({"currentPassword": ada.password, "newPassword": "another good one"});
    device.post("/password/change", &change).await.expect(200);
    server.mail_about(&ada.email, "was changed").await;
    let body = reset(&asked, &code, "yet another one");
    expect_wrong_code(app.client().post("/password/reset/confirm", &body).await);
}

async fn an_address_is_verified(database: Database) {
    let (app, server) = app_with_mail(database).await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    let signup = device.signup(&ada).await.expect(201);
    assert_eq!(signup.json["user"]["emailVerified"], false);
    let asked = &signup.json["emailVerification"];
    let code = server.mail(&ada.email, 1).await.code();
    expect_wrong_code(device.post("/email/verification/confirm", &confirmation(asked, &other(&code))).await);

    // Somebody else's code is not valid.
    let mut eve = app.client();
    eve.signup(&Person::named("Eve")).await.expect(201);
    expect_wrong_code(eve.post("/email/verification/confirm", &confirmation(asked, &code)).await);

    let verified = device.post("/email/verification/confirm", &confirmation(asked, &code)).await.expect(200);
    assert_eq!(verified.json["user"]["emailVerified"], true);
    device.post("/email/verification", &json!({})).await.expect(204);
    let asked = eve.post("/email/verification", &json!({})).await.expect(202).json;
    let code = server.mail("eve@example.com", 2).await.code();
    eve.post("/email/verification/confirm", &confirmation(&asked, &code)).await.expect(200);
}

async fn an_address_is_changed_once_the_new_one_is_shown(database: Database) {
    let (app, server) = app_with_mail(database).await;
    let (ada, eve) = (Person::named("Ada"), Person::named("Eve"));
    let mut device = app.client();
    device.signup(&ada).await.expect(201);
    app.client().signup(&eve).await.expect(201);
    let change = async |email: &str| device.post("/email/change", &json!({"newEmail": email})).await;
    change(&ada.email).await.expect_problem(422, "validation_failed");

    let asked = change("new@example.com").await.expect(202).json;
    let code = server.mail("new@example.com", 1).await.code();
    let notice = server.mail_about(&ada.email, "is to change").await;
    assert!(notice.text.contains("n…@example.com") && !notice.text.contains("new@example.com"));
    // Until then the account has the old address.
    app.client().login(&ada).await.expect(200);
    let changed = device.post("/email/change/confirm", &confirmation(&asked, &code)).await.expect(200);
    assert_eq!(changed.json["user"]["email"], "new@example.com");
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    let ada = Person { email: "new@example.com".to_owned(), ..ada };
    app.client().login(&ada).await.expect(200);

    // Only its owner is notified that an address is taken.
    let taken = change(&eve.email).await.expect(202).json;
    assert_eq!(members(&taken), members(&asked));
    let told = server.mail_about(&eve.email, "another account").await;
    assert!(!told.text.contains(&ada.email));
}

async fn a_verified_sign_up_makes_no_account_before_its_mailbox_is_shown(database: Database) {
    let (setup, server) = with_mail(database).await;
    let app = setup.set("REQUIRE_VERIFIED_EMAIL", true).start().await;
    let features = app.client().get("/config").await.expect(200).json["features"].clone();
    assert!(features.as_array().unwrap().contains(&json!("verified_email")));
    let ada = Person::named("Ada");
    let asked = app.client().signup(&ada).await.expect(202).json;
    assert_eq!(members(&asked), ["expiresIn", "requestId"]);
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    let code = server.mail(&ada.email, 1).await.code();
    let client = app.client();
    expect_wrong_code(client.post("/signup/confirm", &confirmation(&asked, &other(&code))).await);
    let made = client.post("/signup/confirm", &confirmation(&asked, &code)).await.expect(201);
    assert_eq!(
        (&made.json["user"]["emailVerified"], &made.json["user"]["name"]),
        (&json!(true), &json!("Ada"))
    );
    app.client().login(&ada).await.expect(200);

    // For a known address the response is the same, and its mailbox gets a mail.
    let again = app.client().signup(&ada).await.expect(202).json;
    assert_eq!(members(&again), members(&asked));
    let told = server.mail_about(&ada.email, "already have an account").await;
    assert!(!told.text.contains("requestId"));
}

async fn names_and_languages_are_changed(database: Database) {
    let app = TestApp::on(database).await;
    let mut device = app.client();
    device.signup(&Person::named("Ada")).await.expect(201);
    let patch =
        async |body: Value| device.send(device.request(reqwest::Method::PATCH, "/me").json(&body)).await;
    let changed = patch(json!({"name": " Ada King ", "locale": "de"})).await.expect(200);
    assert_eq!(
        (&changed.json["user"]["name"], &changed.json["user"]["locale"]),
        (&json!("Ada King"), &json!("de"))
    );
    assert_eq!(device.me().await.expect(200).json["user"]["name"], "Ada King");
    let refused =
        patch(json!({"name": "", "locale": "../de"})).await.expect_problem(422, "validation_failed");
    assert_eq!(refused.fields(), ["locale", "name"]);
    patch(json!({})).await.expect(200);
    // What is there already changes nothing.
    let same = patch(json!({"name": "Ada King", "locale": "de"})).await.expect(200);
    assert_eq!(same.json["user"]["updatedAt"], changed.json["user"]["updatedAt"]);
}

#[tokio::test]
async fn verified_sign_ups_need_mail() {
    let setup = Setup::on(Database::Sqlite).await.set("REQUIRE_VERIFIED_EMAIL", true);
    setup.run().await.expect_code(2).expect_output("REQUIRE_VERIFIED_EMAIL");
}
