//! Members of a body that are as long as the body may be: refused at once, and nothing of them is kept.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::admin_users::operated;
use super::mail::with_mail;
use crate::support::redis::RedisServer;
use crate::support::{Client, Database, Person, Setup, TestApp};

/// Nearly the whole of a body of 16 KiB.
const LONG: usize = 15_000;

fn long_address(number: usize) -> String {
    format!("{number}{}@example.com", "x".repeat(LONG))
}

/// Each with the answer that it gets, whatever the number.
fn oversized(number: usize) -> Vec<(&'static str, Value, u16)> {
    let (address, text) = (long_address(number), format!("{number}{}", "y".repeat(LONG)));
    vec![
        ("/login", json!({"email": address, "password": "long enough"}), 422),
        ("/login", json!({"email": "ada@example.com", "password": text}), 422),
        ("/signup", json!({"name": "Ada", "email": address, "password": "long enough"}), 422),
        ("/signup", json!({"name": text, "email": "a@example.com", "password": "long enough"}), 422),
        ("/password/reset", json!({"email": address}), 422),
        (
            "/password/reset/confirm",
            json!({"requestId": text, "code": "00000000", "newPassword": "a good one!"}),
            422,
        ),
        (
            "/password/reset/confirm",
            json!({"requestId": "0198c1a2-3b4d-7a10-9c2b-5d6e7f809112", "code": text, "newPassword": "a good one!"}),
            422,
        ),
        ("/login/continue", json!({"loginTicket": text, "code": "000000"}), 401),
        ("/passkeys/login/options", json!({"loginTicket": text}), 401),
        ("/factors/totp", json!({"loginTicket": text}), 401),
        ("/refresh", json!({"refreshToken": text}), 401),
    ]
}

async fn mailing() -> (TestApp, Client) {
    let (setup, _) = with_mail(Database::Sqlite).await;
    operated(setup.set("RATE_LIMIT_ENABLED", false)).await
}

#[tokio::test]
async fn what_is_far_too_long_is_refused_wherever_it_stands() {
    let (app, operator) = mailing().await;
    let client = app.client();
    for (path, body, status) in oversized(0) {
        client.post(path, &body).await.expect(status);
    }
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let change = json!({"newEmail": long_address(0)});
    ada.post("/email/change", &change).await.expect_problem(422, "validation_failed");
    let new = json!({"name": "Eve", "email": long_address(0)});
    operator.post("/admin/users", &new).await.expect_problem(422, "validation_failed");
    // The longest address is 254 bytes.
    let longest = |length: usize| format!("{}@example.com", "x".repeat(length - "@example.com".len()));
    for (length, status) in [(254, 401), (255, 422)] {
        let body = json!({"email": longest(length), "password": "long enough"});
        client.post("/login", &body).await.expect(status);
    }
}

/// 770 refusals of 15 KB each are 11 MB.
#[tokio::test]
async fn nothing_of_it_stays_in_memory() {
    let (app, _) = mailing().await;
    let client = app.client();
    let round = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let asks = oversized(number).into_iter().map(|(path, body, _)| {
                let client = client.clone();
                async move { client.post(path, &body).await }
            });
            join_all(asks).await;
        }
    };
    round(0..10).await;
    let before = app.resident_memory();
    round(10..80).await;
    let grown = app.resident_memory().saturating_sub(before);
    assert!(grown < 6 << 20, "{grown} bytes more");
}

#[tokio::test]
#[ignore = "needs Redis: run ./scripts/test"]
async fn keys_of_counters_are_short_and_tell_no_address() {
    let redis = RedisServer::start().await;
    let (setup, _) = with_mail(Database::Sqlite).await;
    let setup = setup.set("REDIS_URL", format!("redis://{}", redis.address()));
    let app = setup.set("RATE_LIMIT_ENABLED", true).start().await;
    let client = app.client();
    client.clone().signup(&Person::named("Ada")).await.expect(201);
    let longest = format!("{}@{}{}.com", "x".repeat(64), format!("{}.", "x".repeat(60)).repeat(3), "b");
    assert!((245..=254).contains(&longest.len()), "{}", longest.len());
    for email in [longest.as_str(), "ada@example.com"] {
        client.post("/login", &json!({"email": email, "password": "wrong one"})).await.expect(401);
        client.post("/password/reset", &json!({"email": email})).await.expect(202);
    }
    for (path, body, _) in oversized(0) {
        client.post(path, &body).await;
    }
    let keys = redis.keys(0).await;
    assert!(keys.iter().filter(|key| key.starts_with("auth:rate:")).count() >= 4, "{keys:?}");
    for key in keys {
        assert!(key.len() < 100 && !key.contains('@') && !key.contains("xxx"), "{key}");
    }
}

#[tokio::test]
async fn a_command_refuses_it_too() {
    let setup = Setup::on(Database::Sqlite).await;
    setup.command(&["migrate"]).await.expect_code(0);
    let address = long_address(0);
    let words = ["user", "create", &address, "--name", "Ada"];
    setup.command_with_input(&words, "the password of Ada\n").await.expect_code(1);
}
