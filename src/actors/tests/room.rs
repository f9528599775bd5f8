//! `MAX_RESIDENT_USERS` is never exceeded, and nobody is refused because of it while other users are
//! merely idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};

use crate::actors::session_status::SessionStatus;
use crate::actors::testing::{Node, Person, Setup, eventually, login};
use crate::clock::Clock;
use crate::domain::command::EndOverdue;

const ROOM: usize = 8;
const USERS: usize = 200;
const AT_ONCE: usize = 32;

/// Asks for every user, many at once, three times each: to read, to change, to read.
async fn serve_everybody(node: &Node) {
    let people = node.register_many(USERS).await;
    let visits = people.iter().chain(&people).chain(&people).enumerate().map(|(visit, person)| async move {
        if visit / USERS == 1 {
            node.registry.ask(person.user, login()).await.map(drop)
        } else {
            node.registry.ask(person.user, EndOverdue).await
        }
    });
    let answers: Vec<_> = stream::iter(visits).buffer_unordered(AT_ONCE).collect().await;
    for answer in answers {
        answer.unwrap();
    }
    for person in people {
        let stored = node.store().load_ledger(person.user).await.unwrap().unwrap();
        assert_eq!((stored.version, stored.live().len()), (1, 2));
    }
}

/// With everything on one thread both counts are exact at every moment.
#[actix_web::test]
async fn nobody_is_turned_away_and_the_bound_holds_on_one_arbiter() {
    let node = Setup { max_residents: ROOM, ..Setup::default() }.start().await;
    let done = Arc::new(AtomicBool::new(false));
    let looking = actix::spawn({
        let (registry, done) = (node.registry.clone(), Arc::clone(&done));
        async move {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                let gauge = usize::try_from(registry.metrics().resident_users.get()).unwrap();
                most = most.max(registry.resident_count()).max(gauge);
                tokio::task::yield_now().await;
            }
            most
        }
    });
    serve_everybody(&node).await;
    done.store(true, Ordering::Relaxed);
    assert_eq!(looking.await.unwrap(), ROOM, "most residents at once");
    assert_eq!(node.metrics().commit_conflicts.get(), 0);
}

/// A user who is retired between the actor's answer and the read of the snapshot is asked for again, not
/// signed out.
#[actix_web::test]
async fn nobody_is_signed_out_for_want_of_room() {
    let node = Setup { max_residents: ROOM, ..Setup::default() }.start().await;
    let people = node.register_many(USERS).await;
    // Only the result is kept, because holding a session keeps its user's room permit.
    let visit = async |person: &Person| {
        let status = node.registry.status(person.user, person.session, Some(person.token)).await;
        status.map(|status| matches!(status, SessionStatus::Active(_)))
    };
    let visits = people.iter().chain(&people).chain(&people).map(visit);
    let found: Vec<_> = stream::iter(visits).buffer_unordered(AT_ONCE).collect().await;
    for present in found {
        assert!(present.unwrap(), "a live session was taken for an ended one");
    }
}

/// The gauge is a single number, so it can be read while several threads change it.
#[actix_web::test]
async fn nobody_is_turned_away_and_the_bound_holds_on_many_arbiters() {
    let node = Setup { max_residents: ROOM, arbiters: 3, ..Setup::default() }.start().await;
    let done = Arc::new(AtomicBool::new(false));
    let looking = std::thread::spawn({
        let (metrics, done) = (node.metrics().clone(), Arc::clone(&done));
        move || {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(metrics.resident_users.get());
                std::thread::yield_now();
            }
            most
        }
    });
    serve_everybody(&node).await;
    done.store(true, Ordering::Relaxed);
    let most = looking.join().unwrap();
    assert!(most <= i64::try_from(ROOM).unwrap(), "{most} residents at once");
    assert_eq!(node.metrics().commit_conflicts.get(), 0);
}

/// A user with a connected device stays, and must not keep others from being retired.
#[actix_web::test]
async fn a_connected_user_does_not_keep_others_from_making_room() {
    let node = Setup { max_residents: 2, clock: Clock::System, ..Setup::default() }.start().await;
    let (connected, idle, newcomer) = (node.register().await, node.register().await, node.register().await);
    let device = node.registry.connect(connected.user, connected.session, 1).await.unwrap();
    let since = node.registry.clock().now();
    eventually("the other one was used later", async || since < node.registry.clock().now()).await;
    node.present(idle).await;
    node.present(newcomer).await;
    assert!(node.registry.get(connected.user).is_some());
    drop(device);
}
