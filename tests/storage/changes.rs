//! The feed of changes misses no commit, however late it comes. There is one where several nodes serve, so on
//! PostgreSQL alone.

use std::time::Duration;

use auth_service::clock::Moment;
use auth_service::domain::command::RotateRefresh;
use auth_service::domain::ids::UserId;
use auth_service::storage::changes::Change;

use crate::support::Database;
use crate::support::proxy::{Mode, Proxy};
use crate::support::store::{START, TestStore, login};

const TIMEOUT: Duration = Duration::from_secs(5);

/// A change that checks depend on.
fn changed(user: UserId, version: i64) -> Change {
    Change { user, version, check_version: version }
}

#[tokio::test]
async fn there_is_none_where_nobody_else_writes() {
    let store = TestStore::on(Database::Sqlite).await;
    assert!(store.change_feed(TIMEOUT).is_none());
}

mod every_change_is_seen {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let (mut one, mut other) = (store.register().await, store.register().await);
        let mut feed = store.change_feed(TIMEOUT).unwrap();
        let first = feed.poll().await.unwrap().changes;
        assert!(first.users.is_empty() && first.started_over, "the first look begins: {first:?}");
        for version in 1..=3 {
            let _ = store.run(&mut one, START, &login()).await;
            assert_eq!(feed.poll().await.unwrap().changes.users, [changed(one.user, version)]);
            assert!(feed.poll().await.unwrap().changes.users.is_empty(), "each change is read once");
        }
        let _ = store.run(&mut other, START, &login()).await;
        let seen = feed.poll().await.unwrap().changes;
        assert!(seen.users == [changed(other.user, 1)] && !seen.started_over);
    }
}

mod a_rotation_moves_the_version_alone {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let mut ledger = store.register().await;
        let mut feed = store.change_feed(TIMEOUT).unwrap();
        feed.poll().await.unwrap();
        let session = ledger.live()[0].id();
        for generation in 1..=2 {
            let _ = store.run(&mut ledger, START, &RotateRefresh { session, generation }).await;
            let rotated = Change { user: ledger.user, version: generation.into(), check_version: 0 };
            assert_eq!(feed.poll().await.unwrap().changes.users, [rotated]);
        }
        let _ = store.run(&mut ledger, START, &login()).await;
        let opened = Change { user: ledger.user, version: 3, check_version: 1 };
        assert_eq!(feed.poll().await.unwrap().changes.users, [opened]);
        assert_eq!(store.ledger(ledger.user).await.check_version(), 1);
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
        let mut feed = store.change_feed(TIMEOUT).unwrap();
        feed.poll().await.unwrap();
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
            let users = feed.poll().await.unwrap().changes.users;
            assert_eq!(users, [changed(early.user, version)], "the late one is not committed yet");
        }
        transaction.commit().await.unwrap();
        assert_eq!(feed.poll().await.unwrap().changes.users, [changed(late.user, 7)]);
    }
}

mod a_crash_hides_no_change {
    use auth_service::domain::command::decide;
    use auth_service::storage::ledger::CommitOutcome;
    use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};

    use super::*;
    use crate::support::postgres::PostgresServer;
    use crate::support::store::{commit_of, open_at, policy, registration};
    use crate::support::time::eventually;

    const LOST: usize = 100;

    /// Each takes the id of a transaction and nothing else.
    async fn roll_back(connection: &DatabaseConnection, count: usize) {
        for _ in 0..count {
            let transaction = connection.begin().await.unwrap();
            transaction.execute_unprepared("SELECT pg_current_xact_id()").await.unwrap();
            transaction.rollback().await.unwrap();
        }
    }

    /// Transactions of which nothing was on the disk: their ids are handed out again.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let mut server = PostgresServer::start(&["wal_writer_delay=10s"]).await;
        let store = open_at(server.url()).await;
        store.migrate().await.unwrap();
        let (registration, ledger) = registration("ada@example.com");
        store.add_user(registration).await.unwrap();
        let mut feed = store.change_feed(TIMEOUT).unwrap();
        let connection = server.connect().await.unwrap();
        feed.poll().await.unwrap();
        roll_back(&connection, LOST).await;
        feed.poll().await.unwrap();
        let oldest = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
        let before = server.count(oldest).await;
        server.kill().await;
        server.restart().await;
        assert!(server.count(oldest).await < before, "no id is handed out again: this test shows nothing");

        let decision = decide(&login(), &ledger, START, &policy());
        let commit = commit_of(&ledger, START, &decision.events);
        let outcome = open_at(server.url()).await.commit(commit, None).await.unwrap();
        assert_eq!(outcome, CommitOutcome::Committed(1));
        roll_back(&server.connect().await.unwrap(), LOST * 2).await;
        let changes = eventually("the feed looks again", TIMEOUT, async || {
            feed.poll().await.map(|poll| poll.changes).map_err(|error| error.to_string())
        })
        .await;
        assert!(!changes.started_over, "the ids are past where they were");
        assert!(changes.users.contains(&changed(ledger.user, 1)), "{changes:?}");
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
        let mut feed = store.open_through(proxy.address()).await.change_feed(TIMEOUT).unwrap();
        proxy.set(Mode::Delay(DELAY));
        let began = Moment::now();
        let poll = feed.poll().await.unwrap();
        assert!(poll.asked.since(began) >= DELAY * 4, "asked {:?} after it began", poll.asked.since(began));
        assert!(Moment::now().since(poll.asked) >= DELAY * 2, "the answer is younger than its question");
        let next = feed.poll().await.unwrap();
        assert!(next.asked > poll.asked);
    }
}
