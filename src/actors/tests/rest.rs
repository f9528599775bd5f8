//! An actor with nothing to do stops, its user stays resident, and nobody notices: no message is lost,
//! no ending is late, nothing is read again.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::actors::devices::Delivery;
use crate::actors::messages::Disconnected;
use crate::actors::registry::Registry;
use crate::actors::session_status::SessionStatus;
use crate::actors::testing::harm::Explode;
use crate::actors::testing::{Node, Setup, changed, eventually};
use crate::domain::command::{EndOverdue, Logout};
use crate::domain::reason::EndReason;

/// Actors that rest as soon as they can.
fn eager_passivation() -> Setup {
    Setup { rest_after: Duration::ZERO, ..Setup::default() }
}

async fn rests(node: &Node) {
    eventually("the actor is gone", async || node.metrics().user_actors.get() == 0).await;
}

#[actix_web::test]
async fn a_user_whose_actor_rests_is_served_as_before() {
    let node = eager_passivation().start().await;
    let person = node.register().await;
    node.present(person).await;
    rests(&node).await;
    let statements = || node.metrics().database_statements.get();
    let before = statements();
    node.present(person).await;
    assert_eq!(node.metrics().activations.get(), 1, "a check needs no actor");
    node.registry.ask(person.user, EndOverdue).await.unwrap();
    assert_eq!((node.metrics().activations.get(), statements()), (2, before), "it knows everything still");
    node.open(person.user).await;
    assert_eq!(node.present(person).await.snapshot.live().len(), 2);
    rests(&node).await;
    let metrics = node.metrics();
    assert_eq!(metrics.activations.get(), metrics.passivations.get());
    assert_eq!((node.registry.resident_count(), metrics.resident_users.get()), (1, 1));
    assert_eq!((metrics.active_sessions.get(), node.restarts("user")), (2, 0));
}

#[actix_web::test]
async fn an_actor_that_is_asked_now_and_then_stays() {
    let node = Setup { rest_after: Duration::from_secs(60), ..Setup::default() }.start().await;
    let person = node.register().await;
    node.present(person).await;
    for _ in 0..5 {
        node.advance(Duration::from_secs(59));
        node.registry.ask(person.user, EndOverdue).await.unwrap();
        node.registry.wake(person.user);
        node.registry.ask(person.user, EndOverdue).await.unwrap();
        assert_eq!(node.metrics().user_actors.get(), 1);
    }
    node.advance(Duration::from_secs(60));
    node.registry.wake(person.user);
    rests(&node).await;
}

#[actix_web::test]
async fn a_session_ends_in_time_although_its_actor_rests() {
    let idle = Duration::from_millis(300);
    let node = Setup { rest_after: Duration::ZERO, ..Setup::idle_after(idle) }.start().await;
    let person = node.register().await;
    let noted = {
        let session = node.present(person).await.session;
        rests(&node).await;
        node.registry.note_activity(&session, node.registry.clock().now()).unwrap()
    };
    eventually("it ended", async || node.ended("idle_timeout") == 1).await;
    assert!(noted.plus(idle) <= node.registry.clock().now(), "ended too early");
    let reason = node.store().lookup_ending(person.user, person.session).await.unwrap();
    assert_eq!(reason, Some(EndReason::IdleTimeout));
    eventually("its user went", async || node.registry.resident_count() == 0).await;
    assert_eq!(node.registry.alarms().len(), 0);
}

/// Activity that this node has seen is sufficient proof that a session goes on.
#[actix_web::test]
async fn a_timer_that_rings_too_early_needs_no_database() {
    let node = eager_passivation().start().await;
    let person = node.register().await;
    let session = node.present(person).await.session;
    rests(&node).await;
    let before = node.metrics().database_statements.get();
    for _ in 0..3 {
        node.advance(Duration::from_secs(200));
        node.registry.note_activity(&session, node.registry.clock().now()).unwrap();
        let woken = node.metrics().passivations.get();
        node.registry.wake(person.user);
        eventually("it rests again", async || node.metrics().passivations.get() > woken).await;
    }
    assert_eq!(node.metrics().database_statements.get(), before);
    assert_eq!((node.ended("idle_timeout"), node.registry.alarms().len()), (0, 1));
}

#[actix_web::test]
async fn whose_actor_rests_makes_room_for_others() {
    let node = Setup { max_residents: 1, ..eager_passivation() }.start().await;
    let (first, second) = (node.register().await, node.register().await);
    for person in [first, second, first] {
        node.present(person).await;
        rests(&node).await;
        assert_eq!((node.registry.resident_count(), node.registry.alarms().len()), (1, 1));
    }
}

#[actix_web::test]
async fn what_another_node_did_is_read_although_the_actor_rests() {
    let node = eager_passivation().start().await;
    let person = node.register().await;
    let version = node.present(person).await.snapshot.version;
    rests(&node).await;
    let intruder = node.intruder().await;
    intruder.execute("UPDATE sessions SET ended_at = 1, end_reason = 'terminated'").await;
    intruder.execute("UPDATE users SET session_version = session_version + 1").await;
    node.registry.note_change(&changed(person.user, version + 1));
    let status = node.status(person).await;
    assert!(matches!(status, SessionStatus::Over(Some(EndReason::Terminated))), "{status:?}");
}

/// The new actor reloads when it is asked to, whatever reload of the last actor was still pending.
#[actix_web::test]
async fn devices_of_an_actor_that_rested_hear_of_other_nodes() {
    let node = eager_passivation().start().await;
    let person = node.register().await;
    let version = node.present(person).await.snapshot.version;
    let mut deliveries = node.registry.connect(person.user, person.session, 1).await.unwrap();
    assert_eq!(node.metrics().user_actors.get(), 1, "who has devices stays");
    drop(deliveries);
    node.registry.disconnected(person.user);
    rests(&node).await;
    node.registry.note_change(&changed(person.user, version));
    deliveries = node.registry.connect(person.user, person.session, 1).await.unwrap();
    deliveries.next().await.unwrap();
    let intruder = node.intruder().await;
    intruder.execute("UPDATE sessions SET ended_at = 1, end_reason = 'terminated'").await;
    intruder.execute("UPDATE users SET session_version = session_version + 1").await;
    node.registry.note_change(&changed(person.user, version + 1));
    assert!(matches!(deliveries.next().await, Some(Delivery::Last(_, EndReason::Terminated))));
}

/// Another node commits after the ledger was read and before the device is connected: at first no device
/// here needs the news, and then one does.
#[actix_web::test]
async fn a_device_that_connects_misses_nothing_that_another_node_does_meanwhile() {
    let node = Setup { arbiters: 1, ..eager_passivation() }.start().await;
    let intruder = node.intruder().await;
    for round in 0..100 {
        let person = node.register().await;
        let version = node.store().load_ledger(person.user).await.unwrap().unwrap().version;
        let before = node.metrics().database_statements.get();
        let elsewhere = async {
            let begun = Instant::now();
            while node.metrics().database_statements.get() == before {
                assert!(begun.elapsed() < Duration::from_secs(30), "round {round}: it is not read");
                std::hint::spin_loop();
            }
            // The result of the read waits until the arbiter is free again.
            let (hold, held) = mpsc::channel::<()>();
            node.arbiters[0].spawn_fn(move || {
                // Returns when the sender is dropped.
                let _ = held.recv();
            });
            intruder.execute("UPDATE sessions SET ended_at = 1, end_reason = 'terminated'").await;
            intruder.execute("UPDATE users SET session_version = session_version + 1").await;
            node.registry.note_change(&changed(person.user, version + 1));
            drop(hold);
        };
        let connecting = node.registry.connect(person.user, person.session, 1);
        let mut deliveries = tokio::join!(biased; connecting, elsewhere).0.unwrap();
        let heard = async { while !matches!(deliveries.next().await, Some(Delivery::Last(..))) {} };
        let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
        assert!(heard.is_ok(), "round {round}: the device does not know");
    }
}

#[actix_web::test]
async fn who_has_no_session_left_is_remembered_for_a_while() {
    let node = eager_passivation().start().await;
    let person = node.register().await;
    node.present(person).await;
    rests(&node).await;
    let device = node.registry.connect(person.user, person.session, 1).await.unwrap();
    node.registry.ask(person.user, Logout { session: person.session }).await.unwrap().unwrap();
    drop(device);
    node.address(person.user).send(Disconnected).await.unwrap();
    let until_it_goes = node.registry.alarms().until_first().unwrap();
    assert!(until_it_goes > Duration::from_secs(200), "{until_it_goes:?}");
    let before = node.metrics().database_statements.get();
    for _ in 0..3 {
        assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::Logout))));
    }
    assert_eq!(node.metrics().database_statements.get(), before);
    node.registry.wake(person.user);
    eventually("its user went", async || node.registry.resident_count() == 0).await;
    assert_eq!(node.registry.alarms().len(), 0);
}

const ARBITERS: usize = 3;
const USERS: usize = 3;

#[actix_web::test]
async fn thousands_of_races_lose_no_message_and_leave_no_actor_behind() {
    let node = Setup { arbiters: ARBITERS, ..eager_passivation() }.start().await;
    let people = node.register_many(USERS).await;
    join_all(people.iter().map(|person| node.present(*person))).await;
    let loaded = node.metrics().mailbox_wait.get_sample_count();
    let raced = node.race(&people, Registry::wake).await;

    let metrics = node.metrics();
    rests(&node).await;
    assert_eq!(node.stored_versions(&people).await, raced.committed, "an acknowledged commit is not there");
    assert_eq!(metrics.commit_conflicts.get(), 0, "two actors of one user were at work");
    let handled = metrics.mailbox_wait.get_sample_count() - loaded;
    assert_eq!(handled, raced.asked, "not handled once each");
    assert_eq!((metrics.mailbox_refused.get(), node.restarts("user")), (0, 0));
    let rested = metrics.passivations.get();
    assert!(rested > 20, "only {rested} rests: nothing was raced");
    assert_eq!(metrics.activations.get(), rested);
    assert_eq!((node.registry.resident_count(), node.registry.alarms().len()), (USERS, USERS));
}

#[actix_web::test]
async fn who_was_roused_and_panics_is_started_afresh() {
    let node = eager_passivation().start().await;
    let person = node.register().await;
    node.present(person).await;
    rests(&node).await;
    let asked = node.registry.ask(person.user, Explode).await;
    asked.unwrap_err();
    let ended = node.registry.ask(person.user, Logout { session: person.session }).await;
    ended.unwrap().unwrap();
    assert_eq!((node.restarts("user"), node.ended("logout")), (1, 1));
}
