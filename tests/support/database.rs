//! The databases a test runs on: a SQLite file in the data folder, or a PostgreSQL database created for this
//! test alone.

use std::fmt::Display;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use uuid::Uuid;

/// Which kind of database a test wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// Turns each named `async fn name(db: Database)` into two tests, `name::sqlite` and `name::postgres`.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use $crate::support::Database;

            #[tokio::test]
            async fn sqlite() {
                Box::pin(super::$name(Database::Sqlite)).await;
            }

            #[tokio::test]
            #[ignore = "needs PostgreSQL: run ./scripts/test"]
            async fn postgres() {
                Box::pin(super::$name(Database::Postgres)).await;
            }
        }
    )+};
}
pub(crate) use on_each_database;

/// A PostgreSQL database of one test; dropped with it.
pub(crate) struct PostgresDatabase {
    /// Its unique name on the server.
    name: String,
    /// `postgres://user@host:port/name`
    pub(crate) url: String,
}

impl PostgresDatabase {
    pub(crate) async fn create() -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let server = server_url();
        execute(&server, &format!("CREATE DATABASE {name}"))
            .await
            .unwrap_or_else(|cause| panic!("no database could be made on TEST_POSTGRES_URL: {cause}"));
        let (base, _) = server.rsplit_once('/').unwrap();
        Self { url: format!("{base}/{name}"), name }
    }

    /// One connection, to read what the service has stored.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await.unwrap()
    }

    /// One connection to the server's default database.
    pub(crate) async fn connect_elsewhere(&self) -> DatabaseConnection {
        connect(&server_url()).await.unwrap()
    }

    /// `host:port` of the server.
    pub(crate) fn address(&self) -> &str {
        self.around_address().1
    }

    /// The URL of this database through another address, such as a proxy's.
    pub(crate) fn url_through(&self, address: impl Display) -> String {
        let (before, _, after) = self.around_address();
        format!("{before}@{address}/{after}")
    }

    fn around_address(&self) -> (&str, &str, &str) {
        let (before, rest) = self.url.split_once('@').unwrap();
        let (address, after) = rest.split_once('/').unwrap();
        (before, address, after)
    }
}

impl Drop for PostgresDatabase {
    /// Best effort: the server is thrown away after the tests anyway.
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&server_url(), &statement))
        });
        if !matches!(work.join(), Ok(Ok(()))) {
            eprintln!("left behind: database {}", self.name);
        }
    }
}

fn server_url() -> String {
    std::env::var("TEST_POSTGRES_URL")
        .expect("this test needs PostgreSQL: run ./scripts/test, or set TEST_POSTGRES_URL")
}

/// One connection, for what no part of the service does.
pub(crate) async fn connect(url: &str) -> Result<DatabaseConnection, sea_orm::DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await
}

pub(crate) async fn execute(url: &str, statement: &str) -> Result<(), sea_orm::DbErr> {
    let connection = connect(url).await?;
    connection.execute_unprepared(statement).await?;
    connection.close().await
}
