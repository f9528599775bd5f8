//! Without a Redis nothing is published, and nothing is stored that nobody would read.

use sea_orm::{ConnectionTrait, Statement};

use crate::support::database::connect;
use crate::support::metrics::Metrics;
use crate::support::redis::RedisServer;
use crate::support::{Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(without_redis_no_event_is_kept_or_counted);

/// The single number that a query of the service's database returns.
async fn count(app: &TestApp, db: Database, sql: &str) -> i64 {
    let url = match db {
        Database::Sqlite => format!("sqlite://{}?mode=rw", app.setup.sqlite_file().display()),
        Database::Postgres => app.setup.get("DATABASE_URL").to_owned(),
    };
    let connection = connect(&url).await.unwrap();
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    connection.close().await.unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn live_a_little(app: &TestApp) {
    let (mut device, person) = (app.client(), Person::named("Ada"));
    device.signup(&person).await.expect(201);
    let mut other = app.client();
    other.login(&person).await.expect(200);
    other.refresh().await.expect(200);
    device.activity().await.expect(200);
    device.terminate(&other.session_id).await.expect(204);
    device.logout().await.expect(204);
}

async fn without_redis_no_event_is_kept_or_counted(db: Database) {
    let mut app = Setup::on(db).await.start().await;
    live_a_little(&app).await;
    let ended = count(&app, db, "SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL").await;
    assert_eq!(ended, 2, "the changes themselves are stored");
    assert_eq!(count(&app, db, "SELECT count(*) FROM outbox").await, 0);
    let published = Metrics::read(&app.client()).await.sum("auth_events_published_total");
    assert_eq!(published, Some(0.0));
    app.expect_log("events.not_published").await;
    app.terminate().await.expect_code(0);
}

/// What was still unpublished when Redis was configured stays in the outbox while it is not.
#[tokio::test]
#[ignore = "needs Redis: run ./scripts/test"]
async fn what_was_owed_before_waits_for_a_redis() {
    let mut redis = RedisServer::start().await;
    let url = format!("redis://{}", redis.address());
    let mut app = Setup::on(Database::Sqlite).await.set("REDIS_URL", &url).start().await;
    redis.kill();
    live_a_little(&app).await;
    let owed = count(&app, Database::Sqlite, "SELECT count(*) FROM outbox").await;
    assert!(owed > 0);
    app.restart_with(&[("REDIS_URL", "")]).await;
    app.client().signup(&Person::named("Bob")).await.expect(201);
    assert_eq!(count(&app, Database::Sqlite, "SELECT count(*) FROM outbox").await, owed);
    redis.restart().await;
    app.restart_with(&[("REDIS_URL", &url)]).await;
    eventually("what was owed is published", std::time::Duration::from_secs(15), async || {
        match count(&app, Database::Sqlite, "SELECT count(*) FROM outbox").await {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    })
    .await;
    assert_eq!(i64::try_from(redis.events().await.len()).unwrap(), owed);
}
