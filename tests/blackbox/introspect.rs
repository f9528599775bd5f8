//! `/introspect` (RFC 7662): the response about a token matches the response to a protected request with it.

use reqwest::Method;
use serde_json::json;

use super::api_keys::{introspect, with_key};
use crate::support::app::ACCESS_SECRET;
use crate::support::token::Token;
use crate::support::{Database, Person, Setup, on_each_database};

on_each_database!(a_good_token_is_told_and_an_ended_one_is_not);

async fn a_good_token_is_told_and_an_ended_one_is_not(db: Database) {
    let setup = Setup::on(db).await.set("JWT_AUDIENCE", "api");
    let key = setup.api_key(&["tokens:introspect"]).await;
    let app = setup.start().await;
    let service = with_key(&app, &key);
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201);
    let token = ada.access.clone().unwrap();
    let claims = Token::open(&token, ACCESS_SECRET).claims;
    let told = introspect(&service, &token).await.expect(200).json;
    assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("Bearer")));
    for claim in
        ["sub", "sid", "role", "iss", "aud", "iat", "exp", "jti", "client_id", "auth_time", "acr", "amr"]
    {
        assert!(!claims[claim].is_null(), "the token has no {claim}");
        assert_eq!(told[claim], claims[claim], "{claim}");
    }
    assert_eq!(told["sub"], signup.json["user"]["id"]);
    assert!(told["stk"].is_null(), "the session token was disclosed: {told}");

    // Introspection is not activity, and does not count towards the person's limit.
    let before = ada.session().await.expect(200).json;
    introspect(&service, &token).await.expect(200);
    assert_eq!(ada.session().await.expect(200).json["session"], before["session"]);

    ada.logout().await.expect(204);
    assert_eq!(introspect(&service, &token).await.expect(200).json, json!({"active": false}));
}

#[tokio::test]
async fn what_no_protected_request_may_carry_is_not_active() {
    let setup = Setup::on(Database::Sqlite).await;
    let key = setup.api_key(&["tokens:introspect"]).await;
    let app = setup.start().await;
    let service = with_key(&app, &key);
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let good = Token::open(ada.access.as_ref().unwrap(), ACCESS_SECRET);
    let expired = good.with("exp", 1).sign(ACCESS_SECRET);
    let foreign = good.with("iss", "somebody else").sign(ACCESS_SECRET);
    let unbound = good.with("stk", "0198c1a2-3b4d-4a10-9c2b-5d6e7f809112").sign(ACCESS_SECRET);
    let forged = good.sign("another secret of thirty-two bytes and more");
    let refresh = ada.cookie.clone().unwrap();
    for bad in ["nonsense", &key, &expired, &foreign, &unbound, &forged, &refresh] {
        assert_eq!(introspect(&service, bad).await.expect(200).json, json!({"active": false}), "{bad}");
    }
    introspect(&service, "").await.expect_problem(400, "invalid_request");
    let json = service.post("/introspect", &json!({"token": "x"})).await;
    json.expect_problem(415, "unsupported_media_type");
    service.get("/introspect").await.expect_problem(405, "method_not_allowed");
}

/// Standard clients send id and secret as HTTP Basic.
#[tokio::test]
async fn the_key_may_come_as_basic() {
    let setup = Setup::on(Database::Sqlite).await;
    let key = setup.api_key(&["tokens:introspect"]).await;
    let other = setup.api_key(&["users:read"]).await;
    let app = setup.start().await;
    let ask = async |id: &str, secret: &str| {
        let request = app.client().request(Method::POST, "/introspect").basic_auth(id, Some(secret));
        let form = request.header("Content-Type", "application/x-www-form-urlencoded").body("token=x");
        app.client().send(form).await
    };
    let parts = |key: &str| {
        let (id, secret) = key.trim_start_matches("ak_").split_once('_').unwrap();
        (id.to_owned(), secret.to_owned())
    };
    let ((id, secret), (other_id, other_secret)) = (parts(&key), parts(&other));
    ask(&id, &secret).await.expect(200);
    ask(&format!("ak_{id}"), &secret).await.expect(200);
    for (id, secret) in [(&id, &other_secret), (&other_id, &secret), (&id, &String::new())] {
        ask(id, secret).await.expect_problem(401, "token_invalid");
    }
    ask(&other_id, &other_secret).await.expect_problem(403, "insufficient_scope");
}

#[tokio::test]
async fn where_it_cannot_be_known_nothing_is_said() {
    let setup = Setup::on(Database::Sqlite).await;
    let key = setup.api_key(&["tokens:introspect"]).await;
    let mut app = setup.start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let token = ada.access.clone().unwrap();
    // After a restart no user is in memory, and the table is missing.
    app.restart().await;
    let url = format!("sqlite:{}", app.setup.sqlite_file().display());
    crate::support::database::execute(&url, "ALTER TABLE sessions RENAME TO away").await.unwrap();
    introspect(&with_key(&app, &key), &token).await.expect_problem(503, "unavailable");
}
