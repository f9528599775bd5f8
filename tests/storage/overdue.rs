//! What the sweeper asks for: users whose sessions time has ended, and endings nobody asks about any more.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_service::domain::command::{EndAll, Logout};
use auth_service::domain::reason::EndReason;

use crate::support::store::{START, TestStore, login, policy};
use crate::support::{Database, on_each_database};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

on_each_database!(
    a_user_is_overdue_from_the_deadline_on,
    a_user_is_overdue_past_the_absolute_end,
    ended_sessions_are_never_overdue,
    the_longest_overdue_come_first,
    retention_deletes_what_ended_before,
    retention_deletes_no_more_than_asked_for,
);

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
    let overdue = async |now| store.list_overdue_users(now, idle, 10).await.unwrap();
    assert_eq!(overdue(START.plus(idle).minus(MILLISECOND)).await, BTreeSet::new());
    assert_eq!(overdue(START.plus(idle)).await, BTreeSet::from([ledger.user]));
    let _ = store.run(&mut ledger, START.plus(idle), &EndAll { reason: EndReason::IdleTimeout }).await;
    assert_eq!(overdue(START.plus(idle)).await, BTreeSet::new());
    assert_eq!(overdue(later.plus(idle)).await, BTreeSet::from([other.user]));
}

async fn a_user_is_overdue_past_the_absolute_end(db: Database) {
    let store = TestStore::on(db).await;
    let ledger = store.register().await;
    let end = START.plus(policy().lifetime);
    let overdue = async |now| store.list_overdue_users(now, policy().lifetime * 9, 10).await.unwrap();
    assert_eq!(overdue(end.minus(MILLISECOND)).await, BTreeSet::new());
    assert_eq!(overdue(end).await, BTreeSet::from([ledger.user]));
}

async fn ended_sessions_are_never_overdue(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let session = ledger.live()[0].id();
    let _ = store.run(&mut ledger, START, &Logout { session }).await;
    let never = START.plus(policy().lifetime * 9);
    let overdue = store.list_overdue_users(never, MILLISECOND, 10).await.unwrap();
    assert_eq!(overdue, BTreeSet::new());
}

async fn the_longest_overdue_come_first(db: Database) {
    let store = TestStore::on(db).await;
    let mut users = Vec::new();
    for minutes in [3, 1, 2] {
        let ledger = store.register().await;
        let at = START.plus(Duration::from_secs(minutes * 60));
        let session = ledger.live()[0].id();
        let seen = auth_service::storage::activity::SeenActivity { user: ledger.user, session, at };
        store.store_activity(vec![seen]).await.unwrap();
        users.push(ledger.user);
    }
    let now = START.plus(HOUR);
    let overdue = store.list_overdue_users(now, policy().idle_timeout, 2).await.unwrap();
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
