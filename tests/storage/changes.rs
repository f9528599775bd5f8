//! The feed of changes misses no commit, however late it comes. There is one where several nodes serve, so on
//! PostgreSQL alone.

use std::time::{Duration, Instant};

use auth_service::storage::changes::Changes;

use crate::support::Database;
use crate::support::proxy::{Mode, Proxy};
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
        assert_eq!(feed.look().await.unwrap().changes, Changes::default(), "the first look begins");
        for version in 1..=3 {
            let _ = store.run(&mut one, START, &login()).await;
            assert!(feed.look().await.unwrap().changes.users.contains(&(one.user, version)));
        }
        let _ = store.run(&mut other, START, &login()).await;
        let seen = feed.look().await.unwrap().changes;
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
            let users = feed.look().await.unwrap().changes.users;
            assert!(users.contains(&(early.user, version)));
            assert!(!users.iter().any(|(user, _)| *user == late.user), "not committed yet");
        }
        transaction.commit().await.unwrap();
        assert!(feed.look().await.unwrap().changes.users.contains(&(late.user, 7)));
    }
}

mod a_look_is_as_old_as_its_question {
    use super::*;

    /// Opening a connection takes several times that.
    const DELAY: Duration = Duration::from_millis(50);

    /// What a slow connection took is not taken off the time for which the look is trusted.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let proxy = Proxy::to(store.address()).await;
        let mut feed = store.open_through(proxy.address()).await.change_feed(PATIENCE).unwrap();
        proxy.set(Mode::Delay(DELAY));
        let began = Instant::now();
        let look = feed.look().await.unwrap();
        assert!(look.asked >= began + DELAY * 4, "asked {:?} after it began", look.asked - began);
        assert!(look.asked + DELAY * 2 <= Instant::now(), "the answer is younger than its question");
        let next = feed.look().await.unwrap();
        assert!(next.asked > look.asked);
    }
}
