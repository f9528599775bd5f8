//! Requests that an intermediary could read differently: bodies in a content coding, credentials given twice.

use reqwest::{Method, RequestBuilder};

use super::api_keys::with_key;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

const CODINGS: [&str; 5] = ["gzip", "br", "identity, gzip", "GZIP", "x"];
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// What `gzip` writes first.
const GZIPPED: [u8; 13] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3];

#[track_caller]
fn expect_coding_refused(answer: Answer) {
    answer.expect_problem(415, "unsupported_media_type").expect_header("accept-encoding", "identity");
}

#[tokio::test]
async fn a_body_in_a_content_coding_is_refused_and_told_why() {
    let app = TestApp::start().await;
    let client = app.client();
    let body = Person::named("Ada").registration().to_string();
    let post = |coding: &'static str| {
        let request = client.request(Method::POST, "/signup").header("Content-Type", JSON);
        request.header("Content-Encoding", coding)
    };
    for coding in CODINGS {
        expect_coding_refused(client.send(post(coding).body(body.clone())).await);
    }
    expect_coding_refused(client.send(post("gzip").body(GZIPPED.to_vec())).await);
    let text = client.request(Method::POST, "/signup").header("Content-Type", "text/plain");
    let text = client.send(text.body(body.clone())).await.expect(415);
    assert_eq!(text.header("accept-encoding"), None, "{text}");
    client.send(post("Identity").body(body)).await.expect(201);
}

/// Whether the route reads a form, a body that may be missing, or none at all.
#[tokio::test]
async fn no_route_takes_a_body_in_a_content_coding() {
    let setup = Setup::on(Database::Sqlite).await;
    let key = setup.api_key(&["tokens:introspect"]).await;
    let app = setup.start().await;
    let (mut ada, service) = (app.client(), with_key(&app, &key));
    ada.signup(&Person::named("Ada")).await.expect(201);
    let own = "/sessions/018f3f2e-0000-7000-8000-000000000000";
    for (client, method, path, media_type) in [
        (&service, Method::POST, "/introspect", FORM),
        (&service, Method::POST, "/revoke", FORM),
        (&ada, Method::POST, "/refresh", JSON),
        (&ada, Method::POST, "/password/change", JSON),
        (&ada, Method::PATCH, "/me", JSON),
        (&ada, Method::POST, "/activity", JSON),
        (&ada, Method::POST, "/events/ticket", JSON),
        (&ada, Method::DELETE, own, JSON),
        (&ada, Method::POST, "/logout", JSON),
    ] {
        let request = client.request(method.clone(), path).header("Content-Type", media_type);
        let request = request.header("Content-Encoding", "gzip");
        expect_coding_refused(client.send(request.body(GZIPPED.to_vec())).await);
        // A body without an announced length.
        let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(GZIPPED.to_vec())]);
        let request = client.request(method, path).header("Content-Type", media_type);
        let request = request.header("Content-Encoding", "gzip");
        expect_coding_refused(client.send(request.body(reqwest::Body::wrap_stream(chunks))).await);
    }
    // Where there is no body there is nothing to decode; and a gateway tells of another's body.
    for (method, path, status) in
        [(Method::POST, "/verify", 200), (Method::POST, "/activity", 200), (Method::POST, "/logout", 204)]
    {
        let request = ada.request(method, path).header("Content-Encoding", "gzip");
        ada.send(if path == "/verify" { request.body(GZIPPED.to_vec()) } else { request })
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn two_authorization_headers_are_no_request() {
    let setup = Setup::on(Database::Sqlite).await;
    let key = setup.api_key(&["tokens:introspect", "users:read"]).await;
    let app = setup.start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let service = with_key(&app, &key);
    let refused = async |client: &Client, method: Method, path: &str, other: &str| {
        let form = |request: RequestBuilder| match path {
            "/introspect" | "/revoke" => request.header("Content-Type", FORM).body("token=x"),
            _ => request,
        };
        let twice = form(client.request(method, path)).header("Authorization", other);
        client.send(twice).await.expect_problem(400, "invalid_request");
    };
    for (method, path) in [
        (Method::GET, "/me"),
        (Method::POST, "/logout"),
        (Method::GET, "/config"),
        (Method::GET, "/verify"),
        (Method::POST, "/verify/some/where"),
        (Method::GET, "/events"),
        (Method::POST, "/revoke"),
        (Method::GET, "/api/auth/verify"),
    ] {
        refused(&ada, method, path, "Bearer another").await;
    }
    let same = |client: &Client| format!("Bearer {}", client.access.as_ref().unwrap());
    refused(&ada, Method::GET, "/session", &same(&ada)).await;
    refused(&ada, Method::GET, "/verify", &same(&ada)).await;
    for path in ["/introspect", "/admin/users"] {
        let method = if path == "/introspect" { Method::POST } else { Method::GET };
        for other in ["Basic YWtfMDpzZWNyZXQ=", &same(&service), &same(&ada), ""] {
            refused(&service, method.clone(), path, other).await;
        }
    }
    // All of them are good alone.
    ada.session().await.expect(200);
    service.get("/admin/users").await.expect(200);
}
