//! The clock is set while people are signed in: what has ended stays ended, nobody is signed out by a
//! step back, and no legitimate request is refused.

use std::time::Duration;

use crate::actors::activity_flusher::{ActivityFlusher, FlushActivity};
use crate::actors::session_status::SessionStatus;
use crate::actors::testing::Setup;
use crate::domain::command::{EndOverdue, RotateRefresh, Terminate};
use crate::domain::reason::EndReason;
use actix::Actor;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// The idle timeout of the default setup.
const IDLE: Duration = Duration::from_secs(300);

#[actix_web::test]
async fn a_step_back_ends_nobody_and_takes_no_activity_back() {
    let node = Setup::default().start().await;
    let clock = node.registry.clock().clone();
    let person = node.register().await;
    let before = node.present(person).await.session.last_activity();
    clock.turn_back(HOUR);
    let present = node.present(person).await;
    assert_eq!(node.registry.note_activity(&present.session, clock.now()), Some(before), "it only moves on");
    node.registry.ask(person.user, EndOverdue).await.unwrap();
    let flusher = ActivityFlusher::new(node.registry.clone(), MINUTE).start();
    flusher.send(FlushActivity).await.unwrap();
    node.kill(person.user).await;
    assert_eq!(node.present(person).await.session.last_activity(), before, "as it is stored");

    node.advance(HOUR + IDLE - MINUTE);
    node.present(person).await;
    node.advance(MINUTE);
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::IdleTimeout))));
}

#[actix_web::test]
async fn everything_can_be_done_after_a_step_back() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    node.registry.clock().turn_back(HOUR);
    let rotation = |generation| RotateRefresh { session: person.session, generation };
    let ask = |generation| node.registry.ask(person.user, rotation(generation));
    assert_eq!(ask(1).await.unwrap().unwrap().session.refresh.generation, 2);
    // Lost on its way, and repeated: not theft.
    assert_eq!(ask(1).await.unwrap().unwrap().session.refresh.generation, 2);
    let opened = node.open(person.user).await;
    let end = Terminate { target: opened.id(), by: person.session };
    node.registry.ask(person.user, end).await.unwrap().unwrap();
    assert_eq!(node.present(person).await.snapshot.live().len(), 1);
}

/// New sessions seem older than those from before the step: the limit still holds, and a session that
/// was just opened stays.
#[actix_web::test]
async fn the_limit_holds_over_a_step_back() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    for _ in 0..20 {
        node.registry.clock().turn_back(HOUR);
        let opened = node.open(person.user).await;
        let live = node.slot(person.user).snapshot().unwrap();
        assert!(live.live().len() <= 5, "{} live sessions", live.live().len());
        assert!(live.find(opened.id()).is_some(), "a session was evicted by its own login");
    }
}

#[actix_web::test]
async fn a_step_on_and_back_brings_nobody_back() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    node.advance(HOUR);
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::IdleTimeout))));
    node.registry.clock().turn_back(HOUR);
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::IdleTimeout))));
    let opened = node.open(person.user).await;
    assert_eq!(node.slot(person.user).snapshot().unwrap().live().len(), 1);
    assert_eq!(opened.last_activity, node.registry.clock().now());
}
