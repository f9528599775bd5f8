//! The log: every line reads alone, and none holds what must not leave the service.

use reqwest::Method;
use serde_json::Value;

use crate::support::{Database, Person, Setup, TestApp};

/// Everything a person gave or got that is nobody else's business.
async fn live_a_little(app: &TestApp) -> Vec<String> {
    let ada = Person::named("Ada");
    let mut device = app.client();
    device.signup(&ada).await.expect(201);
    let mut secrets = vec![ada.email.clone(), ada.password.clone()];
    secrets.extend(device.access.clone());
    secrets.extend(device.cookie.clone());

    let wrong = serde_json::json!({"email": ada.email, "password": "a wrong password"});
    device.post("/login", &wrong).await.expect(401);
    device.post("/signup", &ada.registration()).await.expect(409);
    device.refresh().await.expect(200);
    secrets.extend(device.cookie.clone());
    device.session().await.expect(200);
    device.logout().await.expect(204);
    secrets.push("a wrong password".to_owned());
    secrets
}

#[tokio::test]
async fn holds_no_secret_even_when_it_tells_everything() {
    let setup = Setup::on(Database::Sqlite).await.set("LOG_LEVEL", "debug");
    let mut app = setup.start().await;
    let secrets = live_a_little(&app).await;
    let log = app.terminate().await.expect_code(0).output;
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret:?} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_line_is_one_object_and_names_its_request() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let request = client
        .request(Method::POST, "/logout")
        .header("x-request-id", "018f3f2e-5b7a-7c1d-8000-00155d012345");
    client.send(request).await.expect(401);

    let log = app.terminate().await.expect_code(0).output;
    for line in log.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "no JSON object: {line}");
    }
    assert!(log.contains("018f3f2e-5b7a-7c1d-8000-00155d012345"), "{log}");
}
