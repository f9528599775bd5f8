//! Used tickets: of many uses at the same time the first one counts.

use std::time::Duration;

use auth_service::clock::new_uuid;
use auth_service::domain::ids::UserId;
use futures_util::future::join_all;

use crate::support::store::{MINUTE, START, TestStore};
use crate::support::{Database, on_each_database};

on_each_database!(a_ticket_is_spent_once, of_many_at_once_one_spends_it, old_ones_are_forgotten);

const MILLISECOND: Duration = Duration::from_millis(1);

async fn a_ticket_is_spent_once(db: Database) {
    let store = TestStore::on(db).await;
    let (user, ticket) = (UserId::new(new_uuid()), new_uuid());
    assert!(store.spend_ticket(user, ticket, START).await.unwrap());
    assert!(!store.spend_ticket(user, ticket, START).await.unwrap());
    assert!(store.spend_ticket(user, new_uuid(), START).await.unwrap(), "another one");
}

async fn of_many_at_once_one_spends_it(db: Database) {
    let store = TestStore::on(db).await;
    for _ in 0..100 {
        let (user, ticket) = (UserId::new(new_uuid()), new_uuid());
        let tries = join_all((0..8).map(|_| store.spend_ticket(user, ticket, START))).await;
        assert_eq!(tries.into_iter().filter(|spent| *spent.as_ref().unwrap()).count(), 1);
    }
}

async fn old_ones_are_forgotten(db: Database) {
    let store = TestStore::on(db).await;
    let user = UserId::new(new_uuid());
    let tickets: Vec<_> = (0..5).map(|_| new_uuid()).collect();
    for (ticket, minutes) in tickets.iter().zip(0..) {
        store.spend_ticket(user, *ticket, START.plus(MINUTE * minutes)).await.unwrap();
    }
    let forget = async |before, limit| store.delete_spent_tickets(before, limit).await.unwrap();
    assert_eq!(forget(START, 9).await, 0, "still good");
    assert_eq!(forget(START.plus(MILLISECOND), 9).await, 1);
    assert_eq!(forget(START.plus(MINUTE * 4), 2).await, 2, "no more than asked for");
    assert_eq!(forget(START.plus(MINUTE * 4), 2).await, 1);
    assert_eq!(forget(START.plus(MINUTE * 4), 2).await, 0);
    assert!(!store.spend_ticket(user, tickets[4], START).await.unwrap(), "the last is kept");
    assert!(store.spend_ticket(user, tickets[3], START).await.unwrap(), "forgotten");
}
