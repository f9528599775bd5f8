//! HTTP as its standards say, where clients, caches and gateways depend on it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, Database, Person, Setup, TestApp, eventually};

/// The service answers well within this.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends bytes on a new connection, and reads until the service closes it.
async fn until_the_end(app: &TestApp, bytes: &[u8]) -> String {
    let mut line = TcpStream::connect(app.address()).await.unwrap();
    // The service may close it before everything is written.
    let _ = line.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, line.read_to_end(&mut answer)).await;
    let _ = read.expect("the service does not end the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn every_get_route_answers_head() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    for path in [
        "/config",
        "/openapi.json",
        "/docs/",
        "/metrics",
        "/health",
        "/health/ready",
        "/.well-known/jwks.json",
        "/me",
        "/session",
        "/sessions",
        "/api/auth/config",
        "/nothing",
    ] {
        let (get, head) = (ada.get(path).await, ada.send(ada.request(Method::HEAD, path)).await);
        assert_eq!(head.status, get.status, "{head}");
        assert_eq!(head.text, "", "{head}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    let head = ada.send(ada.request(Method::HEAD, "/login")).await;
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")), "{head}");
    let put = ada.send(ada.request(Method::PUT, "/config")).await.expect_problem(405, "method_not_allowed");
    assert_eq!(put.header("allow"), Some("GET, HEAD"), "{put}");
}

#[tokio::test]
async fn every_401_says_how_to_authenticate() {
    let app = TestApp::start().await;
    let client = app.client();
    let login = client.post("/login", &json!({"email": "ada@example.com", "password": "wrong"})).await;
    login.expect_problem(401, "invalid_credentials").expect_header("www-authenticate", "Bearer");
    let nothing = client.post("/refresh", &json!({})).await;
    nothing.expect_problem(401, "refresh_token_missing").expect_header("www-authenticate", "Bearer");
    for answer in [
        client.post("/refresh", &json!({"refreshToken": "garbage"})).await,
        client.send(client.cookie_refresh("garbage")).await,
        client.send(client.request(Method::GET, "/me").header("Authorization", "Bearer garbage")).await,
    ] {
        let answer = answer.expect(401);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{answer}");
    }
    client.me().await.expect(401).expect_header("www-authenticate", "Bearer");
}

#[tokio::test]
async fn a_body_in_a_content_coding_is_refused_and_told_why() {
    let app = TestApp::start().await;
    let client = app.client();
    let body = Person::named("Ada").registration().to_string();
    let post = |coding: &'static str| {
        let request = client.request(Method::POST, "/signup").header("Content-Type", "application/json");
        request.header("Content-Encoding", coding)
    };
    for coding in ["gzip", "br", "identity, gzip", "GZIP", "x"] {
        let answer = client.send(post(coding).body(body.clone())).await;
        let answer = answer.expect_problem(415, "unsupported_media_type");
        answer.expect_header("accept-encoding", "identity");
    }
    let gzipped = [0x1f_u8, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3].to_vec();
    client.send(post("gzip").body(gzipped)).await.expect_problem(415, "unsupported_media_type");
    let text = client.request(Method::POST, "/signup").header("Content-Type", "text/plain");
    let text = client.send(text.body(body.clone())).await.expect(415);
    assert_eq!(text.header("accept-encoding"), None, "{text}");
    client.send(post("Identity").body(body)).await.expect(201);
}

#[tokio::test]
async fn two_authorization_headers_are_no_request() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    for (method, path) in [(Method::GET, "/me"), (Method::POST, "/logout"), (Method::GET, "/config")] {
        let twice = ada.request(method, path).header("Authorization", "Bearer another");
        ada.send(twice).await.expect_problem(400, "invalid_request");
    }
    let same = format!("Bearer {}", ada.access.as_ref().unwrap());
    let same = ada.request(Method::GET, "/session").header("Authorization", same);
    ada.send(same).await.expect_problem(400, "invalid_request");
    ada.session().await.expect(200);
}

#[tokio::test]
async fn a_head_over_16_kib_is_431() {
    let app = TestApp::start().await;
    let client = app.client();
    let cookies = |length: usize| {
        client.request(Method::POST, "/refresh").header("Cookie", format!("a={}", "x".repeat(length)))
    };
    client.send(cookies(15_000)).await.expect_problem(401, "refresh_token_missing");
    for length in [16_500, 50_000, 100_000] {
        client.send(cookies(length)).await.expect_problem(431, "header_fields_too_large");
    }
    let target = format!("/config?{}", "x".repeat(17_000));
    client.get(&target).await.expect_problem(431, "header_fields_too_large");
    let many = (0..90).fold(client.request(Method::GET, "/config"), |request, number| {
        request.header(format!("x-header-{number}"), "x".repeat(200))
    });
    client.send(many).await.expect_problem(431, "header_fields_too_large");
}

/// What the library itself refuses is answered like every other error.
#[tokio::test]
async fn what_is_no_http_gets_a_problem_too() {
    let app = TestApp::start().await;
    let too_large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(140_000));
    for (bytes, status, code) in [
        (&b"\x00\r\n\r\n"[..], "400 Bad Request", "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", "bad_request"),
        (
            b"POST /login HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400 Bad Request",
            "bad_request",
        ),
        (too_large.as_bytes(), "431 Request Header Fields Too Large", "header_fields_too_large"),
    ] {
        let answer = until_the_end(&app, bytes).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], code);
        for part in
            ["content-type: application/problem+json", "cache-control: no-store", "x-content-type-options"]
        {
            assert!(head.contains(part), "{part} in {head}");
        }
        assert!(head.contains(&format!("x-request-id: {}", body["requestId"].as_str().unwrap())), "{head}");
    }
    // After a valid request, which is answered first.
    let answer = until_the_end(&app, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n\x00\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"bad_request\""), "{answer}");
}

#[tokio::test]
async fn nothing_is_answered_behind_the_last_answer() {
    let app = TestApp::start().await;
    let last = "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let more = "GET /config HTTP/1.1\r\nHost: a\r\n\r\n";
    for first in [last, "GET /health/live HTTP/1.0\r\nHost: a\r\n\r\n"] {
        let answer = until_the_end(&app, format!("{first}{more}{more}").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{answer}");
        assert!(answer.contains("{\"status\":\"ok\"}"), "{answer}");
    }
    let both = until_the_end(&app, format!("{more}{last}").as_bytes()).await;
    assert_eq!(both.matches("HTTP/1.1 200").count(), 2, "{both}");
}

#[tokio::test]
async fn answers_while_draining_say_that_the_connection_ends() {
    let app = Setup::on(Database::Sqlite).await.set("SHUTDOWN_DRAIN_SECONDS", 5);
    let mut app = app.start().await;
    let client = app.client();
    assert_eq!(client.get("/config").await.expect(200).header("connection"), None);
    app.signal("TERM");
    eventually("it is draining", TIMEOUT, async || {
        let ready = client.get("/health/ready").await;
        if ready.status == 503 { Ok(()) } else { Err(ready.to_string()) }
    })
    .await;
    for (path, status) in [("/config", 200), ("/me", 401), ("/health/live", 200), ("/nothing", 404)] {
        client.get(path).await.expect(status).expect_header("connection", "close");
    }
    app.end().await.expect_code(0);
}

async fn asked_for(client: &Client, path: &str, header: &str, value: &str) -> reqwest::Response {
    let request = client.request(Method::GET, path).header(header, value);
    request.send().await.unwrap()
}

#[tokio::test]
async fn what_is_large_and_no_secret_is_compressed_where_asked() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    for path in ["/openapi.json", "/metrics", "/docs/swagger-ui.css", "/"] {
        let plain = ada.request(Method::GET, path).send().await.unwrap();
        assert_eq!(plain.headers().get("content-encoding"), None, "{path}");
        assert!(plain.headers().get_all("vary").iter().any(|vary| vary == "Accept-Encoding"), "{path}");
        let plain = plain.bytes().await.unwrap();
        let gzip = asked_for(&ada, path, "Accept-Encoding", "br, gzip;q=0.8").await;
        assert_eq!(gzip.headers()["content-encoding"], "gzip", "{path}");
        let gzip = gzip.bytes().await.unwrap();
        assert!(gzip.starts_with(&[0x1f, 0x8b]) && gzip.len() < plain.len() / 2, "{path}: {}", gzip.len());
        let refused = asked_for(&ada, path, "Accept-Encoding", "gzip;q=0, br").await;
        assert_eq!(refused.headers().get("content-encoding"), None, "{path}");
    }
    // The length of a compressed response would leak the tokens.
    for path in ["/sessions", "/me", "/config"] {
        let answer = asked_for(&ada, path, "Accept-Encoding", "gzip").await;
        assert_eq!(answer.headers().get("content-encoding"), None, "{path}");
    }
}

#[tokio::test]
async fn what_does_not_change_is_not_sent_twice() {
    let app = TestApp::start().await;
    let client = app.client();
    for path in ["/openapi.json", "/docs/", "/docs/swagger-ui-bundle.js", "/"] {
        let first = client.request(Method::GET, path).send().await.unwrap();
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = asked_for(&client, path, "If-None-Match", &known).await;
            assert_eq!(again.status(), 304, "{path} with {known}");
            assert_eq!(again.headers()["etag"], tag.as_str());
            assert_eq!(again.bytes().await.unwrap().len(), 0);
        }
        let other = asked_for(&client, path, "If-None-Match", "\"other\"").await;
        assert_eq!(other.status(), 200, "{path}");
    }
}
