//! The claim `client_id` (RFC 9068): in every access token, whichever route signs it, or the validators of
//! standard libraries refuse it.

use serde_json::{Value, json};

use crate::support::app::ACCESS_SECRET;
use crate::support::authenticator::{App, Authenticator};
use crate::support::token::Token;
use crate::support::{Answer, Database, Person, Setup};

const ORIGIN: &str = "https://app.example.com";

/// Asserts what a validator of RFC 9068 looks for.
#[track_caller]
fn expect_standard(answer: &Answer, route: &str) {
    assert!(matches!(answer.status, 200 | 201), "{answer}");
    let token = Token::open(answer.json["accessToken"].as_str().unwrap(), ACCESS_SECRET);
    assert_eq!(token.header.typ.as_deref(), Some("at+jwt"), "{route}");
    assert_eq!(token.claims["client_id"], "the-apps", "{route}");
    for claim in ["iss", "exp", "aud", "sub", "iat", "jti", "auth_time", "acr", "amr"] {
        assert_ne!(token.claims[claim], Value::Null, "{claim} of {route}");
    }
}

#[tokio::test]
async fn every_route_that_signs_an_access_token_names_the_client() {
    let setup = Setup::on(Database::Sqlite)
        .await
        .set("SERVICE_NAME", "the-apps")
        .set("JWT_AUDIENCE", "api")
        .set("ENCRYPTION_SECRET", "encryption-secret-of-the-tests-0123456789abcdef")
        .set("WEBAUTHN_RP_ID", "example.com")
        .set("WEBAUTHN_ORIGINS", ORIGIN);
    let app = setup.start().await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    expect_standard(&device.signup(&ada).await, "/signup");
    expect_standard(&device.login(&ada).await, "/login");
    expect_standard(&device.refresh().await, "/refresh");
    let proof = json!({"password": ada.password});
    expect_standard(&device.send_and_keep("/reauthenticate", &proof).await, "/reauthenticate");
    let ada = Person { password: "a much better passphrase".to_owned(), ..ada };
    let change = json!({"currentPassword": "the password of Ada", "newPassword": ada.password});
    expect_standard(&device.send_and_keep("/password/change", &change).await, "/password/change");

    let mut key = Authenticator::synced(ORIGIN);
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    let body = json!({"requestId": options["requestId"], "credential": key.create(&options["publicKey"])});
    device.post("/passkeys", &body).await.expect(201);
    let asked = app.client().post("/passkeys/login/options", &json!({})).await.expect(200).json;
    let body = json!({"loginTicket": asked["loginTicket"], "credential": key.get(&asked["publicKey"])});
    expect_standard(&app.client().post("/login/continue", &body).await, "a passkey");

    let made = device.post("/factors/totp", &json!({})).await.expect(201).json;
    let totp = App::with(made["secret"].as_str().unwrap());
    device.post("/factors/totp/confirm", &json!({"code": totp.code(-1)})).await.expect(200);
    let asked = app.client().login(&ada).await.expect_problem(401, "second_factor_required");
    let body = json!({"loginTicket": asked.json["loginTicket"], "code": totp.code(0)});
    expect_standard(&app.client().post("/login/continue", &body).await, "/login/continue");
}
