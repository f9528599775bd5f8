//! New passwords that are refused: common ones, those derived from a name, those known from a breach.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Client, Database, Setup, TestApp};

fn registration(password: &str) -> Value {
    json!({"name": "Ada Lovelace", "email": "ada.lovelace@example.com", "password": password})
}

async fn refusal(client: &Client, password: &str) -> String {
    let answer = client.post("/signup", &registration(password)).await;
    let answer = answer.expect_problem(422, "validation_failed");
    assert_eq!(answer.fields(), ["password"]);
    answer.json["errors"][0]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn common_and_guessable_ones_are_refused_and_others_are_not() {
    let setup = Setup::on(Database::Sqlite).await.set("PASSWORD_CONTEXT_WORDS", "Acme");
    let app = setup.start().await;
    let client = app.client();
    for common in ["12345678", "Password", "iloveyou", "QWERTYUIOP"] {
        assert_eq!(refusal(&client, common).await, "too_common", "{common}");
    }
    for guessable in ["adalovelace1", "ada.lovelace", "Lovelace1815", "auth-service1", "acme2026"] {
        assert_eq!(refusal(&client, guessable).await, "too_guessable", "{guessable}");
    }
    client.post("/signup", &registration("lovelace and engines")).await.expect(201);
    let metrics = client.get("/metrics").await.expect(200).text;
    assert!(metrics.contains("auth_passwords_refused_total{reason=\"too_common\"} 4"), "{metrics}");
}

#[tokio::test]
async fn the_least_length_is_told_and_held_to() {
    let app = Setup::on(Database::Sqlite).await.set("PASSWORD_MIN_LENGTH", 15).start().await;
    let client = app.client();
    assert_eq!(client.get("/config").await.expect(200).json["passwordMinLength"], 15);
    assert_eq!(refusal(&client, "fourteen chars").await, "too_short");
    client.post("/signup", &registration("fifteen chars !")).await.expect(201);
}

#[tokio::test]
async fn operators_are_held_to_the_same_rules() {
    let setup = Setup::on(Database::Sqlite).await;
    setup.command(&["migrate"]).await.expect_code(0);
    let arguments = ["user", "create", "ada@example.com", "--name", "Ada"];
    setup.command_with_input(&arguments, "12345678\n").await.expect_code(1).expect_output("most common");
    setup.command_with_input(&arguments, "a horse, correct\n").await.expect_code(0);
}

/// Answers every request with that body, after a delay.
pub(super) async fn breach_list(body: &'static str, after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/range", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                assert!(head.starts_with("GET /range/") && head.to_lowercase().contains("add-padding: true"));
                tokio::time::sleep(after).await;
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    url
}

/// SHA-1 of `a known password`, without its first 5 digits, is the second line.
const RANGE: &str = "003D68EB55068C33ACE09247EE4C639306B:3\r\nE453CADD057839D4883F1508F6261881B74:42\r\n";

async fn with_list(body: &'static str, after: Duration) -> TestApp {
    let url = breach_list(body, after).await;
    Setup::on(Database::Sqlite).await.set("PASSWORD_BREACH_URL", url).start().await
}

#[tokio::test]
async fn those_known_from_a_breach_are_refused_and_a_silent_list_refuses_none() {
    let app = with_list(RANGE, Duration::ZERO).await;
    assert_eq!(refusal(&app.client(), "a known password").await, "breached");
    app.client().post("/signup", &registration("an unknown password")).await.expect(201);

    let app = with_list(RANGE, Duration::from_secs(60)).await;
    app.client().post("/signup", &registration("a known password")).await.expect(201);
    let metrics = app.client().get("/metrics").await.expect(200).text;
    assert!(metrics.contains("auth_password_breach_list_failures_total 1"), "{metrics}");
}
