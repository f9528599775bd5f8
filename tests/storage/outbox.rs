//! The outbox: in order, forgotten only when taken, and no place in the order is ever used twice.

use std::collections::BTreeSet;

use auth_service::domain::command::{EndAll, Logout};
use auth_service::domain::reason::EndReason;
use auth_service::events::Message;
use auth_service::events::lane::Lane;
use auth_service::storage::outbox::OutboxMessage;
use serde_json::Value;

use crate::support::store::{START, TestStore, login, only_lane};
use crate::support::{Database, on_each_database};

on_each_database!(
    it_keeps_the_order_of_commits,
    at_most_as_many_as_asked_for_are_read,
    what_is_not_deleted_is_read_again,
    no_place_is_used_twice,
    the_backlog_tells_depth_and_age,
    lanes_part_the_users,
);

fn event(message: &Message) -> String {
    let payload: Value = serde_json::from_str(&message.payload).unwrap();
    payload["event"].as_str().unwrap().to_owned()
}

async fn it_keeps_the_order_of_commits(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let session = ledger.live()[0].id();
    let _ = store.run(&mut ledger, START, &login()).await;
    let _ = store.run(&mut ledger, START, &Logout { session }).await;
    let _ = store.run(&mut ledger, START, &EndAll { reason: EndReason::UserDeleted }).await;
    let messages = store.drain().await;
    let events: Vec<_> = messages.iter().map(|waiting| event(&waiting.message)).collect();
    let expected = [
        "user.registered",
        "session.created",
        "user.login",
        "session.created",
        "user.logout",
        "session.deleted",
        "session.deleted",
    ];
    assert_eq!(events, expected);
    assert!(messages.is_sorted_by(|before, after| before.id < after.id));
    for waiting in &messages {
        assert_eq!(*waiting.message.channel, *format!("auth:{}", event(&waiting.message)));
    }
    assert_eq!(store.waiting().await, 0);
}

async fn at_most_as_many_as_asked_for_are_read(db: Database) {
    let store = TestStore::on(db).await;
    store.register().await;
    store.register().await;
    let mut ids = Vec::new();
    for (count, left) in [(3, 1), (1, 0)] {
        let oldest = store.oldest_messages(only_lane(), 3).await.unwrap();
        assert_eq!(oldest.len(), count);
        let read: Vec<_> = oldest.iter().map(|waiting| waiting.id).collect();
        store.delete_messages(read.clone()).await.unwrap();
        ids.extend(read);
        assert_eq!(store.waiting().await, left);
    }
    assert!(ids.is_sorted());
}

async fn what_is_not_deleted_is_read_again(db: Database) {
    let store = TestStore::on(db).await;
    store.register().await;
    let read = store.oldest_messages(only_lane(), 10).await.unwrap();
    assert_eq!(store.waiting().await, 2);
    assert_eq!(store.drain().await, read, "the same, event ids included");
    assert!(store.oldest_messages(only_lane(), 10).await.unwrap().is_empty());
}

async fn no_place_is_used_twice(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let mut latest = 0;
    for _ in 0..5 {
        let messages = store.drain().await;
        assert!(messages.iter().all(|waiting| waiting.id > latest), "{latest}, and then {messages:?}");
        latest = messages.last().unwrap().id;
        let _ = store.run(&mut ledger, START, &login()).await;
    }
}

async fn the_backlog_tells_depth_and_age(db: Database) {
    let store = TestStore::on(db).await;
    assert_eq!(store.outbox_backlog().await.unwrap(), (0, Default::default()));
    let mut ledger = store.register().await;
    let _ = store.run(&mut ledger, START.plus(std::time::Duration::from_secs(60)), &login()).await;
    assert_eq!(store.outbox_backlog().await.unwrap(), (4, START));
}

/// Each lane holds all of its users' messages in order, and together the lanes hold everything once. SQLite
/// serves one process, which publishes alone.
async fn lanes_part_the_users(db: Database) {
    const LANES: u32 = 4;
    const USERS: usize = 40;
    let store = TestStore::on(db).await;
    let mut users = Vec::new();
    for _ in 0..USERS {
        let mut ledger = store.register().await;
        let _ = store.run(&mut ledger, START, &login()).await;
        users.push(ledger.user);
    }
    let (lanes, _) = store.waiting_lanes(LANES).await.unwrap().unwrap();
    assert_eq!(lanes.len(), LANES as usize);
    if !store.is_shared() {
        return;
    }
    for lane in lanes {
        let messages = store.oldest_messages(lane, 1_000).await.unwrap();
        let owner = |waiting: &OutboxMessage| {
            let payload: Value = serde_json::from_str(&waiting.message.payload).unwrap();
            payload["userId"].as_str().unwrap().to_owned()
        };
        let mine: BTreeSet<_> = users.iter().filter(|user| Lane::of_user(**user, LANES) == lane).collect();
        for user in &mine {
            let events: Vec<_> =
                messages.iter().filter(|waiting| owner(waiting) == user.to_string()).collect();
            let events: Vec<_> = events.iter().map(|waiting| event(&waiting.message)).collect();
            assert_eq!(events, ["user.registered", "session.created", "user.login", "session.created"]);
        }
        assert_eq!(messages.len(), mine.len() * 4, "nobody else's");
        store.delete_messages(messages.iter().map(|waiting| waiting.id).collect()).await.unwrap();
    }
    assert_eq!(store.waiting_lanes(LANES).await.unwrap(), None);
}
