//! Audit lines say who and from where, and contain nothing that names a person or an address.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::admin_users::operated;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until there are that many audit lines of an act, and returns them.
async fn lines(app: &TestApp, act: &str, count: usize) -> Vec<Value> {
    eventually(act, TIMEOUT, async || {
        let logs = app.logs();
        let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found: Vec<_> = lines.filter(|line| line["act"] == act).collect();
        if found.len() >= count { Ok(found) } else { Err(logs) }
    })
    .await
}

async fn behind_a_proxy() -> TestApp {
    let setup = Setup::on(Database::Sqlite).await.set("TRUSTED_PROXIES", "127.0.0.0/8");
    setup.set("RATE_LIMIT_ENABLED", true).set("RATE_LIMIT_LOGIN_PER_MINUTE", 6).start().await
}

async fn login_from(client: &mut Client, address: &str, email: &str, password: &str) -> u16 {
    let body = serde_json::json!({"email": email, "password": password});
    let request = client.request(Method::POST, "/login").header("X-Forwarded-For", address).json(&body);
    client.try_exchange(request).await.unwrap().status
}

#[tokio::test]
async fn failed_logins_of_one_account_are_told_from_those_of_many() {
    let app = behind_a_proxy().await;
    let mut client = app.client();
    for (address, email) in [
        ("203.0.113.7", "ada@example.com"),
        ("203.0.113.200", "ADA@example.com"),
        ("198.51.100.1", "ada@example.com"),
        ("2001:db8:1::1", "bob@example.com"),
        ("2001:db8:1:ffff::9", "eve@example.com"),
    ] {
        assert_eq!(login_from(&mut client, address, email, "wrong").await, 401);
    }
    let told = lines(&app, "login.failed", 5).await;
    let of = |name: &str| -> Vec<String> {
        told.iter()
            .map(|line| line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}")).to_owned())
            .collect()
    };
    let (accounts, networks) = (of("account"), of("network"));
    assert!(accounts[0] == accounts[1] && accounts[1] == accounts[2], "{accounts:?}");
    assert!(accounts[3] != accounts[0] && accounts[4] != accounts[3], "{accounts:?}");
    assert!(networks[0] == networks[1] && networks[1] != networks[2], "{networks:?}");
    assert!(networks[3] == networks[4] && networks[3] != networks[0], "{networks:?}");
    assert!(told.iter().all(|line| line["request_id"].is_string()), "{told:?}");
    let logs = app.logs();
    for personal in ["example.com", "203.0.113", "198.51.100", "2001:db8"] {
        assert!(!logs.contains(personal), "{personal} in {logs}");
    }
}

#[tokio::test]
async fn a_limit_is_told_once_a_window_with_whose_it_is() {
    let app = behind_a_proxy().await;
    let mut client = app.client();
    let mut last = 0;
    for _ in 0..20 {
        last = login_from(&mut client, "203.0.113.7", "ada@example.com", "wrong").await;
    }
    assert_eq!(last, 429);
    let told = lines(&app, "rate_limit.hit", 1).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["limit"], "login");
    let failed = lines(&app, "login.failed", 6).await;
    assert_eq!((failed.len(), &told[0]["network"]), (6, &failed[0]["network"]));
    // Another client has another key.
    for _ in 0..20 {
        last = login_from(&mut client, "198.51.100.1", "ada@example.com", "wrong").await;
    }
    assert_eq!(last, 429);
    assert_eq!(lines(&app, "rate_limit.hit", 2).await.len(), 2);
    assert_eq!(
        app.client()
            .get("/metrics")
            .await
            .text
            .matches("auth_rate_limited_total{limit=\"login\"} 28")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_login_and_what_ends_a_session_name_user_session_and_request() {
    let setup = Setup::on(Database::Sqlite).await.set("REFRESH_REUSE_GRACE_SECONDS", 0);
    let app = setup.set("MAX_SESSIONS_PER_USER", 2).start().await;
    let mut devices = app.devices(&Person::named("Ada"), 2).await;
    let second = devices.remove(1);
    let mut first = devices.remove(0);
    let created = lines(&app, "account.created", 1).await;
    assert!(created[0]["user_id"].is_string() && created[0]["network"].is_string(), "{created:?}");
    let logged_in = lines(&app, "login.succeeded", 1).await;
    assert_eq!(logged_in[0]["session_id"], second.session_id);
    assert!(logged_in[0]["network"].is_string() && logged_in[0]["request_id"].is_string(), "{logged_in:?}");

    first.terminate(&second.session_id).await.expect(204);
    let ended = lines(&app, "session.terminated", 1).await;
    assert_eq!(
        (&ended[0]["by"], &ended[0]["cause"]),
        (&first.session_id.clone().into(), &"Terminate".into())
    );
    assert!(ended[0]["request_id"].is_string(), "{ended:?}");
    assert_eq!(ended[0]["network"], logged_in[0]["network"], "{ended:?}");

    let stolen = first.cookie.clone().unwrap();
    first.refresh().await.expect(200);
    first.refresh().await.expect(200);
    first.send(first.cookie_refresh(&stolen)).await.expect_problem(401, "refresh_token_reused");
    let reused = lines(&app, "refresh_token.reused", 1).await;
    assert_eq!(
        (&reused[0]["session_id"], &reused[0]["cause"]),
        (&first.session_id.into(), &"RotateRefresh".into())
    );
    assert!(reused[0]["network"].is_string() && reused[0]["request_id"].is_string(), "{reused:?}");
}

/// What an operator does says who did it and from where, and so does a limit that somebody runs into.
#[tokio::test]
async fn an_operators_acts_and_limits_say_who_and_from_where() {
    let setup = Setup::on(Database::Sqlite).await.set("RATE_LIMIT_ADMIN_PER_MINUTE", 6);
    let setup = setup.set("RATE_LIMIT_API_PER_MINUTE", 5).set("RATE_LIMIT_ENABLED", true);
    let setup = setup.set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c");
    let (app, operator) = operated(setup).await;
    let mut ada = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let id = ada.me().await.expect(200).json["user"]["id"].as_str().unwrap().to_owned();
    operator.post(&format!("/admin/users/{id}/password-reset"), &json!({})).await.expect(202);
    let end = operator.request(Method::DELETE, &format!("/admin/users/{id}/sessions"));
    operator.send(end).await.expect(200);
    let disable = operator.request(Method::PATCH, &format!("/admin/users/{id}"));
    operator.send(disable.header("If-Match", "*").json(&json!({"disabled": true}))).await.expect(200);
    for act in ["code.mailed", "session.terminated", "account.disabled"] {
        let told = lines(&app, act, 1).await.remove(0);
        assert_eq!(told["user_id"], id.as_str(), "{told}");
        for who_and_where in ["by", "network", "request_id"] {
            assert!(told[who_and_where].is_string(), "no {who_and_where} in {told}");
        }
        assert!(act != "session.terminated" || told["cause"] == "operator", "{told}");
    }
    while operator.get("/admin/users").await.status != 429 {}
    let told = lines(&app, "rate_limit.hit", 1).await.remove(0);
    assert!(told["key_id"].is_string() && told["network"].is_string(), "{told}");
    let eve = app.devices(&Person::named("Eve"), 1).await.remove(0);
    while eve.session().await.status != 429 {}
    let told = lines(&app, "rate_limit.hit", 2).await.remove(1);
    assert!(told["user_id"].is_string() && told["network"].is_string(), "{told}");
    ada.refresh().await.expect(401);
}

/// Audit lines of the command line have no request id: no request caused them.
#[tokio::test]
async fn what_the_command_line_ends_says_so() {
    let mut app = TestApp::start().await;
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 3).await;
    app.terminate().await.expect_code(0);
    let id = devices[0].session_id.as_str();
    for (command, count) in [
        (&["sessions", "end", ada.email.as_str(), id] as &[&str], 1),
        (&["user", "disable", ada.email.as_str()], 2),
    ] {
        let ended = app.setup.command(command).await.expect_code(0);
        let lines = ended.output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told: Vec<_> = lines.filter(|line| line["act"] == "session.terminated").collect();
        assert_eq!(told.len(), count, "{}", ended.output);
        for line in told {
            assert_eq!((&line["by"], &line["cause"]), (&json!("command_line"), &json!("command_line")));
            assert!(line["session_id"].is_string() && line["user_id"].is_string(), "{line}");
        }
    }
}

/// Refreshes are limited by session.
#[tokio::test]
async fn a_limit_of_a_session_says_whose_it_is() {
    let setup = Setup::on(Database::Sqlite).await.set("RATE_LIMIT_ENABLED", true);
    let app = setup.set("RATE_LIMIT_REFRESH_PER_MINUTE", 3).start().await;
    let mut ada = app.devices(&Person::named("Ada"), 1).await.remove(0);
    while ada.refresh().await.status != 429 {}
    let told = lines(&app, "rate_limit.hit", 1).await.remove(0);
    assert_eq!((&told["limit"], &told["session_id"]), (&json!("refresh"), &json!(ada.session_id)));
    assert!(told["network"].is_string() && told["request_id"].is_string(), "{told}");
}
