//! Buffered activity and queued events get out: on request, in order, and also after the responsible
//! actor was lost.

use std::collections::HashMap;
use std::time::Duration;

use actix::Actor;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::actors::activity_flusher::{ActivityFlusher, FlushActivity};
use crate::actors::messages::Panic;
use crate::actors::publisher::{DrainOutbox, Publisher};
use crate::actors::supervise::{Supervised, supervise};
use crate::actors::testing::{Node, Setup, eventually};
use crate::domain::ids::SessionId;
use crate::events::Message;

const MINUTE: Duration = Duration::from_secs(60);

fn flusher(node: &Node) -> Supervised<ActivityFlusher> {
    let registry = node.registry.clone();
    supervise("activity_flusher", node.metrics().clone(), move || {
        ActivityFlusher::new(registry.clone(), MINUTE).start()
    })
}

fn publisher(node: &Node) -> Supervised<Publisher> {
    let registry = node.registry.clone();
    supervise("publisher", node.metrics().clone(), move || Publisher::new(registry.clone()).start())
}

#[actix_web::test]
async fn a_flush_writes_all_activity() {
    let node = Setup::default().start().await;
    let people = node.register_many(50).await;
    let flusher = flusher(&node);
    for round in 1..=3 {
        node.advance(MINUTE);
        for person in &people {
            let present = node.present(*person).await;
            node.registry.note_activity(&present.session, present.now).unwrap();
        }
        assert_eq!(node.registry.activity().len(), people.len());
        flusher.address().send(FlushActivity).await.unwrap();
        assert!(node.registry.activity().is_empty());
        for person in &people {
            assert_eq!(
                node.stored_activity(*person).await,
                node.registry.clock().now(),
                "after round {round}"
            );
        }
    }
}

#[actix_web::test]
async fn activity_that_could_not_be_written_is_written_later() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let flusher = flusher(&node);
    let present = node.present(person).await;
    node.advance(MINUTE);
    let noted = node.registry.note_activity(&present.session, node.registry.clock().now()).unwrap();
    let intruder = node.intruder().await;
    intruder.execute("ALTER TABLE sessions RENAME TO sessions_away").await;
    flusher.address().send(FlushActivity).await.unwrap();
    assert_eq!((node.registry.activity().len(), node.metrics().activity_flush_failures.get()), (1, 1));
    intruder.execute("ALTER TABLE sessions_away RENAME TO sessions").await;
    flusher.address().send(FlushActivity).await.unwrap();
    assert!(node.registry.activity().is_empty());
    assert_eq!(node.stored_activity(person).await, noted);
}

#[actix_web::test]
async fn a_lost_flusher_is_started_again_and_writes_what_was_noted() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let flusher = flusher(&node);
    let present = node.present(person).await;
    node.advance(MINUTE);
    let noted = node.registry.note_activity(&present.session, node.registry.clock().now()).unwrap();
    let lost = flusher.address();
    lost.do_send(Panic);
    eventually("another one runs", async || !lost.connected() && flusher.address().connected()).await;
    flusher.address().send(FlushActivity).await.unwrap();
    assert_eq!(node.stored_activity(person).await, noted);
    assert_eq!(node.restarts("activity_flusher"), 1);
}

/// Everything that was published so far.
fn heard(subscriber: &mut broadcast::Receiver<Message>) -> Vec<Value> {
    let mut messages = Vec::new();
    while let Ok(message) = subscriber.try_recv() {
        messages.push(serde_json::from_str(&message.payload).unwrap());
    }
    messages
}

/// The sessions that each user's messages report as created, in the order of publication.
fn created(messages: &[Value]) -> HashMap<String, Vec<String>> {
    let mut by_user = HashMap::<_, Vec<_>>::new();
    for message in messages.iter().filter(|message| message["event"] == "session.created") {
        let text = |member: &str| message[member].as_str().unwrap().to_owned();
        by_user.entry(text("userId")).or_default().push(text("sessionId"));
    }
    by_user
}

#[actix_web::test]
async fn a_drain_publishes_everything_once_and_each_users_in_order() {
    const LOGINS: usize = 7;
    let node = Setup::default().start().await;
    let mut subscriber = node.subscribe();
    let mut opened: HashMap<String, Vec<String>> = HashMap::new();
    let people = node.register_many(60).await;
    let log_in = |person: crate::actors::testing::Person| {
        let node = &node;
        async move {
            let mut sessions: Vec<SessionId> = vec![person.session];
            for _ in 0..LOGINS {
                sessions.push(node.open(person.user).await.id());
            }
            (person.user.to_string(), sessions.iter().map(SessionId::to_string).collect())
        }
    };
    opened.extend(stream::iter(people.into_iter().map(log_in)).buffer_unordered(8).collect::<Vec<_>>().await);
    let waiting = node.store().outbox_backlog().await.unwrap().0;
    assert!(waiting > 500, "more than one batch");

    // The publisher's own loop finds the same work at the same time.
    let publisher = publisher(&node);
    publisher.address().send(DrainOutbox).await.unwrap();
    assert_eq!(node.store().outbox_backlog().await.unwrap().0, 0);
    let messages = heard(&mut subscriber);
    assert_eq!(messages.len() as u64, waiting, "each once");
    assert_eq!(created(&messages), opened);
}

#[actix_web::test]
async fn commits_are_published_without_being_asked_for() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let mut subscriber = node.subscribe();
    let _publisher = publisher(&node);
    eventually("the sign-up is out", async || node.store().outbox_backlog().await.unwrap().0 == 0).await;
    node.open(person.user).await;
    eventually("the login is out", async || node.store().outbox_backlog().await.unwrap().0 == 0).await;
    let events: Vec<_> = heard(&mut subscriber).iter().map(|message| message["event"].to_string()).collect();
    let expected = ["user.registered", "session.created", "user.login", "session.created"];
    assert_eq!(events, expected.map(|event| format!("\"{event}\"")));
}

#[actix_web::test]
async fn a_lost_publisher_is_started_again_and_publishes_what_is_owed() {
    let node = Setup::default().start().await;
    let publisher = publisher(&node);
    let lost = publisher.address();
    lost.do_send(Panic);
    eventually("it is gone", async || !lost.connected()).await;
    let mut subscriber = node.subscribe();
    let person = node.register().await;
    let session = node.open(person.user).await;
    eventually("everything is out", async || node.store().outbox_backlog().await.unwrap().0 == 0).await;
    assert_eq!(node.restarts("publisher"), 1);
    let expected = vec![person.session.to_string(), session.id().to_string()];
    assert_eq!(created(&heard(&mut subscriber))[&person.user.to_string()], expected);
}

#[actix_web::test]
async fn what_could_not_be_taken_from_the_outbox_stays_there() {
    let node = Setup::default().start().await;
    node.register().await;
    let mut subscriber = node.subscribe();
    let intruder = node.intruder().await;
    intruder
        .execute("CREATE TRIGGER broken BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'broken'); END")
        .await;
    let publisher = publisher(&node);
    publisher.address().send(DrainOutbox).await.unwrap();
    assert!(node.metrics().events_failed.get() > 0);
    assert_eq!(node.store().outbox_backlog().await.unwrap().0, 2);
    intruder.execute("DROP TRIGGER broken").await;
    publisher.address().send(DrainOutbox).await.unwrap();
    assert_eq!(node.store().outbox_backlog().await.unwrap().0, 0);
    let mut ids: Vec<_> = heard(&mut subscriber).iter().map(|event| event["eventId"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "told more than once, as the same events");
}
