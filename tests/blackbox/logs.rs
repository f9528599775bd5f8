//! The log: every line can be read by itself, and none contains what must not leave the service.

use std::time::Duration;

use reqwest::Method;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::Value;

use crate::support::postgres::PostgresServer;
use crate::support::{Answer, Database, Person, Setup, TestApp, eventually};

const TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the service to notice that a client has gone, which nothing reports.
const NOTICED_WITHIN: Duration = Duration::from_millis(500);

/// Everything a person sent or received that is private.
async fn live_a_little(app: &TestApp) -> Vec<String> {
    let ada = Person::named("Ada");
    let mut device = app.client();
    device.signup(&ada).await.expect(201);
    let mut secrets = vec![ada.email.clone(), ada.password.clone()];
    secrets.extend(device.access.clone());
    secrets.extend(device.cookie.clone());

    let wrong = serde_json::json!({"email": ada.email, "password": "a wrong password"});
    device.post("/login", &wrong).await.expect(401);
    device.post("/signup", &ada.registration()).await.expect(409);
    device.refresh().await.expect(200);
    secrets.extend(device.cookie.clone());
    device.session().await.expect(200);
    device.logout().await.expect(204);
    secrets.push("a wrong password".to_owned());
    secrets
}

#[tokio::test]
async fn holds_no_secret_even_when_it_tells_everything() {
    let setup = Setup::on(Database::Sqlite).await.set("LOG_LEVEL", "debug");
    let mut app = setup.start().await;
    let secrets = live_a_little(&app).await;
    let log = app.terminate().await.expect_code(0).output;
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret:?} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_line_is_one_object_and_names_its_request() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let request = client
        .request(Method::POST, "/logout")
        .header("x-request-id", "018f3f2e-5b7a-7c1d-8000-00155d012345");
    client.send(request).await.expect(401);

    let log = app.terminate().await.expect_code(0).output;
    for line in log.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "no JSON object: {line}");
    }
    assert!(log.contains("018f3f2e-5b7a-7c1d-8000-00155d012345"), "{log}");
}

/// What was stored is logged, even if the client did not wait for the response.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn who_goes_away_leaves_a_line_all_the_same() {
    let server = PostgresServer::start(&[]).await;
    let setup = Setup::on(Database::Sqlite).await.set("DATABASE_URL", server.url()).set("LOG_LEVEL", "info");
    let app = setup.start().await;
    let (ada, bob) = (Person::named("Ada"), Person::named("Bob"));
    app.client().signup(&ada).await.expect(201);
    let (mut login, mut signup) = (app.client(), app.client());
    leave_while_it_is_stored(&server, login.login(&ada)).await;
    leave_while_it_is_stored(&server, signup.signup(&bob)).await;
    for (act, count) in [("login.succeeded", 1), ("account.created", 2)] {
        eventually(act, TIMEOUT, async || {
            let logs = app.logs();
            let lines: Vec<_> = logs.lines().filter(|line| line.contains(act)).collect();
            let named = lines.iter().filter(|line| line.contains("request_id")).count();
            if (lines.len(), named) == (count, count) { Ok(()) } else { Err(logs) }
        })
        .await;
    }
}

async fn leave_while_it_is_stored(server: &PostgresServer, request: impl Future<Output = Answer>) {
    let connection = server.connect().await.unwrap();
    let transaction = connection.begin().await.unwrap();
    transaction.execute_unprepared("LOCK TABLE users IN SHARE MODE").await.unwrap();
    let it_waits = eventually("it is being stored", TIMEOUT, async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        if server.count(waiting).await > 0 { Ok(()) } else { Err("nobody waits".to_owned()) }
    });
    tokio::select! {
        answer = request => panic!("answered: {answer}"),
        () = it_waits => {}
    }
    tokio::time::sleep(NOTICED_WITHIN).await;
    transaction.rollback().await.unwrap();
}
