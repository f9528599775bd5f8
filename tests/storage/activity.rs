//! Batches of activity: forward only, and only on live sessions.

use std::time::Duration;

use auth_service::clock::new_uuid;
use auth_service::domain::command::Logout;
use auth_service::domain::ids::{SessionId, UserId};
use auth_service::domain::ledger::Ledger;
use auth_service::domain::time::Timestamp;
use auth_service::storage::StorageError;
use auth_service::storage::activity::{MAX_BATCH, SeenActivity};
use sea_orm::DbErr;

use crate::support::store::{MINUTE, START, TestStore, login};
use crate::support::{Database, on_each_database};

on_each_database!(
    it_only_moves_forward,
    it_only_counts_on_live_sessions,
    a_batch_of_any_size_is_written,
    concurrent_batches_end_at_the_latest_time,
);

mod a_locked_row_is_left_out {
    use auth_service::storage::activity::Unwritten;
    use sea_orm::{ConnectionTrait, TransactionTrait};

    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let at = START.plus(MINUTE);
        let [locked, free] =
            [store.register().await, store.register().await].map(|ledger| first_session(&ledger, at));
        let mut over = store.register().await;
        let ended = first_session(&over, at);
        let _ = store.run(&mut over, START, &Logout { session: ended.session }).await;
        let connection = store.connect().await;
        let lock = connection.begin().await.unwrap();
        let row = format!("SELECT id FROM sessions WHERE id = '{}' FOR UPDATE", locked.session);
        lock.execute_unprepared(&row).await.unwrap();
        let mut writer = store.activity_writer();
        let mut unwritten = writer.write(vec![locked, free, ended]).await.unwrap();
        unwritten.sort_by_key(|left| left.is_over);
        let left = |seen: SeenActivity, is_over| Unwritten { session: seen.session, is_over };
        assert_eq!(unwritten, [left(locked, false), left(ended, true)]);
        assert_eq!((stored(&store, free).await, stored(&store, locked).await), (at, START));
        lock.rollback().await.unwrap();
        assert_eq!(writer.write(vec![locked]).await.unwrap(), []);
        assert_eq!(stored(&store, locked).await, at);
        assert_eq!(writer.write(vec![locked]).await.unwrap(), [], "it was stored before");
    }
}

mod it_is_stored_in_place {
    use crate::support::eventually;

    use super::*;

    const REPORTS: u32 = 200;

    async fn counted(store: &TestStore, column: &str) -> i64 {
        let sql = format!("SELECT {column}::bigint FROM pg_stat_user_tables WHERE relname = 'sessions'");
        store.count(&sql).await
    }

    /// Changes that leave every index as it is: the period of activity is indexed, not its time.
    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let ledger = store.register().await;
        let mut writer = store.activity_writer();
        for report in 1..=REPORTS {
            let seen = first_session(&ledger, START.plus(Duration::from_secs(30) * report));
            writer.write(vec![seen]).await.unwrap();
        }
        drop(writer);
        let updates = eventually("they are counted", Duration::from_secs(10), async || {
            let updates = counted(&store, "n_tup_upd").await;
            if updates >= i64::from(REPORTS) { Ok(updates) } else { Err(format!("{updates}")) }
        })
        .await;
        let in_place = counted(&store, "n_tup_hot_upd").await;
        // They span 100 minutes, ten periods.
        assert!(in_place >= updates * 9 / 10, "{in_place} of {updates}");
    }
}

fn first_session(ledger: &Ledger, at: Timestamp) -> SeenActivity {
    SeenActivity { user: ledger.user, session: ledger.live()[0].id(), at }
}

async fn stored(store: &TestStore, seen: SeenActivity) -> Timestamp {
    store.ledger(seen.user).await.find(seen.session).unwrap().last_activity
}

async fn it_only_moves_forward(db: Database) {
    let store = TestStore::on(db).await;
    let ledger = store.register().await;
    let (early, late) = (START.plus(MINUTE), START.plus(MINUTE * 2));
    for (at, expected) in [(late, late), (early, late), (late, late), (START.minus(MINUTE), late)] {
        let seen = first_session(&ledger, at);
        store.store_activity(vec![seen]).await.unwrap();
        assert_eq!(stored(&store, seen).await, expected);
    }
    let after = store.ledger(ledger.user).await;
    assert_eq!(after.version, ledger.version, "activity is no change that nodes must hear of");
}

async fn it_only_counts_on_live_sessions(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let over = first_session(&ledger, START.plus(MINUTE));
    let open = login();
    let _ = store.run(&mut ledger, START, &open).await;
    let _ = store.run(&mut ledger, START, &Logout { session: over.session }).await;
    let live = SeenActivity { session: open.id, ..over };
    let nobody = SeenActivity { user: UserId::new(new_uuid()), ..live };
    let unknown = SeenActivity { session: SessionId::new(new_uuid()), ..live };
    store.store_activity(vec![over, nobody, live, unknown]).await.unwrap();
    let after = store.ledger(ledger.user).await;
    assert_eq!(after.live().len(), 1);
    assert_eq!(stored(&store, live).await, live.at);
    // The ended one is as it was: nothing is newer than its end.
    let ended = store.delete_ended_sessions(START.plus(Duration::from_millis(1)), 10).await.unwrap();
    assert_eq!(ended, 1);
}

async fn a_batch_of_any_size_is_written(db: Database) {
    let store = TestStore::on(db).await;
    store.store_activity(Vec::new()).await.unwrap();
    let at = START.plus(MINUTE);
    let [first, last] =
        [store.register().await, store.register().await].map(|ledger| first_session(&ledger, at));
    let unknown = || SeenActivity { session: SessionId::new(new_uuid()), ..first };
    let mut batch = vec![first];
    batch.extend((0..MAX_BATCH).map(|_| unknown()));
    batch.push(last);
    store.store_activity(batch).await.unwrap();
    assert_eq!((stored(&store, first).await, stored(&store, last).await), (at, at));
}

/// How often a batch is tried.
const TRIES: usize = 10_000;

async fn concurrent_batches_end_at_the_latest_time(db: Database) {
    let store = TestStore::on(db).await;
    let mut people = Vec::new();
    for _ in 0..300 {
        people.push(store.register().await);
    }
    let batches = (1..=40u32).map(|minute| {
        let store = store.clone();
        let mut batch: Vec<_> =
            people.iter().map(|ledger| first_session(ledger, START.plus(MINUTE * minute))).collect();
        // Rows are not locked in the same order by all.
        if minute % 2 == 0 {
            batch.reverse();
        }
        tokio::spawn(async move {
            // What another batch has locked just then is left out, and SQLite may have no connection in time
            // for so many. The flusher tries again too.
            for _ in 0..TRIES {
                match store.store_activity(batch.clone()).await {
                    Ok(left) if left.is_empty() => return,
                    Ok(_) | Err(StorageError::Database(DbErr::ConnectionAcquire(_))) => {}
                    Err(error) => panic!("{error}"),
                }
                tokio::task::yield_now().await;
            }
            panic!("not stored after {TRIES} tries");
        })
    });
    for batch in batches.collect::<Vec<_>>() {
        batch.await.unwrap();
    }
    for ledger in &people {
        let latest = START.plus(MINUTE * 40);
        assert_eq!(stored(&store, first_session(ledger, latest)).await, latest);
    }
}
