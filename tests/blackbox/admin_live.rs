//! `/admin/stats` and `/admin/live`: what an operator can watch, and what is never shown.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use super::admin_users::operated;
use crate::support::answer::members;
use crate::support::{Client, Database, Person, Setup, eventually, on_each_database};

on_each_database!(the_numbers_are_of_now, what_happens_is_seen_without_addresses);

async fn the_numbers_are_of_now(db: Database) {
    let (app, operator) = operated(Setup::on(db).await).await;
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 2).await;
    app.client()
        .login_with(&serde_json::json!({"email": ada.email, "password": "wrong password"}))
        .await
        .expect(401);
    let told = eventually("the numbers are those", Duration::from_secs(12), async || {
        let told = operator.get("/admin/stats").await.expect(200).json;
        let numbers = ["liveSessions", "liveUsers", "users", "logins1m", "failures1m", "nodes"];
        if numbers.map(|name| told[name].as_i64()) == [2, 1, 1, 2, 1, 1].map(Some) {
            Ok(told)
        } else {
            Err(told.to_string())
        }
    })
    .await;
    assert_eq!(
        members(&told),
        ["at", "devicesConnected", "failures1m", "liveSessions", "liveUsers", "logins1m", "nodes", "users"]
    );
    drop(devices);
}

/// The messages of a stream until one is found.
async fn until(operator: &Client, found: impl Fn(&Value) -> bool, act: impl AsyncFn(usize)) -> Vec<Value> {
    let answer = operator.request(reqwest::Method::GET, "/admin/live").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let (mut stream, mut text, mut messages) = (answer.bytes_stream(), String::new(), Vec::new());
    let reading = async {
        while let Some(chunk) = stream.next().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
            while let Some((line, rest)) = text.split_once("\n\n") {
                if let Some(data) = line.strip_prefix("data: ") {
                    messages.push(serde_json::from_str::<Value>(data).unwrap());
                }
                text = rest.to_owned();
                act(messages.len()).await;
                if messages.last().is_some_and(&found) {
                    return;
                }
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), reading).await.is_ok();
    assert!(in_time, "not seen among {messages:?}");
    messages
}

async fn what_happens_is_seen_without_addresses(db: Database) {
    let (app, operator) = operated(Setup::on(db).await).await;
    let seen = until(
        &operator,
        |message| message["type"] == "session.created",
        async |count| {
            if count == 2 {
                app.client().signup(&Person::named("Ada")).await.expect(201);
            }
        },
    )
    .await;
    assert_eq!((&seen[0]["type"], &seen[0]["skipped"]), (&"stats".into(), &0.into()));
    let kinds: Vec<_> = seen.iter().map(|message| message["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"user.registered"), "{kinds:?}");
    let text = format!("{seen:?}");
    assert!(
        !text.contains("example.com") && !text.contains("127.0.0.1") && !text.contains("targetSessionToken"),
        "{text}"
    );
    assert!(seen.last().unwrap()["deviceInfo"].is_object(), "{text}");
}

/// Anybody who reaches the page may load it; its data is protected.
#[tokio::test]
async fn there_is_a_page_that_loads_nothing_from_elsewhere() {
    let app = Setup::on(Database::Sqlite).await.start().await;
    let get = async |path: &str| reqwest::get(format!("{}{path}", app.base())).await.unwrap();
    let page = get("/admin").await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    let text = page.text().await.unwrap();
    let links = text.split(['"', '\'']).filter(|part| part.starts_with("/admin/assets/"));
    let mut found = 0;
    for link in links {
        assert_eq!(get(link).await.status(), 200, "{link}");
        found += 1;
    }
    assert_eq!(found, 2, "{text}");
    assert!(!text.contains("http"), "{text}");
    assert_eq!(get("/admin/assets/nothing.js").await.status(), 404);
}

/// When a key expires, its stream ends.
#[tokio::test]
async fn the_stream_ends_with_its_key() {
    let setup = Setup::on(Database::Sqlite).await;
    setup.command(&["migrate"]).await.expect_code(0);
    let create = ["api-keys", "create", "--scope", "sessions:read", "--expires", "5s"];
    let key = setup.key_of(&create).await;
    let app = setup.start().await;
    let operator = super::api_keys::with_key(&app, &key);
    let messages = until(&operator, |_| false, async |_| {}).await;
    assert!(!messages.is_empty());
    operator.get("/admin/stats").await.expect_problem(401, "token_expired");
}
