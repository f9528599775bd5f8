//! The error table: every way a request can be wrong, and the single format of the response.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::support::{Client, Person, TestApp};

/// Largest body, in bytes.
const BODY_LIMIT: usize = 16 * 1024;

/// Routes that take a body, and routes that take a token and no body.
const PUBLIC_POSTS: [&str; 3] = ["/signup", "/login", "/refresh"];
const PROTECTED: [(Method, &str); 7] = [
    (Method::GET, "/me"),
    (Method::GET, "/session"),
    (Method::GET, "/sessions"),
    (Method::POST, "/logout"),
    (Method::POST, "/activity"),
    (Method::DELETE, "/sessions/all"),
    (Method::DELETE, "/sessions/018f3f2e-0000-7000-8000-000000000000"),
];

fn post(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    client.request(Method::POST, path).header(CONTENT_TYPE, "application/json").body(body)
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_invalid() {
    let app = TestApp::start().await;
    let client = app.client();
    let bodies: [&[u8]; 8] =
        [b"", b"{", b"[]", b"\"text\"", b"12", b"{\"email\":}", b"{} {}", b"{\"email\":\"\xff\"}"];
    for path in ["/signup", "/login"] {
        for body in bodies {
            let answer = client.send(post(&client, path, body)).await;
            answer.expect_problem(400, "invalid_json");
        }
    }
    let answer = client.send(post(&client, "/refresh", "{")).await;
    answer.expect_problem(400, "invalid_json");
}

#[tokio::test]
async fn a_member_of_the_wrong_type_is_invalid() {
    let app = TestApp::start().await;
    let client = app.client();
    let wrong: [(&str, &str, Value); 8] = [
        ("/signup", "name", json!(1)),
        ("/signup", "email", json!(["a@example.com"])),
        ("/signup", "password", json!({"a": 1})),
        ("/signup", "deviceName", json!(true)),
        ("/login", "email", json!(false)),
        ("/login", "password", json!(12_345_678)),
        ("/login", "refreshTokenDelivery", json!(1)),
        ("/refresh", "refreshToken", json!(1)),
    ];
    for (path, member, value) in wrong {
        let mut body = Person::named("Ada").registration();
        body[member] = value;
        client.post(path, &body).await.expect_problem(400, "invalid_json");
    }
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_too_large() {
    let app = TestApp::start().await;
    let client = app.client();
    let padded = |size: usize| {
        let frame = json!({"email": "ada@example.com", "password": "long enough", "padding": ""}).to_string();
        frame.replace("\"padding\":\"\"", &format!("\"padding\":\"{}\"", "x".repeat(size - frame.len())))
    };
    assert_eq!(padded(BODY_LIMIT).len(), BODY_LIMIT);

    let answer = client.send(post(&client, "/login", padded(BODY_LIMIT))).await;
    answer.expect_problem(401, "invalid_credentials");
    for path in PUBLIC_POSTS {
        let answer = client.send(post(&client, path, padded(BODY_LIMIT + 1))).await;
        answer.expect_problem(413, "body_too_large");
    }
    // A chunked body does not announce its length.
    let chunks = (0..20).map(|_| Ok::<_, std::io::Error>("x".repeat(1024)));
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let answer = client.send(post(&client, "/login", stream)).await;
    answer.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn a_body_that_is_not_told_to_be_json_is_unsupported() {
    let app = TestApp::start().await;
    let client = app.client();
    let body = json!({"email": "ada@example.com", "password": "long enough"}).to_string();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let request = client.request(Method::POST, "/login").header(CONTENT_TYPE, media_type);
        let answer = client.send(request.body(body.clone())).await;
        answer.expect_problem(415, "unsupported_media_type");
    }
    let untold = client.request(Method::POST, "/login").body(body.clone());
    let answer = client.send(untold).await;
    answer.expect_problem(415, "unsupported_media_type");

    let told = client.request(Method::POST, "/login").header(CONTENT_TYPE, "Application/JSON; charset=utf-8");
    let answer = client.send(told.body(body)).await;
    answer.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let app = TestApp::start().await;
    let client = app.client();
    for path in ["/nothing", "/login/", "/api", "/api/auth", "/api/auth/nothing", "/sessions/a/b", "/%00"] {
        client.get(path).await.expect_problem(404, "not_found");
        client.post(path, &json!({})).await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = TestApp::start().await;
    let client = app.client();
    let wrong = [
        (Method::GET, "/login", "POST"),
        (Method::PUT, "/signup", "POST"),
        (Method::GET, "/refresh", "POST"),
        (Method::PUT, "/me", "PATCH"),
        (Method::POST, "/config", "GET"),
        (Method::POST, "/sessions", "GET"),
        (Method::GET, "/sessions/all", "DELETE"),
        (Method::PATCH, "/sessions/018f3f2e-0000-7000-8000-000000000000", "DELETE"),
        (Method::POST, "/health", "GET"),
        (Method::POST, "/metrics", "GET"),
        (Method::DELETE, "/openapi.json", "GET"),
    ];
    for (method, path, right) in wrong {
        for prefix in ["", "/api/auth"] {
            let request = client.request(method.clone(), &format!("{prefix}{path}"));
            let answer = client.send(request).await.expect_problem(405, "method_not_allowed");
            let allowed: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
            assert!(allowed.contains(&right), "{answer}");
            assert!(!allowed.contains(&method.as_str()), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_request_without_a_token_is_challenged_with_no_error() {
    let app = TestApp::start().await;
    let client = app.client();
    for (method, path) in PROTECTED {
        let answer = client.send(client.request(method, path)).await;
        let answer = answer.expect_problem(401, "token_missing");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        assert!(!challenge.contains("error"), "{challenge}");
    }
}

#[tokio::test]
async fn a_request_with_a_bad_token_is_challenged_with_invalid_token() {
    let app = TestApp::start().await;
    let mut client = app.client();
    client.access = Some("not.a.token".to_owned());
    for (method, path) in PROTECTED {
        let answer = client.send(client.request(method, path)).await;
        let answer = answer.expect_problem(401, "token_invalid");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
    }
}

#[tokio::test]
async fn a_sane_request_id_comes_back_and_another_is_replaced() {
    let app = TestApp::start().await;
    let client = app.client();
    let ask = async |id: HeaderValue| {
        let request = client.request(Method::GET, "/nothing").header("x-request-id", id);
        let answer = client.send(request).await.expect_problem(404, "not_found");
        answer.header("x-request-id").unwrap().to_owned()
    };

    for sane in ["018f3f2e-5b7a-7c1d-8000-00155d012345", "req-42"] {
        assert_eq!(ask(HeaderValue::from_static(sane)).await, sane);
    }
    let long = "x".repeat(1_000);
    let insane: [&[u8]; 5] = [b"", b"two words", b"<script>", b"caf\xe9", long.as_bytes()];
    for id in insane {
        let given = ask(HeaderValue::from_bytes(id).unwrap()).await;
        assert_ne!(given.as_bytes(), id);
        assert!((8..=128).contains(&given.len()), "{given}");
    }
}

#[tokio::test]
async fn each_request_gets_an_id_of_its_own() {
    let app = TestApp::start().await;
    let client = app.client();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = client.get("/health/live").await.expect(200);
        assert!(seen.insert(answer.header("x-request-id").unwrap().to_owned()));
    }
}
