//! Sign-up in a role that must have a second factor: the account exists, but no session is opened before the
//! factor is set up.

use serde_json::json;

use super::mail::with_mail;
use crate::support::authenticator::App;
use crate::support::{Answer, Database, Person, Setup, TestApp, on_each_database};

on_each_database!(a_sign_up_goes_on_as_a_login_would, a_confirmed_sign_up_goes_on_as_well);

const SECRET: &str = "encryption-secret-of-the-tests-0123456789abcdef";

async fn setup(db: Database) -> Setup {
    Setup::on(db).await.set("ENCRYPTION_SECRET", SECRET).set("SECOND_FACTOR_ROLES", "STARTER")
}

/// Asserts that the person must set up a second factor and is not signed in; returns the ticket.
#[track_caller]
fn ticket(answer: &Answer) -> &str {
    assert_eq!((answer.status, answer.code()), (403, "second_factor_enrolment_required"), "{answer}");
    let methods = answer.json["methods"].as_array().unwrap();
    assert!(methods.contains(&json!("totp")) && answer.json["expiresIn"] == 600, "{answer}");
    assert!(answer.set_cookie().is_none(), "{answer}");
    for never in ["accessToken", "refreshToken", "session"] {
        assert!(answer.json.get(never).is_none(), "{answer}");
    }
    answer.json["loginTicket"].as_str().unwrap()
}

async fn enrol(app: &TestApp, ticket: &str) -> Answer {
    let made = app.client().post("/factors/totp", &json!({"loginTicket": ticket})).await.expect(201);
    let totp = App::with(made.json["secret"].as_str().unwrap());
    let body = json!({"loginTicket": ticket, "code": totp.code(0)});
    let mut device = app.client();
    let answer = device.send_and_keep("/login/continue", &body).await.expect(200);
    assert_eq!(answer.json["recoveryCodes"].as_array().unwrap().len(), 10);
    assert_eq!(device.claims()["acr"], "aal2");
    device.me().await.expect(200);
    assert_eq!(device.sessions().await.expect(200).json["total"], 1);
    answer
}

async fn a_sign_up_goes_on_as_a_login_would(db: Database) {
    let app = setup(db).await.start().await;
    let ada = Person::named("Ada");
    let mut body = ada.registration();
    body["deviceName"] = json!("Ada's desk");
    body["refreshTokenDelivery"] = json!("body");
    let asked = app.client().signup_with(&body).await;
    let first = ticket(&asked).to_owned();
    app.client().signup(&ada).await.expect_problem(409, "email_taken");
    // A person who has lost the ticket logs in.
    ticket(&app.client().login(&ada).await);

    let signed_in = enrol(&app, &first).await;
    assert_eq!(signed_in.json["session"]["deviceInfo"]["name"], "Ada's desk");
    assert!(signed_in.json["refreshToken"].is_string() && signed_in.set_cookie().is_none(), "{signed_in}");
    app.client().login(&ada).await.expect_problem(401, "second_factor_required");
}

async fn a_confirmed_sign_up_goes_on_as_well(db: Database) {
    let (setup, server) = with_mail(db).await;
    let setup = setup.set("SECOND_FACTOR_ROLES", "STARTER");
    let app = setup.set("REQUIRE_VERIFIED_EMAIL", true).start().await;
    let ada = Person::named("Ada");
    let asked = app.client().signup(&ada).await.expect(202).json;
    let code = server.mail(&ada.email, 1).await.code();
    let body = json!({"requestId": asked["requestId"], "code": code});
    let confirmed = app.client().post("/signup/confirm", &body).await;
    let signed_in = enrol(&app, ticket(&confirmed)).await;
    assert_eq!(signed_in.json["user"]["emailVerified"], true);
}

/// What cannot be stored must not leave a session behind whose person has no codes.
#[tokio::test]
async fn no_session_opens_without_its_recovery_codes() {
    let app = setup(Database::Sqlite).await.start().await;
    let ada = Person::named("Ada");
    let asked = app.client().signup(&ada).await;
    let ticket = ticket(&asked);
    let made = app.client().post("/factors/totp", &json!({"loginTicket": ticket})).await.expect(201);
    let totp = App::with(made.json["secret"].as_str().unwrap());
    let refuse = "BEFORE INSERT ON recovery_codes BEGIN SELECT RAISE(ABORT, 'refused'); END";
    app.execute(&format!("CREATE TRIGGER refuse {refuse}")).await;
    let body = json!({"loginTicket": ticket, "code": totp.code(0)});
    app.client().post("/login/continue", &body).await.expect_problem(503, "unavailable");
    assert_eq!(app.count("SELECT COUNT(*) FROM sessions").await, 0);
}
