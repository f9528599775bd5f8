//! A panic affects one user once: the actor is restarted, and its state is recovered.

use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use futures_util::future::join_all;

use crate::actors::activity_flusher::{ActivityFlusher, FlushActivity};
use crate::actors::messages::ActorError;
use crate::actors::session_status::SessionStatus;
use crate::actors::testing::harm::Explode;
use crate::actors::testing::{Setup, eventually};
use crate::domain::command::{EndOverdue, RotateRefresh};
use crate::domain::reason::EndReason;

const MINUTE: Duration = Duration::from_secs(60);

#[actix_web::test]
async fn the_next_ask_works_and_others_notice_nothing() {
    let node = Setup::default().start().await;
    let (hurt, other) = (node.register().await, node.register().await);
    node.present(hurt).await;
    node.present(other).await;
    let untouched = node.slot(other.user);
    node.kill(hurt.user).await;
    node.present(other).await;
    node.open(hurt.user).await;
    assert_eq!(node.present(hurt).await.snapshot.live().len(), 2);
    assert!(Arc::ptr_eq(&untouched, &node.slot(other.user)), "the other user's actor was started again");
    assert_eq!((node.restarts("user"), node.metrics().activations.get()), (1, 3));
    assert_eq!((node.registry.resident_count(), node.metrics().resident_users.get()), (2, 2));
}

#[actix_web::test]
async fn a_caller_behind_a_panic_gets_an_error_or_another_try() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    let rotation = RotateRefresh { session: person.session, generation: 1 };
    let (exploded, rotated, ended) = tokio::join!(
        node.registry.ask(person.user, Explode),
        node.registry.ask(person.user, rotation),
        node.registry.ask(person.user, EndOverdue),
    );
    assert!(matches!(exploded, Err(ActorError::NoAnswer)), "{exploded:?}");
    assert!(matches!(rotated, Err(ActorError::NoAnswer)), "not repeatable: {rotated:?}");
    assert!(ended.is_ok(), "repeatable: {ended:?}");
    assert_eq!(node.restarts("user"), 1);
    node.registry.ask(person.user, rotation).await.unwrap().unwrap();
}

#[actix_web::test]
async fn panics_leave_no_lease_behind() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    for _ in 0..10 {
        join_all((0..20).map(|_| node.registry.ask(person.user, Explode))).await;
    }
    node.present(person).await;
    node.retire(person.user);
    eventually("it can be retired", async || node.registry.resident_count() == 0).await;
    assert_eq!(node.metrics().mailbox_refused.get(), 0);
}

/// One bug may affect everybody at the same moment.
#[actix_web::test]
async fn a_thousand_panics_at_once_cost_nobody_a_session() {
    const PEOPLE: usize = 1_000;
    let node = Setup { arbiters: 2, ..Setup::default() }.start().await;
    let people = node.register_many(PEOPLE).await;
    let bystander = node.register().await;
    join_all(people.iter().map(|person| node.present(*person))).await;
    let untouched = {
        node.present(bystander).await;
        node.slot(bystander.user)
    };
    let exploded = join_all(people.iter().map(|person| node.registry.ask(person.user, Explode))).await;
    assert!(exploded.iter().all(|answer| matches!(answer, Err(ActorError::NoAnswer))), "{exploded:?}");
    join_all(people.iter().map(|person| node.present(*person))).await;
    node.present(bystander).await;
    assert!(Arc::ptr_eq(&untouched, &node.slot(bystander.user)), "the bystander's actor was started again");
    assert_eq!(node.restarts("user"), PEOPLE as u64);
    let residents = PEOPLE as i64 + 1;
    assert_eq!(node.registry.resident_count() as i64, residents);
    eventually("what the dead ones held is given back", async || {
        let metrics = node.metrics();
        (metrics.resident_users.get(), metrics.active_sessions.get()) == (residents, residents)
    })
    .await;
}

#[actix_web::test]
async fn the_room_of_a_dead_actor_is_its_users_again() {
    let node = Setup { max_residents: 1, ..Setup::default() }.start().await;
    let person = node.register().await;
    node.present(person).await;
    node.kill(person.user).await;
    node.present(person).await;
    assert_eq!((node.restarts("user"), node.metrics().resident_users.get()), (1, 1));
}

#[actix_web::test]
async fn the_room_of_a_dead_actor_is_given_to_others() {
    let node = Setup { max_residents: 1, ..Setup::default() }.start().await;
    let (hurt, other) = (node.register().await, node.register().await);
    node.present(hurt).await;
    node.kill(hurt.user).await;
    node.present(other).await;
    assert_eq!((node.registry.resident_count(), node.metrics().resident_users.get()), (1, 1));
}

#[actix_web::test]
async fn what_a_dead_actor_showed_is_not_believed() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    node.kill(person.user).await;
    node.intruder().await.execute("UPDATE sessions SET ended_at = 1, end_reason = 'terminated'").await;
    let status = node.status(person).await;
    assert!(matches!(status, SessionStatus::Over(Some(EndReason::Terminated))), "{status:?}");
}

#[actix_web::test]
async fn activity_noted_before_is_kept() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let present = node.present(person).await;
    node.advance(MINUTE);
    let noted = node.registry.note_activity(&present.session, node.registry.clock().now()).unwrap();
    node.kill(person.user).await;
    assert_eq!(node.present(person).await.session.last_activity(), noted);
    let flusher = ActivityFlusher::new(node.registry.clone(), MINUTE).start();
    flusher.send(FlushActivity).await.unwrap();
    assert_eq!(node.stored_activity(person).await, noted);
}

/// A request may have a session from before the restart, and record activity on it.
#[actix_web::test]
async fn activity_noted_on_either_side_of_a_restart_is_kept() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let old = node.present(person).await.session;
    node.kill(person.user).await;
    let new = node.present(person).await.session;
    let mut noted = node.registry.clock().now();
    for session in [&new, &old, &new] {
        node.advance(MINUTE);
        noted = node.registry.note_activity(session, node.registry.clock().now()).unwrap();
    }
    let flusher = ActivityFlusher::new(node.registry.clone(), MINUTE).start();
    flusher.send(FlushActivity).await.unwrap();
    assert_eq!(node.stored_activity(person).await, noted);
}

#[actix_web::test]
async fn activity_noted_on_a_session_from_before_a_restart_keeps_it_alive() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let old = node.present(person).await.session;
    node.kill(person.user).await;
    node.present(person).await;
    node.advance(MINUTE * 4);
    let noted = node.registry.note_activity(&old, node.registry.clock().now()).unwrap();
    node.advance(MINUTE * 4);
    assert_eq!(node.present(person).await.session.last_activity(), noted);
}
