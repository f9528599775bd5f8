//! `sessions` and `outbox` in hash partitions, created with the statements of docs/scaling.md: everything
//! works as before.

use std::time::Duration;

use crate::support::database::{connect, execute};
use crate::support::{Database, Person, TestApp, eventually};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

const PAGE: &str = include_str!("../../docs/scaling.md");

async fn count(url: &str, sql: &str) -> i64 {
    let connection = connect(url).await.unwrap();
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    connection.close().await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn sessions_and_outbox_may_be_partitioned_postgres() {
    let (_, sql) = PAGE.split_once("```sql\n").unwrap();
    let (sql, _) = sql.split_once("```").unwrap();
    let ada = Person::named("Ada");
    let mut app = TestApp::on(Database::Postgres).await;
    let mut before = app.client();
    before.signup(&ada).await.expect(201);
    app.terminate().await;
    let url = app.setup.get("DATABASE_URL").to_owned();
    execute(&url, sql).await.unwrap();
    app.restart().await;

    before.follow(app.base());
    before.refresh().await.expect(200);
    before.activity().await.expect(200);
    let mut devices = Vec::new();
    for _ in 0..6 {
        let mut device = app.client();
        device.login(&ada).await.expect(200);
        devices.push(device);
    }
    assert_eq!(devices[5].sessions().await.expect(200).json["total"], 5, "the limit holds");
    before.session().await.expect_problem(401, "session_evicted");
    devices[5].terminate_others().await.expect(200);
    devices[4].session().await.expect_problem(401, "session_terminated");
    devices[5].logout().await.expect(204);
    eventually("everything is published", Duration::from_secs(10), async || {
        match count(&url, "SELECT count(*) FROM outbox").await {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        }
    })
    .await;
    let parts =
        "SELECT count(*) FROM pg_inherits WHERE inhparent IN ('sessions'::regclass, 'outbox'::regclass)";
    assert_eq!(count(&url, parts).await, 16);
    assert!(count(&url, "SELECT count(*) FROM pg_indexes WHERE tablename = 'sessions'").await > 1);
}
