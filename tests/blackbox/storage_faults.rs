//! The database becomes unavailable and comes back: meanwhile responses say so, and nothing has to be
//! restarted.

use std::time::Duration;

use crate::support::proxy::{Mode, Proxy};
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, eventually};

/// Longer than any time limit of the service for its database.
const TIMEOUT: Duration = Duration::from_secs(25);

/// A service that reaches its database only through the proxy.
async fn behind_a_proxy() -> (TestApp, Proxy) {
    let setup = Setup::on(Database::Postgres).await;
    let url = setup.get("DATABASE_URL").to_owned();
    let (before, rest) = url.split_once('@').unwrap();
    let (target, name) = rest.split_once('/').unwrap();
    let proxy = Proxy::to(target).await;
    let through = format!("{before}@{}/{name}", proxy.address());
    (setup.set("DATABASE_URL", through).start().await, proxy)
}

async fn until_status(client: &Client, path: &str, status: u16) -> Answer {
    eventually(&format!("{path} answers {status}"), TIMEOUT, async || {
        let answer = client.get(path).await;
        if answer.status == status { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await
}

async fn survives(fault: Mode) {
    let (app, proxy) = behind_a_proxy().await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    device.signup(&ada).await.expect(201);

    proxy.set(fault);
    let health = until_status(&device, "/health", 503).await;
    assert_eq!(health.json["status"], "unavailable", "{health}");
    until_status(&device, "/health/ready", 503).await;
    app.client().get("/health/live").await.expect(200);
    app.client().login(&ada).await.expect_problem(503, "unavailable");
    device.clone().logout().await.expect_problem(503, "unavailable");

    proxy.set(Mode::Forward);
    until_status(&device, "/health/ready", 200).await;
    app.client().login(&ada).await.expect(200);
    // The refused logout has not happened.
    until_status(&device, "/session", 200).await;
    device.logout().await.expect(204);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn survives_a_database_that_is_cut_off() {
    survives(Mode::Cut).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn survives_a_database_that_is_half_open() {
    survives(Mode::Stall).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_slow_database_is_waited_for() {
    let (app, proxy) = behind_a_proxy().await;
    proxy.set(Mode::Delay(Duration::from_millis(30)));
    let mut device = app.client();
    device.signup(&Person::named("Ada")).await.expect(201);
    device.refresh().await.expect(200);
    device.logout().await.expect(204);
}
