//! Every endpoint is served at `/` and again under `/api/auth`, and both are the same.

use reqwest::Method;

use crate::support::{Person, TestApp};

#[tokio::test]
async fn a_whole_round_works_under_the_prefix() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    let mut device = app.client().under("/api/auth");
    device.signup(&ada).await.expect(201);
    device.login(&ada).await.expect(200);
    device.refresh().await.expect(200);
    device.me().await.expect(200);
    device.session().await.expect(200);
    assert_eq!(device.sessions().await.expect(200).json["total"], 2);
    device.activity().await.expect(200);
    device.terminate_others().await.expect(200);
    device.terminate("not-a-uuid").await.expect_problem(404, "session_not_found");
    device.logout().await.expect(204).expect_cookie_cleared();
    device.session().await.expect_problem(401, "session_logged_out");
}

#[tokio::test]
async fn what_needs_no_token_is_there_too() {
    let app = TestApp::start().await;
    let (plain, prefixed) = (app.client(), app.client().under("/api/auth"));
    for path in ["/config", "/openapi.json", "/.well-known/jwks.json"] {
        let (one, other) = (plain.get(path).await.expect(200), prefixed.get(path).await.expect(200));
        assert_eq!(one.json, other.json, "{path}");
    }
    for path in ["/health", "/health/live", "/health/ready", "/metrics", "/docs/"] {
        prefixed.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn a_token_is_good_on_both() {
    let app = TestApp::start().await;
    let mut device = app.client();
    device.signup(&Person::named("Ada")).await.expect(201);
    let mut device = device.under("/api/auth");
    device.session().await.expect(200);
    device.refresh().await.expect(200);
    device.under("").session().await.expect(200);
}

#[tokio::test]
async fn both_know_the_same_wrong_methods() {
    let app = TestApp::start().await;
    for prefix in ["", "/api/auth"] {
        let client = app.client().under(prefix);
        let answer = client.send(client.request(Method::GET, "/login")).await;
        let answer = answer.expect_problem(405, "method_not_allowed");
        assert!(answer.header("allow").unwrap().contains("POST"), "{answer}");
    }
}
