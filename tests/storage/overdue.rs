//! What the sweeper asks for: users whose sessions time has ended, and endings nobody asks about any more.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_service::domain::command::{EndAll, Logout};
use auth_service::domain::ids::UserId;
use auth_service::domain::ledger::Ledger;
use auth_service::domain::reason::EndReason;
use auth_service::domain::time::Timestamp;
use auth_service::storage::activity::SeenActivity;
use auth_service::storage::overdue::{Overdue, Search};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::support::store::{START, TestStore, login, policy};
use crate::support::{Database, on_each_database};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

on_each_database!(
    a_user_is_overdue_from_the_deadline_on,
    a_user_is_overdue_past_the_absolute_end,
    a_session_that_goes_on_is_given_its_next_time,
    a_row_of_an_older_version_goes_by_the_usual_timeout,
    patient_sessions_hide_nobody,
    what_was_found_is_left_alone_for_a_while,
    what_cannot_be_ended_is_set_aside,
    ended_sessions_are_never_overdue,
    the_longest_overdue_come_first,
    retention_deletes_what_ended_before,
    retention_deletes_no_more_than_asked_for,
);

/// Who is found. One found again, in the same breath, is not left alone meanwhile.
async fn found(store: &TestStore, now: Timestamp, margin: Duration, limit: u64) -> BTreeSet<UserId> {
    let search = Search { now, margin, again_at: now, limit };
    store.take_overdue(search).await.unwrap().users
}

async fn a_user_is_overdue_from_the_deadline_on(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let later = START.plus(HOUR);
    let other = {
        let mut other = store.register().await;
        let _ = store.run(&mut other, later, &login()).await;
        other
    };
    let idle = policy().idle_timeout;
    let overdue = async |now| found(&store, now, Duration::ZERO, 10).await;
    assert_eq!(overdue(START.plus(idle).minus(MILLISECOND)).await, BTreeSet::new());
    assert_eq!(overdue(START.plus(idle)).await, BTreeSet::from([ledger.user]));
    let _ = store.run(&mut ledger, START.plus(idle), &EndAll { reason: EndReason::IdleTimeout }).await;
    assert_eq!(overdue(START.plus(idle)).await, BTreeSet::new());
    assert_eq!(overdue(later.plus(idle)).await, BTreeSet::from([other.user]));
}

async fn seen(store: &TestStore, ledger: &Ledger, at: Timestamp) {
    let (user, session) = (ledger.user, ledger.live()[0].id());
    store.store_activity(vec![SeenActivity { user, session, at }]).await.unwrap();
}

async fn a_user_is_overdue_past_the_absolute_end(db: Database) {
    let store = TestStore::on(db).await;
    let ledger = store.register().await;
    let end = START.plus(policy().lifetime);
    seen(&store, &ledger, end.minus(MILLISECOND)).await;
    let overdue = async |now| found(&store, now, HOUR, 10).await;
    assert_eq!(overdue(end.minus(MILLISECOND)).await, BTreeSet::new());
    assert_eq!(overdue(end).await, BTreeSet::from([ledger.user]), "no margin after the absolute end");
}

/// The margin is waited for, and activity that came meanwhile counts.
async fn a_session_that_goes_on_is_given_its_next_time(db: Database) {
    let store = TestStore::on(db).await;
    let (ledger, idle, margin) = (store.register().await, policy().idle_timeout, Duration::from_secs(1));
    let overdue = async |now| found(&store, now, margin, 10).await;
    assert_eq!(overdue(START.plus(idle)).await, BTreeSet::new(), "within the margin");
    let last = START.plus(idle);
    seen(&store, &ledger, last).await;
    assert_eq!(overdue(START.plus(idle).plus(margin)).await, BTreeSet::new(), "it was active");
    assert_eq!(overdue(last.plus(idle).plus(margin).minus(MILLISECOND)).await, BTreeSet::new());
    assert_eq!(overdue(last.plus(idle).plus(margin)).await, BTreeSet::from([ledger.user]));
}

/// As an older version leaves it: without times of its own.
async fn a_row_of_an_older_version_goes_by_the_usual_timeout(db: Database) {
    let store = TestStore::on(db).await;
    let ledger = store.register().await;
    store.execute("UPDATE sessions SET idle_timeout_ms = NULL, ends_at = 0").await;
    let overdue = async |now| found(&store, now, Duration::ZERO, 10).await;
    let end = START.plus(policy().idle_timeout);
    assert_eq!(overdue(end.minus(MILLISECOND)).await, BTreeSet::new());
    assert_eq!(overdue(end).await, BTreeSet::from([ledger.user]));
}

/// Each is found at its own time, however many others are merely idle.
async fn patient_sessions_hide_nobody(db: Database) {
    let store = TestStore::on(db).await;
    for _ in 0..30 {
        store.register().await;
    }
    store.execute("UPDATE sessions SET idle_timeout_ms = 604800000, ends_at = created_at + 604800000").await;
    let hasty = store.register().await;
    let idle = policy().idle_timeout;
    let overdue = found(&store, START.plus(idle), Duration::ZERO, 1).await;
    assert_eq!(overdue, BTreeSet::from([hasty.user]));
}

/// So that no two nodes work on it; and it is found again if the one that found it has died.
async fn what_was_found_is_left_alone_for_a_while(db: Database) {
    let store = TestStore::on(db).await;
    let (one, other) = (store.register().await, store.register().await);
    let now = START.plus(policy().idle_timeout);
    let take = async |now: Timestamp, limit| {
        let search = Search { now, margin: Duration::ZERO, again_at: now.plus(HOUR), limit };
        store.take_overdue(search).await.unwrap()
    };
    let first = take(now, 1).await;
    assert!(!first.is_all);
    let second = take(now, 2).await;
    assert!(second.is_all);
    assert_eq!(&first.users | &second.users, BTreeSet::from([one.user, other.user]));
    assert_eq!(take(now, 9).await, Overdue { users: BTreeSet::new(), is_all: true });
    assert_eq!(take(now.plus(HOUR), 9).await.users, BTreeSet::from([one.user, other.user]));
}

async fn what_cannot_be_ended_is_set_aside(db: Database) {
    let store = TestStore::on(db).await;
    let (broken, good) = (store.register().await, store.register().await);
    let now = START.plus(policy().idle_timeout);
    let overdue = async |now| found(&store, now, Duration::ZERO, 10).await;
    assert_eq!(overdue(now).await.len(), 2);
    let until = now.plus(HOUR);
    store.postpone_overdue(vec![broken.user], until).await.unwrap();
    assert_eq!(overdue(now).await, BTreeSet::from([good.user]));
    assert_eq!(overdue(until).await, BTreeSet::from([broken.user, good.user]));
}

async fn ended_sessions_are_never_overdue(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let session = ledger.live()[0].id();
    let _ = store.run(&mut ledger, START, &Logout { session }).await;
    let never = START.plus(policy().lifetime * 9);
    let overdue = found(&store, never, MILLISECOND, 10).await;
    assert_eq!(overdue, BTreeSet::new());
}

async fn the_longest_overdue_come_first(db: Database) {
    let store = TestStore::on(db).await;
    let mut users = Vec::new();
    for minutes in [3, 1, 2] {
        let ledger = store.register().await;
        let at = START.plus(Duration::from_secs(minutes * 60));
        seen(&store, &ledger, at).await;
        users.push(ledger.user);
    }
    // Their activity is noticed when they fall due.
    let due = START.plus(policy().idle_timeout);
    assert_eq!(found(&store, due, Duration::ZERO, 10).await, BTreeSet::new());
    let now = START.plus(HOUR);
    let overdue = found(&store, now, Duration::ZERO, 2).await;
    assert_eq!(overdue, BTreeSet::from([users[1], users[2]]));
}

async fn retention_deletes_what_ended_before(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let (live, old, recent) = (ledger.live()[0].id(), login(), login());
    let _ = store.run(&mut ledger, START, &old).await;
    let _ = store.run(&mut ledger, START, &recent).await;
    let _ = store.run(&mut ledger, START, &Logout { session: old.id }).await;
    let _ = store.run(&mut ledger, START.plus(MILLISECOND), &Logout { session: recent.id }).await;
    assert_eq!(store.delete_ended_sessions(START, 10).await.unwrap(), 0, "not before");
    assert_eq!(store.delete_ended_sessions(START.plus(MILLISECOND), 10).await.unwrap(), 1);
    assert_eq!(store.lookup_ending(ledger.user, old.id).await.unwrap(), None);
    assert_eq!(store.lookup_ending(ledger.user, recent.id).await.unwrap(), Some(EndReason::Logout));
    assert_eq!(store.delete_ended_sessions(START.plus(HOUR), 10).await.unwrap(), 1);
    assert!(store.ledger(ledger.user).await.find(live).is_some());
}

async fn retention_deletes_no_more_than_asked_for(db: Database) {
    let store = TestStore::on(db).await;
    for _ in 0..5 {
        let mut ledger = store.register().await;
        let _ = store.run(&mut ledger, START, &EndAll { reason: EndReason::UserDeleted }).await;
    }
    let mut deleted = Vec::new();
    for _ in 0..4 {
        deleted.push(store.delete_ended_sessions(START.plus(HOUR), 2).await.unwrap());
    }
    assert_eq!(deleted, [2, 2, 1, 0]);
}

mod the_search_reads_what_is_due_by_its_index {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let ledger = store.register().await;
        let copies = format!(
            "INSERT INTO sessions (user_id, id, token, refresh_generation, refreshed_at, tokens_expire_at, device_type, \
             created_at, last_activity, expires_at, idle_timeout_ms, ends_at) \
             SELECT user_id, gen_random_uuid(), token, 1, refreshed_at, tokens_expire_at, device_type, created_at, \
             last_activity, expires_at, 604800000, created_at + 604800000 + n FROM sessions, generate_series(1, 20000) n \
             WHERE user_id = '{}'",
            ledger.user
        );
        store.execute(&copies).await;
        store.execute("ANALYZE sessions").await;
        let plan = "EXPLAIN (ANALYZE, FORMAT TEXT) SELECT user_id FROM sessions \
            WHERE ended_at IS NULL AND ends_at <= $1 ORDER BY ends_at LIMIT 200 FOR NO KEY UPDATE SKIP LOCKED";
        let now = START.plus(policy().idle_timeout).millis();
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, plan, [now.into()]);
        let rows = store.connect().await.query_all_raw(statement).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        let text = lines.join("\n");
        assert!(text.contains("sessions_live_by_end") && !text.contains("Seq Scan"), "{text}");
        assert!(text.contains("rows=1 loops=1"), "one is due, and one is read: {text}");
    }
}
