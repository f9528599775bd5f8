//! The feed of changes misses no commit, however late it comes. There is one where several nodes serve, so on
//! PostgreSQL alone.

use std::time::Duration;

use auth_service::storage::changes::Changes;

use crate::support::Database;
use crate::support::store::{START, TestStore, login};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn there_is_none_where_nobody_else_writes() {
    let store = TestStore::on(Database::Sqlite).await;
    assert!(store.change_feed(PATIENCE).is_none());
}

mod every_change_is_seen {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let (mut one, mut other) = (store.register().await, store.register().await);
        let mut feed = store.change_feed(PATIENCE).unwrap();
        assert_eq!(feed.look().await.unwrap(), Changes::default(), "the first look begins");
        for version in 1..=3 {
            let _ = store.run(&mut one, START, &login()).await;
            assert!(feed.look().await.unwrap().users.contains(&(one.user, version)));
        }
        let _ = store.run(&mut other, START, &login()).await;
        let seen = feed.look().await.unwrap();
        assert!(seen.users.contains(&(other.user, 1)) && !seen.started_over);
    }
}

mod a_transaction_that_commits_late_is_seen {
    use sea_orm::{ConnectionTrait, TransactionTrait};

    use super::*;

    /// It takes its stamp first, and is overtaken by changes and looks before it commits.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let (late, mut early) = (store.register().await, store.register().await);
        let mut feed = store.change_feed(PATIENCE).unwrap();
        feed.look().await.unwrap();
        let connection = store.connect().await;
        let transaction = connection.begin().await.unwrap();
        let change = format!(
            "UPDATE users SET session_version = 7, change_stamp = pg_current_xact_id()::text::bigint \
             WHERE id = '{}'",
            late.user
        );
        transaction.execute_unprepared(&change).await.unwrap();
        for version in 1..=3 {
            let _ = store.run(&mut early, START, &login()).await;
            let users = feed.look().await.unwrap().users;
            assert!(users.contains(&(early.user, version)));
            assert!(!users.iter().any(|(user, _)| *user == late.user), "not committed yet");
        }
        transaction.commit().await.unwrap();
        assert!(feed.look().await.unwrap().users.contains(&(late.user, 7)));
    }
}
