//! The feed of changes beside others: transactions that stay open in another database of the server, stamps
//! of another server, more changes than one look reads, and writers that commit whenever they like.

use std::collections::HashMap;
use std::time::Duration;

use auth_service::storage::Store;
use auth_service::storage::changes::{ChangeFeed, Changes, MAX_ROWS};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::support::Database;
use crate::support::database::{connect, execute};
use crate::support::postgres::{PostgresServer, add_users};
use crate::support::store::{TestStore, open_at};
use crate::support::time::eventually;

const TIMEOUT: Duration = Duration::from_secs(20);
const STAMP: &str = "pg_current_xact_id()::text::bigint";

/// A server with the schema, so many users, and a feed that has begun.
async fn scene(users: usize) -> (PostgresServer, Store, ChangeFeed) {
    let server = PostgresServer::start(&["max_prepared_transactions=2"]).await;
    let store = open_at(server.url()).await;
    store.migrate().await.unwrap();
    add_users(&server.url(), users).await;
    let mut feed = store.change_feed(TIMEOUT).unwrap();
    look(&mut feed).await;
    (server, store, feed)
}

async fn look(feed: &mut ChangeFeed) -> Changes {
    feed.poll().await.unwrap().changes
}

async fn change(server: &PostgresServer, users: usize) {
    let which = format!("email < 'bulk{users:07}'");
    server
        .execute(&format!(
            "UPDATE users SET session_version = session_version + 1, change_stamp = {STAMP} WHERE {which}"
        ))
        .await;
}

mod a_transaction_of_another_database_costs_nothing {
    use super::*;

    const USERS: usize = 15_000;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let (server, _store, mut feed) = scene(USERS).await;
        server.execute("CREATE DATABASE elsewhere").await;
        let elsewhere =
            server.url().replace("/postgres", "/elsewhere").replace("//elsewhere@", "//postgres@");
        let open = connect(&elsewhere).await.unwrap().begin().await.unwrap();
        open.execute_unprepared("SELECT pg_current_xact_id()").await.unwrap();
        execute(&elsewhere, "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'forgotten'")
            .await
            .unwrap();
        for round in 1..=2 {
            change(&server, USERS).await;
            let seen = look(&mut feed).await;
            assert_eq!((seen.users.len(), seen.started_over), (USERS, false));
            assert!(seen.users.iter().all(|change| change.version == round));
            for _ in 0..3 {
                assert_eq!(look(&mut feed).await, Changes::default(), "nothing changed since");
            }
        }
        open.rollback().await.unwrap();
        assert_eq!(look(&mut feed).await, Changes::default());
    }
}

mod stamps_of_another_server_are_not_read {
    use super::*;

    const USERS: usize = 5_000;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let (server, store, mut feed) = scene(USERS).await;
        server.execute(&format!("UPDATE users SET change_stamp = {STAMP} + 1000000")).await;
        for _ in 0..3 {
            assert_eq!(look(&mut feed).await, Changes::default());
        }
        // A user who changes meanwhile keeps the new stamp, also where another transaction has the row.
        let connection = server.connect().await.unwrap();
        let late = connection.begin().await.unwrap();
        let one = "session_version = 7, change_stamp = pg_current_xact_id()::text::bigint \
                   WHERE email = 'bulk0000000@example.com'";
        late.execute_unprepared(&format!("UPDATE users SET {one}")).await.unwrap();
        let clearing = tokio::spawn({
            let store = store.clone();
            async move { store.clear_foreign_stamps().await }
        });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        eventually("it waits for the row", TIMEOUT, async || match server.count(waits).await {
            0 => Err("it does not".to_owned()),
            _ => Ok(()),
        })
        .await;
        late.commit().await.unwrap();
        let cleared = clearing.await.unwrap().unwrap();
        assert_eq!(cleared, USERS as u64 - 1);
        assert_eq!(server.count("SELECT count(*) FROM users WHERE change_stamp > 0").await, 1);
        let seen = look(&mut feed).await;
        assert!(seen.users.len() == 1 && seen.users[0].version == 7, "{seen:?}");
        assert_eq!(store.clear_foreign_stamps().await.unwrap(), 0);
    }
}

mod more_changes_than_are_read_doubt_everything {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let (server, _store, mut feed) = scene(MAX_ROWS + 1).await;
        change(&server, MAX_ROWS).await;
        let seen = look(&mut feed).await;
        assert_eq!((seen.users.len(), seen.started_over), (MAX_ROWS, false));
        change(&server, MAX_ROWS + 1).await;
        let seen = look(&mut feed).await;
        assert!(seen.users.is_empty() && seen.started_over, "{} read", seen.users.len());
        change(&server, 1).await;
        let seen = look(&mut feed).await;
        assert_eq!((seen.users.len(), seen.started_over), (1, false));
    }
}

mod whatever_commits_when_is_read_once {
    use super::*;

    const WRITERS: usize = 8;
    const COMMITS: usize = 40;
    const SEED: u64 = 0xFEED_0001;

    /// Commits up to 60 ms after it took its id, with savepoints, and rolls back a fifth of the time.
    async fn write(url: String, number: usize) -> usize {
        let mut random = StdRng::seed_from_u64(SEED + number as u64);
        let connection = connect(&url).await.unwrap();
        let mut committed = 0;
        for _ in 0..COMMITS {
            let transaction = connection.begin().await.unwrap();
            let (fails, nested) = (random.random_bool(0.2), random.random_bool(0.4));
            if nested {
                transaction.execute_unprepared("SAVEPOINT inner_one").await.unwrap();
            }
            let update = format!(
                "UPDATE users SET session_version = session_version + 1, change_stamp = {STAMP} \
                 WHERE email = 'bulk{number:07}@example.com'"
            );
            transaction.execute_unprepared(&update).await.unwrap();
            if nested && random.random_bool(0.5) {
                transaction.execute_unprepared("RELEASE SAVEPOINT inner_one").await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
            if fails {
                transaction.rollback().await.unwrap();
            } else {
                transaction.commit().await.unwrap();
                committed += 1;
            }
        }
        committed
    }

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        add_users(store.url(), WRITERS).await;
        let mut feed = store.change_feed(TIMEOUT).unwrap();
        look(&mut feed).await;
        let writing =
            tokio::spawn(join_all((0..WRITERS).map(|number| write(store.url().to_owned(), number))));
        let mut versions: HashMap<_, Vec<i64>> = HashMap::new();
        let mut looks = 0;
        loop {
            let done = writing.is_finished();
            for change in look(&mut feed).await.users {
                versions.entry(change.user).or_default().push(change.version);
            }
            looks += 1;
            if done {
                break;
            }
        }
        let committed: usize = writing.await.unwrap().into_iter().sum();
        let read: usize = versions.values().map(Vec::len).sum();
        println!("{committed} commits, {read} rows, {looks} looks");
        assert!(read <= committed, "a change was read twice");
        for (user, read) in versions {
            assert!(read.is_sorted_by(|one, next| one < next), "twice, or backwards: {read:?}");
            let stored = store.count(&format!("SELECT session_version FROM users WHERE id = '{user}'")).await;
            assert_eq!(read.last(), Some(&stored), "the last change was missed");
        }
    }
}
