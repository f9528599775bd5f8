//! Sessions end for idleness by themselves, not a moment early, and never for somebody who is active.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::actors::live_session::LiveSession;
use crate::actors::session_status::SessionStatus;
use crate::actors::testing::{Node, Person, Setup, delay, eventually};
use crate::domain::command::EndOverdue;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;

#[actix_web::test]
async fn an_idle_session_ends_with_nobody_asking() {
    let node = Setup::idle_after(Duration::from_millis(200)).start().await;
    let person = node.register().await;
    node.registry.ask(person.user, EndOverdue).await.unwrap();
    eventually("it ended", async || node.ended("idle_timeout") == 1).await;
    eventually("its actor went", async || node.registry.resident_count() == 0).await;
    assert_eq!(node.metrics().mailbox_wait.get_sample_count(), 1, "nobody asked");
    let reason = node.store().lookup_ending(person.user, person.session).await.unwrap();
    assert_eq!(reason, Some(EndReason::IdleTimeout));
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::IdleTimeout))));
}

#[actix_web::test]
async fn many_sessions_end_at_the_same_moment() {
    let node = Setup::idle_after(Duration::from_millis(1_500)).start().await;
    let people = node.register_many(300).await;
    for person in &people {
        // Sessions whose time was already up end by this command.
        node.registry.ask(person.user, EndOverdue).await.unwrap();
    }
    eventually("all have ended", async || node.ended("idle_timeout") == 300).await;
    eventually("no timer is left", async || node.registry.alarms().len() == 0).await;
}

#[actix_web::test]
async fn who_goes_leaves_no_timer_behind() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    assert_eq!(node.registry.alarms().len(), 1);
    node.open(person.user).await;
    assert_eq!(node.registry.alarms().len(), 1, "one timer, however many sessions");
    node.kill(person.user).await;
    eventually("a panic takes it back", async || node.registry.alarms().len() == 0).await;
    node.present(person).await;
    assert_eq!(node.registry.alarms().len(), 1);
    node.retire(person.user);
    eventually("it is retired", async || node.registry.resident_count() == 0).await;
    eventually("and its timer gone", async || node.registry.alarms().len() == 0).await;
}

/// The waker may panic between taking an alarm and waking the actor.
#[actix_web::test]
async fn a_timer_that_was_lost_is_set_anew() {
    let node = Setup::idle_after(Duration::from_millis(200)).start().await;
    let person = node.register().await;
    let session = node.present(person).await.session;
    node.registry.alarms().clear();
    let deadline = session.idle_expires_at();
    eventually("its time is up", async || deadline <= node.registry.clock().now()).await;
    let opened = node.open(person.user).await;
    assert_eq!(node.registry.alarms().len(), 1);
    eventually("both have ended", async || node.ended("idle_timeout") == 2).await;
    let reason = node.store().lookup_ending(person.user, opened.id()).await.unwrap();
    assert_eq!(reason, Some(EndReason::IdleTimeout));
}

/// Waits until half of the idle time has passed and records activity then. `None` if this machine was
/// too slow.
async fn note_half_way(node: &Node, person: Person, idle: Duration) -> Option<(Timestamp, Timestamp)> {
    let SessionStatus::Active(present) = node.status(person).await else { return None };
    let (clock, opened) = (node.registry.clock(), present.session.profile.created_at);
    eventually("half of it is over", async || opened.plus(idle / 2) <= clock.now()).await;
    let noted = node.registry.note_activity(&present.session, clock.now())?;
    (noted < opened.plus(idle)).then_some((opened, noted))
}

#[actix_web::test]
async fn activity_moves_the_deadline() {
    for idle in [1, 4, 16].map(|fourths| Duration::from_millis(250) * fourths) {
        let node = Setup::idle_after(idle).start().await;
        let person = node.register().await;
        let Some((opened, noted)) = note_half_way(&node, person, idle).await else { continue };
        eventually("it ended", async || node.ended("idle_timeout") == 1).await;
        let ended = node.registry.clock().now();
        assert!(opened.plus(idle + idle / 2) <= noted.plus(idle), "the deadline did not move");
        assert!(noted.plus(idle) <= ended, "ended {ended}, before the idle time since {noted} had passed");
        assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::IdleTimeout))));
        return;
    }
    panic!("this machine is too slow to note activity in time");
}

/// Records activity on another thread, a given time after the request.
struct Hand {
    tell: mpsc::Sender<(Arc<LiveSession>, Duration)>,
    noted: mpsc::Receiver<Option<Timestamp>>,
}

impl Hand {
    fn of(node: &Node) -> Self {
        let (tell, told) = mpsc::channel::<(Arc<LiveSession>, Duration)>();
        let (answer, noted) = mpsc::channel();
        let registry = node.registry.clone();
        std::thread::spawn(move || {
            for (session, time) in told {
                delay(time);
                answer.send(registry.note_activity(&session, registry.clock().now())).unwrap();
            }
        });
        Self { tell, noted }
    }
}

/// How long an idle ending takes from the command to the answer.
async fn time_of_an_ending(node: &Node, idle: Duration) -> Duration {
    let person = node.register().await;
    node.present(person).await;
    node.advance(idle);
    let started = Instant::now();
    node.status(person).await;
    started.elapsed()
}

#[actix_web::test]
async fn activity_that_counts_and_an_idle_ending_exclude_each_other() {
    const ROUNDS: u32 = 3_000;
    let setup = Setup::default();
    let idle = setup.policy.idle_timeout;
    let node = setup.start().await;
    let longest = time_of_an_ending(&node, idle).await;
    let hand = Hand::of(&node);
    let mut person = node.register().await;
    let (mut lived, mut ended) = (0, 0);
    for round in 0..ROUNDS {
        // Mostly short delays: an ending is decided early and takes long to be stored.
        let present = node.present(person).await;
        node.advance(idle);
        hand.tell
            .send((Arc::clone(&present.session), longest * (round % 64).pow(3) / 64_u32.pow(3)))
            .unwrap();
        node.registry.ask(person.user, EndOverdue).await.unwrap();
        let noted = hand.noted.recv().unwrap();
        match node.status(person).await {
            SessionStatus::Active(_) => lived += 1,
            SessionStatus::Over(reason) => {
                assert_eq!(reason, Some(EndReason::IdleTimeout));
                assert_eq!(noted, None, "round {round}: activity was taken, and the session is over");
                ended += 1;
                let session = node.open(person.user).await;
                person = Person { session: session.id(), token: session.token, ..person };
            }
            SessionStatus::TokenMismatch => panic!("foreign"),
        }
    }
    assert!(lived > 0 && ended > 0, "no race: {lived} lived on, {ended} ended");
}

/// The commit may have been stored although it was answered with an error.
#[actix_web::test]
async fn activity_after_an_ending_of_unknown_outcome_is_not_promised_to_count() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    let present = node.present(person).await;
    node.advance(node.registry.policy(present.snapshot.role).idle_timeout);
    let intruder = node.intruder().await;
    intruder
        .execute("CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'broken'); END")
        .await;
    node.registry.ask(person.user, EndOverdue).await.unwrap_err();
    assert_eq!(node.registry.note_activity(&present.session, node.registry.clock().now()), None);
    intruder.execute("DROP TRIGGER broken").await;
    assert!(matches!(node.status(person).await, SessionStatus::Over(Some(EndReason::IdleTimeout))));
}
