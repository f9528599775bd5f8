//! The outbox: in order, forgotten only when taken, and no place in the order is ever used twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_service::domain::command::{EndAll, Logout};
use auth_service::domain::reason::EndReason;
use auth_service::events::Message;
use auth_service::storage::outbox::Published;
use serde_json::Value;

use crate::support::store::{START, TestStore, login};
use crate::support::{Database, on_each_database};

on_each_database!(
    it_keeps_the_order_of_commits,
    at_most_as_many_as_asked_for_are_taken,
    what_is_refused_stays,
    no_place_is_used_twice,
    the_backlog_tells_depth_and_age,
    turns_at_publishing_do_not_overlap,
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

async fn at_most_as_many_as_asked_for_are_taken(db: Database) {
    let store = TestStore::on(db).await;
    store.register().await;
    store.register().await;
    let mut ids = Vec::new();
    for left in [1, 0] {
        let take = |messages: Vec<Message>| async move { (messages.len() <= 3).then_some(()).ok_or(()) };
        let Published::Taken(taken) = store.publish_outbox(3, take).await.unwrap() else {
            panic!("more than asked for")
        };
        ids.extend(taken.iter().map(|waiting| waiting.id));
        assert_eq!(store.waiting().await, left);
    }
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted());
}

async fn what_is_refused_stays(db: Database) {
    let store = TestStore::on(db).await;
    store.register().await;
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let refuse = move |messages: Vec<Message>| async move {
        listener.lock().unwrap().extend(messages);
        Err::<(), _>("no")
    };
    let refused = store.publish_outbox(10, refuse).await.unwrap();
    assert!(matches!(refused, Published::Refused("no")));
    assert_eq!(store.waiting().await, 2);
    let again: Vec<_> = store.drain().await.into_iter().map(|waiting| waiting.message).collect();
    assert_eq!(*heard.lock().unwrap(), again, "the same, event ids included");
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

/// Where several nodes serve. On SQLite the one publisher of the one process sees to it.
async fn turns_at_publishing_do_not_overlap(db: Database) {
    let store = TestStore::on(db).await;
    if !store.is_shared() {
        return;
    }
    let mut expected = 0;
    for _ in 0..30 {
        store.register().await;
        expected += 2;
    }
    let at_work = Arc::new(AtomicUsize::new(0));
    let nodes = (0..6).map(|_| {
        let (store, at_work) = (store.clone(), Arc::clone(&at_work));
        tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                let at_work = Arc::clone(&at_work);
                let publish = move |_: Vec<Message>| async move {
                    let others = at_work.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    at_work.fetch_sub(1, Ordering::SeqCst);
                    if others == 0 { Ok(()) } else { Err("two at once") }
                };
                match store.publish_outbox(3, publish).await.unwrap() {
                    Published::Taken(taken) if taken.is_empty() => return ids,
                    Published::Taken(taken) => ids.extend(taken.iter().map(|waiting| waiting.id)),
                    Published::Refused(why) => panic!("{why}"),
                }
            }
        })
    });
    let mut all = Vec::new();
    for node in nodes.collect::<Vec<_>>() {
        all.extend(node.await.unwrap());
    }
    let once: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!((all.len(), once.len()), (expected, expected));
}
