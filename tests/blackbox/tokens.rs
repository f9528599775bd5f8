//! Access tokens: what is in them, and that only a valid one gives access.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{ACCESS_SECRET, REFRESH_SECRET};
use crate::support::time::unix_seconds;
use crate::support::token::{Token, base64url};
use crate::support::{Client, Database, Person, Setup, TestApp, eventually};

async fn signed_in(app: &TestApp) -> Client {
    let mut client = app.client();
    client.signup(&Person::named("Ada")).await.expect(201);
    client
}

fn opened(client: &Client) -> Token {
    Token::open(client.access.as_ref().unwrap(), ACCESS_SECRET)
}

/// The same device with another access token.
fn with_access(client: &Client, token: String) -> Client {
    let mut client = client.clone();
    client.access = Some(token);
    client
}

#[tokio::test]
async fn an_access_token_says_who_and_which_session() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201);
    let token = opened(&ada);

    assert_eq!(token.header.alg, Algorithm::HS256);
    assert_eq!(token.header.typ.as_deref(), Some("at+jwt"));
    assert!(token.header.kid.is_some_and(|kid| !kid.is_empty()));
    let claims = &token.claims;
    assert_eq!(claims["iss"], "auth-service");
    assert_eq!(claims.get("aud"), None);
    assert_eq!(claims["sub"], signup.json["user"]["id"]);
    assert_eq!(claims["sid"], signup.json["session"]["id"]);
    assert_eq!(claims["role"], "STARTER");
    assert!(claims["stk"].as_str().is_some_and(|token| token.len() >= 16));
    assert!(claims["jti"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!((&claims["acr"], &claims["client_id"]), (&json!("aal1"), &json!("auth-service")));
    assert_eq!(claims["amr"], json!(["pwd"]));
    let (issued, expires) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!((issued - claims["auth_time"].as_i64().unwrap()).abs() <= 1);
    assert_eq!(expires - issued, 900);
    assert!((unix_seconds() - issued).abs() <= 5);

    ada.refresh().await.expect(200);
    let next = opened(&ada).claims;
    assert_ne!(next["jti"], claims["jti"]);
    assert_eq!(next["sid"], claims["sid"]);
    assert_eq!(next["stk"], claims["stk"]);
    for claim in ["auth_time", "amr", "acr", "client_id"] {
        assert_eq!(next[claim], claims[claim], "a refresh changes no proof");
    }
}

#[tokio::test]
async fn a_refresh_token_says_its_generation() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let token = Token::open(ada.cookie.as_ref().unwrap(), REFRESH_SECRET);

    assert_eq!(token.header.typ.as_deref(), Some("refresh+jwt"));
    let claims = &token.claims;
    assert_eq!(claims["sid"], ada.session_id);
    assert!(claims["sub"].as_str().unwrap().parse::<Uuid>().is_ok());
    assert!(claims["gen"].is_u64());
    let lifetime = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 604_800);
    assert_eq!(claims.get("stk"), None);
}

#[tokio::test]
async fn issuer_and_audience_are_configured_and_checked() {
    let app = Setup::on(Database::Sqlite)
        .await
        .set("JWT_ISSUER", "https://auth.example.com")
        .set("JWT_AUDIENCE", "the-shop")
        .start()
        .await;
    let ada = signed_in(&app).await;
    let token = opened(&ada);
    assert_eq!(token.claims["iss"], "https://auth.example.com");
    assert_eq!(token.claims["aud"], "the-shop");
    ada.session().await.expect(200);

    for wrong in
        [token.with("iss", "auth-service"), token.with("aud", "the-bank"), token.with("aud", Value::Null)]
    {
        let bad = with_access(&ada, wrong.sign(ACCESS_SECRET));
        bad.session().await.expect_problem(401, "token_invalid");
    }
}

#[tokio::test]
async fn a_forged_token_is_invalid() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let good = opened(&ada);
    // A valid token signed here shows that those below are refused only for their faults.
    let control = with_access(&ada, good.sign(ACCESS_SECRET));
    control.session().await.expect(200);

    let typ = |typ: Option<&str>| {
        let typ = typ.map(str::to_owned);
        good.with_header(|header| header.typ = typ).sign(ACCESS_SECRET)
    };
    let genuine = ada.access.clone().unwrap();
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let none = serde_json::json!({"alg": "none", "typ": "at+jwt", "kid": good.header.kid}).to_string();
    let admin = base64url(good.with("role", "ADMIN").claims.to_string().as_bytes());
    let forged = [
        ("another secret", good.sign("some other secret that is long enough!!")),
        ("the refresh secret", good.sign(REFRESH_SECRET)),
        ("another algorithm", good.with_header(|h| h.alg = Algorithm::HS512).sign(ACCESS_SECRET)),
        ("no algorithm", format!("{}.{claims}.", base64url(none.as_bytes()))),
        ("no algorithm, old signature", format!("{}.{claims}.{signature}", base64url(none.as_bytes()))),
        ("other claims, old signature", format!("{header}.{admin}.{signature}")),
        ("no signature", format!("{signed}.")),
        ("half a signature", format!("{signed}.{}", &signature[..20])),
        ("plain JWT type", typ(Some("JWT"))),
        ("refresh type", typ(Some("refresh+jwt"))),
        ("no type", typ(None)),
        ("unknown key", good.with_header(|h| h.kid = Some("unknown".to_owned())).sign(ACCESS_SECRET)),
        ("another issuer", good.with("iss", "somebody-else").sign(ACCESS_SECRET)),
        ("no user", good.with("sub", "not-a-uuid").sign(ACCESS_SECRET)),
        ("four parts", format!("{genuine}.x")),
    ];
    for (what, token) in forged {
        let answer = with_access(&ada, token).session().await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (401, Some("token_invalid")),
            "{what}: {answer}"
        );
    }
}

#[tokio::test]
async fn one_kind_of_token_is_never_accepted_as_the_other() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let (access, refresh) = (ada.access.clone().unwrap(), ada.cookie.clone().unwrap());

    let answer = with_access(&ada, refresh.clone()).session().await;
    answer.expect_problem(401, "token_invalid");
    // Not even if it is signed with the key of the other kind.
    let refresh = Token::open(&refresh, REFRESH_SECRET);
    let answer = with_access(&ada, refresh.sign(ACCESS_SECRET)).session().await;
    answer.expect_problem(401, "token_invalid");

    let other_key = opened(&ada).sign(REFRESH_SECRET);
    for token in [access, other_key] {
        let answer = ada.send(ada.body_refresh(&token)).await;
        answer.expect_problem(401, "refresh_token_invalid");
    }
    ada.session().await.expect(200);
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let expired = opened(&ada).with("exp", unix_seconds() - 2).sign(ACCESS_SECRET);

    let answer = with_access(&ada, expired).session().await;
    let answer = answer.expect_problem(401, "token_expired");
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
}

#[tokio::test]
async fn the_lifetime_is_configured_and_has_no_leeway() {
    let setup = Setup::on(Database::Sqlite).await;
    // Its expiry is in whole seconds, so it is valid for up to a second less.
    let app = setup.set("JWT_ACCESS_EXPIRY", "2s").start().await;
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201);
    assert_eq!(signup.json["expiresIn"], 2);

    eventually("the token expires", Duration::from_secs(5), async || {
        let answer = ada.session().await;
        match answer.status {
            401 => Ok(answer.expect_problem(401, "token_expired")),
            _ => Err(answer.expect(200).to_string()),
        }
    })
    .await;
    // The session is still live: a refresh is all that is needed.
    ada.refresh().await.expect(200);
    ada.session().await.expect(200);
}

#[tokio::test]
async fn the_word_bearer_is_read_without_case() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let token = ada.access.clone().unwrap();
    let anonymous = app.client();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = anonymous
            .request(reqwest::Method::GET, "/session")
            .header("Authorization", format!("{scheme} {token}"));
        anonymous.send(request).await.expect(200);
    }
}

#[tokio::test]
async fn the_session_token_is_in_no_answer() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201);
    let secret = opened(&ada).claims["stk"].as_str().unwrap().to_owned();

    let answers = [
        signup,
        ada.me().await,
        ada.session().await,
        ada.sessions().await,
        ada.activity().await,
        ada.refresh().await,
    ];
    for answer in answers {
        assert!(!answer.text.contains(&secret), "{answer}");
    }
}
