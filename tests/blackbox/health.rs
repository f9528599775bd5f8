//! GET `/health`, `/health/live`, `/health/ready`: for people, for supervisors, for load balancers.

use crate::support::answer::members;
use crate::support::{Database, Setup, TestApp, on_each_database};

on_each_database!(tells_the_state_of_everything);

async fn tells_the_state_of_everything(db: Database) {
    let app = TestApp::on(db).await;
    let health = app.client().get("/health").await.expect(200).json;

    assert_eq!(members(&health), ["checks", "service", "status", "uptimeSeconds", "version"]);
    assert_eq!(health["status"], "ok");
    assert_eq!(health["service"], "auth-service");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["uptimeSeconds"].as_f64().is_some_and(|up| up < 60.0), "{health}");
    let checks = &health["checks"];
    assert_eq!(members(checks), ["database", "events"]);
    assert_eq!(checks["database"]["status"], "ok");
    assert!(checks["database"]["latencyMs"].is_number(), "{health}");
    assert_eq!(checks["events"]["status"], "ok");
}

#[tokio::test]
async fn tells_from_the_first_answer_on_that_redis_is_away() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = Setup::on(Database::Sqlite).await.set("REDIS_URL", format!("redis://{nobody}")).start().await;
    let health = app.client().get("/health").await.expect(200).json;
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(health["checks"]["events"]["status"], "unavailable", "{health}");
}

#[tokio::test]
async fn tells_its_own_name() {
    let app = Setup::on(Database::Sqlite).await.set("SERVICE_NAME", "accounts").start().await;
    let health = app.client().get("/health").await.expect(200).json;
    assert_eq!(health["service"], "accounts");
}

#[tokio::test]
async fn lives_and_is_ready() {
    let app = TestApp::start().await;
    for path in ["/health/live", "/health/ready"] {
        app.client().get(path).await.expect(200);
    }
}

#[tokio::test]
async fn a_frozen_process_does_not_answer_and_goes_on_when_thawed() {
    let app = TestApp::start().await;
    let client = app.client();
    app.freeze();
    let ask = client.try_get("/health/live");
    let silent = tokio::time::timeout(std::time::Duration::from_millis(300), ask).await;
    assert!(silent.is_err(), "a frozen process answered");
    app.thaw();
    client.get("/health/live").await.expect(200);
}

#[tokio::test]
async fn the_key_set_is_empty_with_a_symmetric_algorithm() {
    let app = TestApp::start().await;
    let keys = app.client().get("/.well-known/jwks.json").await.expect(200).json;
    assert_eq!(keys, serde_json::json!({"keys": []}));
}
