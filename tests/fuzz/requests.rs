//! What the running program makes of any header, cookie and body, by the byte: an answer that the contract
//! knows, never a server error. Framing is tried in `tests/api`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config as Runs, TestRunner};

use crate::support::{Person, TestApp};

/// Any bytes that may be in the value of a header.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let any_bytes = prop::collection::vec(prop_oneof![Just(9u8), 32..=126u8, 128..=255u8], 0..200);
    let near = prop_oneof![
        "(Bearer|bearer|Basic|DPoP)? ?[A-Za-z0-9_.-]{0,120}",
        "refreshToken=[ -~]{0,120}",
        "[a-z]{0,8}=[ -:<-~]{0,60}; refreshToken=[A-Za-z0-9_.-]{0,60}; refreshToken=[A-Za-z0-9_.-]{0,60}",
        "(application/json|text/plain)[ -~]{0,40}",
    ];
    prop_oneof![any_bytes, near.prop_map(String::into_bytes)]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let json = r#"\{"(email|password|name|deviceName|refreshToken)":("[ -~]{0,40}"|null|\[\]|-?[0-9]{1,30}|\{"a":1\})(,"[a-z]{0,8}":"[ -~]{0,20}")?\}"#;
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        json.prop_map(String::into_bytes),
        "\\PC{0,200}".prop_map(String::into_bytes),
    ]
}

/// Names whose values the service or its framework reads.
const NAMES: &[&str] = &[
    "Authorization",
    "Cookie",
    "User-Agent",
    "Content-Type",
    "Accept",
    "Accept-Encoding",
    "Origin",
    "X-Request-Id",
    "X-Forwarded-For",
    "traceparent",
    "Last-Event-ID",
    "If-None-Match",
    "Range",
];
const ROUTES: &[&str] = &[
    "POST /signup",
    "POST /login",
    "POST /refresh",
    "POST /logout",
    "POST /activity",
    "GET /me",
    "GET /session",
    "GET /sessions",
    "DELETE /sessions/all",
    "DELETE /sessions/x",
    "GET /health",
    "GET /config",
    "GET /.well-known/jwks.json",
    "POST /sessions/ticket",
    "GET /",
];

/// The status line of the answer; nothing where the connection was closed without one.
fn status(address: &str, request: &[u8]) -> Option<u16> {
    let mut line = TcpStream::connect(address).unwrap();
    line.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    line.write_all(request).unwrap();
    let mut answer = Vec::new();
    // It may be reset once it has answered.
    let _ = line.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[tokio::test]
async fn no_header_and_no_body_makes_a_server_error() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let token = ada.access.clone().unwrap();
    let address = app.address().to_owned();
    let trying = tokio::task::spawn_blocking(move || {
        let headers = prop::collection::vec((select(NAMES), header()), 0..6);
        let input = (select(ROUTES), headers, body(), any::<bool>());
        let tried = TestRunner::new(Runs { failure_persistence: None, ..Runs::default() }).run(
            &input,
            |(route, headers, body, signed_in)| {
                let (method, path) = route.split_once(' ').unwrap();
                let mut request =
                    format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n")
                        .into_bytes();
                // The signed-in one does not end the session that the others are tried with.
                if signed_in && method == "GET" {
                    request.extend(format!("Authorization: Bearer {token}\r\n").into_bytes());
                }
                for (name, value) in &headers {
                    request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
                }
                request.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
                request.extend(&body);
                match status(&address, &request) {
                    Some(status @ 200..=499) => {
                        prop_assert!(status != 404 || path.starts_with("/sessions/"), "{route}: {status}");
                    }
                    other => {
                        let request = String::from_utf8_lossy(&request).into_owned();
                        prop_assert!(false, "{other:?} to {request}");
                    }
                }
                Ok(())
            },
        );
        if let Err(failure) = tried {
            panic!("{failure}");
        }
    });
    trying.await.unwrap();
    ada.session().await.expect(200);
}
