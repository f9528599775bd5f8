//! HTTP as its standards say, where clients, caches and gateways depend on it.

use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, Database, Person, Setup, TestApp, eventually};

/// The service answers well within this.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends bytes on a new connection, and reads until the service closes it.
pub(super) async fn until_the_end(app: &TestApp, bytes: &[u8]) -> String {
    let mut line = TcpStream::connect(app.address()).await.unwrap();
    // The service may close it before everything is written.
    let _ = line.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, line.read_to_end(&mut answer)).await;
    let _ = read.expect("the service does not end the connection");
    String::from_utf8_lossy(&answer).into_owned()
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
        // A body without a length, as some proxies pass it on.
        (
            b"POST /login HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\n\r\n{\"email\":\"a\"}",
            "400 Bad Request",
            "bad_request",
        ),
        (b"POST /refresh HTTP/1.0\r\n\r\n", "400 Bad Request", "bad_request"),
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
    // The next connection is served.
    app.client().get("/health/live").await.expect(200);
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
    let body = serde_json::json!({"email": "ada@example.com", "password": "wrong one"});
    for (path, status) in [("/login", 401), ("/api/auth/login", 401), ("/refresh", 401), ("/logout", 401)] {
        client.post(path, &body).await.expect(status).expect_header("connection", "close");
    }
    // What is pipelined behind such an answer is left for the next connection (RFC 9112, section 9.6).
    let two = "GET /config HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let answer = until_the_end(&app, two.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    app.end().await.expect_code(0);
}

/// As load balancers look at a service that they have not been told a path of.
#[tokio::test]
async fn a_load_balancers_look_without_a_path_gets_a_whole_answer() {
    let app = TestApp::start().await;
    for (request, status) in [
        ("OPTIONS / HTTP/1.0\r\n", 405),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", 405),
        ("OPTIONS /health HTTP/1.0\r\n", 405),
        ("OPTIONS /api/auth/health/ready HTTP/1.0\r\n", 405),
        ("HEAD / HTTP/1.0\r\n", 200),
        ("HEAD /health/ready HTTP/1.0\r\n", 200),
        ("GET /health/ready HTTP/1.0\r\n", 200),
        ("GET /api/auth/health/live HTTP/1.0\r\nUser-Agent: probe\r\n", 200),
    ] {
        let answer = until_the_end(&app, format!("{request}\r\n").as_bytes()).await;
        assert_eq!(answer.split(' ').nth(1), Some(status.to_string().as_str()), "{request}: {answer}");
        if status == 405 {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            for part in ["allow: GET, HEAD", "content-type: application/problem+json", "x-request-id: "] {
                assert!(head.contains(part), "no {part} in {answer}");
            }
            assert!(body.contains("\"method_not_allowed\""), "{answer}");
        }
    }
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
    for path in ["/session", "/sessions", "/me", "/me/export", "/config", "/.well-known/jwks.json"] {
        let answer = asked_for(&ada, path, "Accept-Encoding", "gzip").await;
        assert_eq!(answer.headers().get("content-encoding"), None, "{path}");
    }
    let (bob, eve) = (Person::named("Bob"), Person::named("Eve"));
    app.client().signup(&bob).await.expect(201);
    let token = serde_json::json!({"token": "x"});
    let refresh = serde_json::json!({"refreshToken": ada.cookie});
    for (path, body, status) in [
        ("/signup", eve.registration(), 201),
        ("/login", bob.credentials(), 200),
        ("/refresh", refresh, 200),
        ("/events/ticket", token, 201),
    ] {
        let request = ada.request(Method::POST, path).header("Accept-Encoding", "gzip").json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers().get("content-encoding")),
            (status, None),
            "{path}"
        );
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
