//! The check behind protected requests: no database and no mailbox while the snapshot is fresh, and never a
//! wrong answer.

use std::time::Duration;

use uuid::Uuid;

use crate::actors::session_status::SessionStatus;
use crate::actors::testing::{Node, Person, Setup};
use crate::clock::new_uuid;
use crate::domain::command::Logout;
use crate::domain::ids::{SessionId, SessionToken};
use crate::domain::reason::EndReason;
use crate::storage::activity::SeenActivity;

const MINUTE: Duration = Duration::from_secs(60);

fn traffic(node: &Node) -> (u64, u64) {
    let metrics = node.metrics();
    (metrics.database_statements.get(), metrics.mailbox_wait.get_sample_count())
}

#[actix_web::test]
async fn fresh_checks_and_activity_touch_neither_database_nor_mailbox() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    let before = traffic(&node);
    assert!(before.0 > 0 && before.1 > 0, "nothing is counted: {before:?}");
    for _ in 0..1_000 {
        node.advance(Duration::from_millis(1));
        let present = node.present(person).await;
        assert_eq!(node.registry.note_activity(&present.session, present.now), Some(present.now));
    }
    assert_eq!(traffic(&node), before);
}

#[actix_web::test]
async fn another_sessions_token_is_foreign() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let stranger = Person { token: SessionToken::new(Uuid::new_v4()), ..person };
    assert!(matches!(node.status(stranger).await, SessionStatus::TokenMismatch));
}

#[actix_web::test]
async fn an_ended_session_is_over_with_its_reason_and_an_unknown_one_without() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.registry.ask(person.user, Logout { session: person.session }).await.unwrap().unwrap();
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::Logout))));
    node.kill(person.user).await;
    let status = node.status(person).await;
    assert!(matches!(status, SessionStatus::Over(Some(EndReason::Logout))), "after a restart: {status:?}");
    let unknown = Person { session: SessionId::new(new_uuid()), ..person };
    assert!(matches!(node.status(unknown).await, SessionStatus::Over(None)));
}

/// As if another node had seen the person.
#[actix_web::test]
async fn activity_that_only_the_database_knows_keeps_a_session_alive() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    node.advance(MINUTE * 4);
    let at = node.registry.clock().now();
    let seen = SeenActivity { user: person.user, session: person.session, at };
    node.store().store_activity(vec![seen]).await.unwrap();
    node.advance(MINUTE * 4);
    assert_eq!(node.present(person).await.session.last_activity(), at);
    node.advance(MINUTE);
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::IdleTimeout))));
}
