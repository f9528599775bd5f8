//! POST `/login`: credentials in exchange for a session, on as many devices as the limit allows.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

use crate::support::answer::members;
use crate::support::{Database, Person, Setup, TestApp, milliseconds, on_each_database};

const FIREFOX_ON_LINUX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const SAFARI_ON_IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
                                (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

on_each_database!(opens_a_session, a_second_device_leaves_the_first_alone);

async fn opens_a_session(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);

    let mut laptop = app.client().with_user_agent(FIREFOX_ON_LINUX);
    let mut body = ada.credentials();
    body["email"] = json!("  ADA@example.com ");
    body["deviceName"] = json!("Laptop");
    let answer = laptop.login_with(&body).await.expect(200);

    let names = ["accessToken", "evictedSessionIds", "expiresIn", "session", "tokenType", "user"];
    assert_eq!(members(&answer.json), names);
    let session = &answer.json["session"];
    let names = [
        "createdAt",
        "current",
        "deviceInfo",
        "expiresAt",
        "id",
        "idleExpiresAt",
        "ipAddress",
        "lastActivity",
    ];
    assert_eq!(members(session), names);
    answer.uuid("/session/id");
    assert_eq!(session["ipAddress"], "127.0.0.1");
    assert_eq!(session["current"], true);
    assert_eq!(session["lastActivity"], session["createdAt"]);
    assert_eq!(milliseconds(&session["createdAt"], &session["expiresAt"]), 168 * 3_600_000);
    assert_eq!(milliseconds(&session["lastActivity"], &session["idleExpiresAt"]), 5 * 60_000);

    let device = &session["deviceInfo"];
    assert_eq!(members(device), ["browser", "deviceType", "name", "os", "userAgent"]);
    assert_eq!(device["name"], "Laptop");
    assert_eq!(device["userAgent"], FIREFOX_ON_LINUX);
    assert!(device["browser"].as_str().unwrap().contains("Firefox"), "{device}");
    assert!(device["os"].as_str().unwrap().contains("Linux"), "{device}");
}

#[tokio::test]
async fn devices_are_told_apart() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);

    let desk = app.client().with_user_agent(FIREFOX_ON_LINUX).login(&ada).await.expect(200);
    let phone = app.client().with_user_agent(SAFARI_ON_IPHONE).login(&ada).await.expect(200);
    let silent = app.client().login(&ada).await.expect(200);

    let device_type = |answer: &crate::support::Answer| {
        let device_type = &answer.json["session"]["deviceInfo"]["deviceType"];
        device_type.as_str().unwrap().to_owned()
    };
    assert_ne!(device_type(&desk), device_type(&phone));
    let browser = &phone.json["session"]["deviceInfo"]["browser"];
    assert!(browser.as_str().unwrap().contains("Safari"), "{phone}");
    // A client without a User-Agent is a device too.
    assert!(silent.json["session"]["deviceInfo"].is_object());
    // A device without a name of its own gets a readable one.
    assert_ne!(desk.json["session"]["deviceInfo"]["name"], "");
}

async fn a_second_device_leaves_the_first_alone(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);

    assert_ne!(first.session_id, second.session_id);
    first.session().await.expect(200);
    second.session().await.expect(200);
}

#[tokio::test]
async fn an_unknown_email_and_a_wrong_password_look_alike() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);

    let login = async |email: &str| {
        let body = json!({"email": email, "password": "not the password"});
        let answer = app.client().post("/login", &body).await;
        answer.expect_problem(401, "invalid_credentials")
    };
    let mut wrong = login("ada@example.com").await;
    let mut unknown = login("nobody@example.com").await;

    assert_eq!(wrong.header("www-authenticate"), unknown.header("www-authenticate"));
    for answer in [&mut wrong, &mut unknown] {
        answer.json["requestId"] = json!("");
    }
    assert_eq!(wrong.json, unknown.json);
}

/// The CPU time that refused logins cost the service: unlike the elapsed time, it does not depend on what
/// else the machine does.
async fn cost_of_logins(app: &TestApp, email: &str) -> Duration {
    let before = app.cpu_time();
    for _ in 0..12 {
        let body = json!({"email": email, "password": "not the password"});
        app.client().post("/login", &body).await.expect(401);
    }
    app.cpu_time() - before
}

#[tokio::test]
async fn an_unknown_email_costs_as_much_as_a_wrong_password() {
    // A cost at which hashing is by far the longest part of a login.
    let app = Setup::on(Database::Sqlite).await.set("BCRYPT_COST", 10).start().await;
    app.client().signup(&Person::named("Ada")).await.expect(201);

    let wrong = cost_of_logins(&app, "ada@example.com").await;
    let unknown = cost_of_logins(&app, "nobody@example.com").await;
    let ratio = unknown.as_secs_f64() / wrong.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "unknown {unknown:?}, wrong {wrong:?}");
}

#[tokio::test]
async fn the_address_of_a_client_is_believed_only_from_trusted_proxies() {
    for (trusted, seen) in [(None, "127.0.0.1"), (Some("127.0.0.0/8, ::1/128"), "203.0.113.9")] {
        let mut setup = Setup::on(Database::Sqlite).await;
        if let Some(proxies) = trusted {
            setup = setup.set("TRUSTED_PROXIES", proxies);
        }
        let app = setup.start().await;
        let client = app.client();
        let request = client
            .request(Method::POST, "/signup")
            .header("X-Forwarded-For", "203.0.113.9")
            .json(&Person::named("Ada").registration());
        let answer = client.send(request).await.expect(201);
        assert_eq!(answer.json["session"]["ipAddress"], seen);
    }
}

#[tokio::test]
async fn what_a_client_has_written_before_the_proxy_is_not_even_text() {
    let app = Setup::on(Database::Sqlite).await.set("TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    for (number, lines) in [
        &[&b"caf\xe9, 203.0.113.7"[..]][..],
        &[b"caf\xe9", b"203.0.113.7"],
        &[b"198.51.100.1", b"\xff, 203.0.113.7, 127.0.0.5"],
    ]
    .into_iter()
    .enumerate()
    {
        let client = app.client();
        let mut request = client.request(Method::POST, "/signup");
        for line in lines {
            request = request.header("X-Forwarded-For", HeaderValue::from_bytes(line).unwrap());
        }
        let person = Person::named(&format!("Ada{number}"));
        let answer = client.send(request.json(&person.registration())).await.expect(201);
        assert_eq!(answer.json["session"]["ipAddress"], "203.0.113.7", "{lines:?}");
    }
}

/// Windows 11 calls itself Windows 10; only a client hint tells. Programs have names too.
#[tokio::test]
async fn what_a_device_runs_is_told_by_hints_and_by_names() {
    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/126.0.0.0 Safari/537.36";
    let long = format!("{CHROME} {}", "x".repeat(3_000));
    let app = Setup::on(Database::Sqlite).await.set("MAX_SESSIONS_PER_USER", 20).start().await;
    let ada = Person::named("Ada");
    let mut watcher = app.client();
    watcher.signup(&ada).await.expect(201);
    for (agent, hints, member, told) in [
        (CHROME, Some(("\"Windows\"", "\"13.0.0\"")), "os", "Windows 11"),
        (CHROME, Some(("\"Windows\"", "\"10.0.0\"")), "os", "Windows 10"),
        (CHROME, Some(("\"macOS\"", "\"14.5.0\"")), "os", "Windows 10"),
        (CHROME, None, "os", "Windows 10"),
        (&long, None, "os", "Windows 10"),
        ("axios/1.7.2", None, "browser", "axios"),
        ("Dart/3.5 (dart:io)", None, "browser", "Dart"),
        ("okhttp/4.12.0", None, "browser", "OkHttp"),
        ("PostmanRuntime/7.39.0", None, "browser", "Postman"),
    ] {
        let device = app.client().with_user_agent(agent);
        let mut request = device.request(Method::POST, "/login").json(&ada.credentials());
        if let Some((platform, version)) = hints {
            request = request.header("Sec-CH-UA-Platform", platform);
            request = request.header("Sec-CH-UA-Platform-Version", version);
        }
        let id = device.send(request).await.expect(200).uuid("/session/id").to_string();
        let listed = watcher.sessions().await.expect(200);
        let sessions = listed.json["sessions"].as_array().unwrap();
        let shown = &sessions.iter().find(|session| session["id"] == id.as_str()).unwrap()["deviceInfo"];
        let text = shown[member].as_str().unwrap_or_default();
        assert!(text.contains(told), "{agent:.40} {hints:?}: {shown}");
        let name = shown["name"].as_str().unwrap();
        assert!(!name.is_empty() && name.chars().count() <= 100, "{shown}");
    }
}
