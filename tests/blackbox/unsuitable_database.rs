//! A database on which the service could not work correctly is refused at start, with a message that says
//! what to do.

use crate::support::database::{Database, execute};
use crate::support::postgres::PostgresServer;
use crate::support::{Setup, TestApp};

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn an_encoding_that_lacks_characters_is_refused_postgres() {
    let server = PostgresServer::start(&[]).await;
    for (encoding, name) in [("LATIN1", "latin"), ("SQL_ASCII", "ascii")] {
        let create = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        );
        server.execute(&create).await;
        let url = format!("postgres://postgres@{}/{name}", server.address());
        let setup = Setup::on(Database::Sqlite).await.set("DATABASE_URL", url);
        let ended = setup.run().await.expect_code(1).expect_output(encoding).expect_output("UTF8");
        assert!(!ended.output.contains("\"listening\""), "{}", ended.output);
        setup.command(&["migrate"]).await.expect_code(1).expect_output("UTF8");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn addresses_that_need_not_be_unique_are_refused_postgres() {
    let mut app = TestApp::on(Database::Postgres).await;
    app.terminate().await;
    let url = app.setup.get("DATABASE_URL").to_owned();
    execute(&url, "DROP INDEX users_email_unique").await.unwrap();
    // Neither a partial index nor one that includes another column will do.
    execute(&url, "CREATE UNIQUE INDEX partial ON users (email) WHERE deleted_at IS NULL").await.unwrap();
    execute(&url, "CREATE UNIQUE INDEX together ON users (email, id)").await.unwrap();
    app.setup.run().await.expect_code(1).expect_output("users.email").expect_output("unique");
    execute(&url, "ALTER TABLE users ADD UNIQUE (email)").await.unwrap();
    app.restart().await;
}

#[tokio::test]
async fn addresses_that_need_not_be_unique_are_refused_sqlite() {
    let mut app = TestApp::start().await;
    app.terminate().await;
    let url = format!("sqlite://{}?mode=rw", app.setup.sqlite_file().display());
    execute(&url, "ALTER TABLE users RENAME TO users_before").await.unwrap();
    execute(&url, "CREATE TABLE users AS SELECT * FROM users_before").await.unwrap();
    app.setup.run().await.expect_code(1).expect_output("users.email");
}
