//! Every 401 says how to authenticate (RFC 9110, section 15.5.2), and which credential was at fault.

use reqwest::Method;
use serde_json::{Value, json};

use super::api_keys::{introspect, with_key};
use crate::support::authenticator::App;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

/// Nothing was presented that a client should drop.
const PLAIN: &str = "Bearer";
const INVALID: &str = "Bearer error=\"invalid_token\"";
const STALE: &str = "Bearer error=\"insufficient_user_authentication\"";

async fn app() -> TestApp {
    let setup = Setup::on(Database::Sqlite).await;
    let setup = setup.set("ENCRYPTION_SECRET", "encryption-secret-of-the-tests-0123456789abcdef");
    setup.set("WEBAUTHN_RP_ID", "example.com").start().await
}

#[track_caller]
fn expect_challenge(answer: Answer, code: &str, challenge: &str) -> Answer {
    let answer = answer.expect_problem(401, code);
    let told: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(told.len(), 1, "{answer}");
    let told = told[0].to_str().unwrap();
    assert!(told == challenge || challenge != PLAIN && told.starts_with(challenge), "{answer}");
    answer
}

#[tokio::test]
async fn a_refused_login_or_refresh_says_how_to_authenticate() {
    let app = app().await;
    let client = app.client();
    let wrong = json!({"email": "ada@example.com", "password": "wrong"});
    expect_challenge(client.post("/login", &wrong).await, "invalid_credentials", PLAIN);
    expect_challenge(client.post("/refresh", &json!({})).await, "refresh_token_missing", PLAIN);
    for answer in [
        client.post("/refresh", &json!({"refreshToken": "garbage"})).await,
        client.send(client.cookie_refresh("garbage")).await,
    ] {
        expect_challenge(answer, "refresh_token_invalid", INVALID);
    }
    let bad = |path: &str| client.request(Method::GET, path).header("Authorization", "Bearer garbage");
    for path in ["/me", "/verify", "/events", "/admin/users", "/revocations"] {
        expect_challenge(client.send(bad(path)).await, "token_invalid", INVALID);
        expect_challenge(client.get(path).await, "token_missing", PLAIN);
    }
    for ticket in ["", "garbage"] {
        let answer = client.get(&format!("/events?ticket={ticket}")).await;
        expect_challenge(answer, "token_invalid", INVALID);
    }
}

/// A login ticket is no access token: a client must not drop its own on hearing of it.
#[tokio::test]
async fn each_step_of_a_login_says_how_to_authenticate() {
    let app = app().await;
    let (ada, mut device) = (Person::named("Ada"), app.client());
    device.signup(&ada).await.expect(201);
    let totp = device.post("/factors/totp", &json!({})).await.expect(201).json;
    let code = App::with(totp["secret"].as_str().unwrap()).code(-1);
    let mut stale = app.client();
    stale.login(&ada).await.expect(200);
    device.post("/factors/totp/confirm", &json!({"code": code})).await.expect(200);

    let asked = expect_challenge(app.client().login(&ada).await, "second_factor_required", PLAIN);
    let spent: Value = json!({"loginTicket": "garbage", "code": "000000"});
    for path in ["/login/continue", "/passkeys/login/options", "/factors/totp"] {
        expect_challenge(app.client().post(path, &spent).await, "login_ticket_invalid", PLAIN);
    }
    let ticket = &asked.json["loginTicket"];
    let foreign = json!({"loginTicket": ticket, "credential": {
        "id": "AAAA", "rawId": "AAAA", "type": "public-key", "clientExtensionResults": {},
        "response": {"clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA"},
    }});
    let options = app.client().post("/passkeys/login/options", &json!({})).await.expect(200).json;
    let alone = json!({"loginTicket": options["loginTicket"], "credential": foreign["credential"]});
    for body in [&foreign, &alone] {
        let answer = app.client().post("/login/continue", body).await;
        assert_eq!(answer.status, 401, "{answer}");
        let code = answer.code().to_owned();
        expect_challenge(answer, &code, PLAIN);
    }
    for answer in [
        stale.post("/factors/recovery-codes", &json!({})).await,
        stale.send(stale.request(Method::DELETE, "/factors/totp")).await,
    ] {
        let answer = expect_challenge(answer, "fresh_authentication_required", STALE);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("max_age=") && challenge.contains("acr_values=\"aal2\""), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_operator_is_told_how_to_authenticate() {
    let setup = Setup::on(Database::Sqlite).await;
    let key = setup.api_key(&["users:read", "tokens:introspect"]).await;
    setup.command(&["api-keys", "revoke", key.split('_').nth(1).unwrap()]).await.expect_code(0);
    let app = setup.start().await;
    let nobody = app.client();
    let revoked = with_key(&app, &key);
    let mut person = app.client();
    person.signup(&Person::named("Ada")).await.expect(201);
    person.logout().await.expect(204);
    let every = async |client: &Client, code: &str, challenge: &str| {
        for path in ["/admin/users", "/admin/sessions", "/admin/stats", "/admin/live", "/revocations"] {
            expect_challenge(client.get(path).await, code, challenge);
        }
        expect_challenge(introspect(client, "x").await, code, challenge);
    };
    every(&nobody, "token_missing", PLAIN).await;
    every(&revoked, "token_invalid", INVALID).await;
    every(&person, "session_logged_out", INVALID).await;
    let basic = nobody.request(Method::POST, "/introspect").basic_auth("ak_0", Some("x"));
    let basic = basic.header("Content-Type", "application/x-www-form-urlencoded").body("token=x");
    expect_challenge(nobody.send(basic).await, "token_invalid", "");
}
