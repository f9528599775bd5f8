//! The cookie `refreshToken` and its attributes.

use crate::support::{Database, Person, Setup, TestApp};

/// The attributes of the cookie that a signup sets, in lower case and sorted.
async fn attributes(app: &TestApp) -> Vec<String> {
    let answer = app.client().signup(&Person::named("Ada")).await.expect(201);
    let mut parts: Vec<_> =
        answer.set_cookie().unwrap().split(';').skip(1).map(|part| part.trim().to_lowercase()).collect();
    parts.retain(|part| !part.starts_with("expires="));
    parts.sort();
    parts
}

#[tokio::test]
async fn is_hidden_from_scripts_and_lives_as_long_as_its_token() {
    let app = TestApp::start().await;
    let expected = ["httponly", "max-age=604800", "path=/", "samesite=lax"];
    assert_eq!(attributes(&app).await, expected);
}

#[tokio::test]
async fn its_attributes_are_configured() {
    let app = Setup::on(Database::Sqlite)
        .await
        .set("COOKIE_SECURE", true)
        .set("COOKIE_SAMESITE", "Strict")
        .set("JWT_REFRESH_EXPIRY", "1h")
        .start()
        .await;
    let expected = ["httponly", "max-age=3600", "path=/", "samesite=strict", "secure"];
    assert_eq!(attributes(&app).await, expected);
}

#[tokio::test]
async fn is_secure_in_production() {
    let app = Setup::in_production().await.start().await;
    let expected = ["httponly", "max-age=604800", "path=/", "samesite=lax", "secure"];
    assert_eq!(attributes(&app).await, expected);
}

#[tokio::test]
async fn a_refresh_sets_it_anew_with_the_same_attributes() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201);
    let refresh = ada.refresh().await.expect(200);

    let (first, first_rest) = signup.set_cookie().unwrap().split_once(';').unwrap();
    let (second, second_rest) = refresh.set_cookie().unwrap().split_once(';').unwrap();
    assert_ne!(first, second);
    assert_eq!(first_rest, second_rest);
}
