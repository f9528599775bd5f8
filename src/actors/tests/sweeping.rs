//! Users without an actor: time ends their sessions too. And sessions that ended long ago are deleted.

use std::time::Duration;

use actix::Actor;

use crate::actors::sweeper::{Found, Sweeper, delete_old_sessions, delete_spent_tickets, sweep};
use crate::actors::testing::{Setup, eventually};
use crate::clock::new_uuid;
use crate::domain::command::Logout;
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[actix_web::test]
async fn overdue_sessions_of_absent_users_end() {
    let node = Setup::default().start().await;
    let overdue = node.register_many(40).await;
    node.advance(MINUTE * 3);
    let recent = node.register().await;
    node.advance(MINUTE * 2);
    sweep(&node.registry).await.unwrap();
    for person in &overdue {
        let reason = node.store().lookup_ending(person.user, person.session).await.unwrap();
        assert_eq!(reason, Some(EndReason::IdleTimeout));
    }
    assert_eq!(node.store().lookup_ending(recent.user, recent.session).await.unwrap(), None);
    assert_eq!(node.metrics().activations.get(), 40, "only whose time is up is woken");
    assert_eq!(node.ended("idle_timeout"), 40);
}

#[actix_web::test]
async fn the_absolute_end_comes_whatever_the_activity() {
    let setup = Setup::default();
    let policy = Policy { lifetime: MINUTE * 4, ..setup.policy.clone() };
    let node = Setup { policy, ..setup }.start().await;
    let person = node.register().await;
    node.advance(MINUTE * 4);
    sweep(&node.registry).await.unwrap();
    let reason = node.store().lookup_ending(person.user, person.session).await.unwrap();
    assert_eq!(reason, Some(EndReason::Expired));
}

#[actix_web::test]
async fn the_sessions_of_a_dead_actor_are_swept() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    node.kill(person.user).await;
    node.advance(MINUTE * 5);
    sweep(&node.registry).await.unwrap();
    let reason = node.store().lookup_ending(person.user, person.session).await.unwrap();
    assert_eq!(reason, Some(EndReason::IdleTimeout));
}

#[actix_web::test]
async fn activity_that_is_not_written_yet_is_heeded() {
    let node = Setup { max_residents: 1, ..Setup::default() }.start().await;
    let person = node.register().await;
    let session = node.present(person).await.session;
    node.advance(MINUTE * 4);
    let other = node.register().await;
    node.registry.note_activity(&session, node.registry.clock().now()).unwrap();
    node.present(other).await;
    assert!(node.registry.get(person.user).is_none(), "retired, with activity noted");
    node.advance(MINUTE);
    sweep(&node.registry).await.unwrap();
    assert_eq!(node.store().lookup_ending(person.user, person.session).await.unwrap(), None);
    assert_eq!(node.store().lookup_ending(other.user, other.session).await.unwrap(), None);
}

#[actix_web::test]
async fn the_sweeper_looks_by_itself() {
    let node = Setup::idle_after(Duration::from_millis(100)).start().await;
    let person = node.register().await;
    let _sweeper = Sweeper::new(node.registry.clone(), DAY).start();
    eventually("it ended", async || node.ended("idle_timeout") == 1).await;
    let reason = node.store().lookup_ending(person.user, person.session).await.unwrap();
    assert_eq!(reason, Some(EndReason::IdleTimeout));
}

#[actix_web::test]
async fn retention_deletes_old_ended_sessions_only() {
    let setup = Setup::default();
    let policy = Policy { idle_timeout: DAY * 7, ..setup.policy.clone() };
    let node = Setup { policy, ..setup }.start().await;
    let (old, recent, live) = (node.register().await, node.register().await, node.register().await);
    let log_out = async |person: crate::actors::testing::Person| {
        node.registry.ask(person.user, Logout { session: person.session }).await.unwrap().unwrap();
    };
    log_out(old).await;
    node.advance(DAY);
    log_out(recent).await;
    delete_old_sessions(&node.registry, DAY).await.unwrap();
    assert_eq!(
        node.store().lookup_ending(old.user, old.session).await.unwrap(),
        Some(EndReason::Logout),
        "not older than a day"
    );
    node.advance(Duration::from_millis(1));
    delete_old_sessions(&node.registry, DAY).await.unwrap();
    assert_eq!(node.store().lookup_ending(old.user, old.session).await.unwrap(), None);
    assert_eq!(
        node.store().lookup_ending(recent.user, recent.session).await.unwrap(),
        Some(EndReason::Logout)
    );
    assert_eq!(node.store().load_ledger(live.user).await.unwrap().unwrap().live().len(), 1);
}

#[actix_web::test]
async fn a_spent_ticket_is_forgotten_when_nobody_can_take_it_for_good() {
    let node = Setup::default().start().await;
    let user = node.register().await.user;
    let (ticket, valid_until) = (new_uuid(), node.registry.clock().now().plus(Duration::from_secs(30)));
    let spend = async || node.store().spend_ticket(user, ticket, valid_until).await.unwrap();
    assert!(spend().await);
    node.advance(Duration::from_secs(90));
    delete_spent_tickets(&node.registry).await.unwrap();
    assert!(!spend().await, "a node whose clock is behind may take it for good");
    node.advance(Duration::from_millis(1));
    delete_spent_tickets(&node.registry).await.unwrap();
    assert!(spend().await);
}

#[actix_web::test]
async fn rows_that_cannot_be_read_starve_nobody() {
    let node = Setup::default().start().await;
    node.register_many(1_000).await;
    node.intruder().await.execute("UPDATE sessions SET amr = 1 << 20").await;
    node.advance(MINUTE);
    let good = node.register().await;
    node.advance(MINUTE * 5);
    // The first searches are full of them, the last is not.
    while sweep(&node.registry).await.unwrap() == Found::Part {}
    let reason = node.store().lookup_ending(good.user, good.session).await.unwrap();
    assert_eq!(reason, Some(EndReason::IdleTimeout));
    // Once a newer version can read them, or their rows have been repaired, they end.
    node.intruder().await.execute("UPDATE sessions SET amr = 1").await;
    node.advance(MINUTE);
    while sweep(&node.registry).await.unwrap() == Found::Part {}
    assert_eq!(node.ended("idle_timeout"), 1_001);
}
