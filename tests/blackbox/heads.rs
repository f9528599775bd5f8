//! HEAD: every route that answers GET answers it alike, without the body.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::api_keys::with_key;
use super::http_standards::until_the_end;
use crate::support::metrics::Metrics;
use crate::support::{Client, Database, Person, Setup, TestApp};

/// Pages, which the document leaves out.
const PAGES: [&str; 5] = ["/", "/reset-password", "/admin", "/docs/", "/docs/swagger-ui.css"];
/// Headers that differ from one response to the next, or say how the body is framed.
const OWN: [&str; 6] =
    ["connection", "content-length", "date", "ratelimit-reset", "transfer-encoding", "x-request-id"];

/// With everything on that has a GET route, and a key for operators.
async fn app() -> (TestApp, Client) {
    let setup = Setup::on(Database::Sqlite)
        .await
        .set("ENCRYPTION_SECRET", "encryption-secret-of-the-tests-0123456789abcdef")
        .set("APP_URL", "https://app.example.com")
        .set("JWT_ISSUER", "https://auth.example.com");
    let key = setup.api_key(&["users:read", "sessions:read", "sessions:end", "tokens:introspect"]).await;
    let app = setup.start().await;
    let operator = with_key(&app, &key);
    (app, operator)
}

/// Every GET route of the document, with ids of that user.
fn documented(document: &Value, user: &str) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    let gets = paths.filter(|(_, methods)| methods.get("get").is_some());
    gets.map(|(path, _)| path.replace("{id}", user).replace("{path}", "some/where")).collect()
}

/// Status and headers of the response to HEAD, behind which no byte may follow.
async fn head(app: &TestApp, client: &Client, path: &str, more: &str) -> (u16, HeaderMap) {
    let token = client.access.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n{}{more}\r\n", token.unwrap_or_default());
    let answer = until_the_end(app, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer}"));
    assert_eq!(body, "", "HEAD {path} has a body: {answer}");
    let (status, lines) = head.split_once("\r\n").unwrap();
    let headers = lines.lines().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    });
    (status.split(' ').nth(1).unwrap().parse().unwrap(), headers.collect())
}

fn without_its_own(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[tokio::test]
async fn every_get_route_answers_head() {
    let (app, operator) = app().await;
    let mut ada = app.client();
    let user = ada.signup(&Person::named("Ada")).await.expect(201).uuid("/user/id").to_string();
    let document = app.client().get("/openapi.json").await.expect(200).json;
    let paths = documented(&document, &user);
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths.iter().map(String::as_str).chain(PAGES) {
        let mut answered = false;
        for (number, client) in [&app.client(), &ada, &operator].into_iter().enumerate() {
            let path = if number == 1 { format!("/api/auth{path}") } else { path.to_owned() };
            // Streams have no end: only what is in front of the body is read.
            let get = client.request(Method::GET, &path).send().await.unwrap();
            let (status, headers) = head(&app, client, &path, "Connection: close\r\n").await;
            assert_eq!(status, get.status().as_u16(), "HEAD {path}");
            assert_eq!(without_its_own(&headers), without_its_own(get.headers()), "HEAD {path}");
            // A socket needs a handshake; this user has no key.
            answered |= matches!(status, 200 | 426);
        }
        assert!(answered, "nobody may GET {path}");
    }
}

#[tokio::test]
async fn head_opens_no_socket() {
    let (app, _) = app().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (status, headers) = head(&app, &ada, "/ws", handshake).await;
    assert_eq!((status, &headers["upgrade"]), (426, &HeaderValue::from_static("websocket")));
    let metrics = Metrics::read(&ada).await;
    assert_eq!(metrics.value("auth_connected_devices{transport=\"websocket\"}"), 0.0);
}

#[tokio::test]
async fn what_has_no_get_has_no_head() {
    let (app, _) = app().await;
    let client = app.client();
    for path in ["/login", "/introspect", "/passkeys"] {
        let (status, headers) = head(&app, &client, path, "Connection: close\r\n").await;
        assert_eq!((status, &headers["allow"]), (405, &HeaderValue::from_static("POST")), "{path}");
    }
    assert_eq!(head(&app, &client, "/nothing", "Connection: close\r\n").await.0, 404);
    let put = client.send(client.request(Method::PUT, "/config")).await;
    put.expect_problem(405, "method_not_allowed").expect_header("allow", "GET, HEAD");
}
