//! Retirement racing messages: none is lost, and no user ever has two actors.

use std::time::Duration;

use actix::Arbiter;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::actors::messages::Retire;
use crate::actors::registry::Registry;
use crate::actors::testing::{Node, Person, Setup, delay, eventually, login};
use crate::domain::command::EndOverdue;
use crate::domain::ids::UserId;

const ARBITERS: usize = 3;
const USERS: usize = 3;
const ASKERS: usize = 6;
const ROUNDS: usize = 1_000;
/// Of so many asks one commits; the others only look.
const COMMITS: usize = 4;
/// Longest time between asking an actor to go and asking it to do something, in µs.
const LONGEST_DELAY: usize = 160;

/// Asks again and again, each time racing a retirement; returns how many commits were acknowledged.
async fn ask_and_retire(registry: Registry, user: UserId) -> i64 {
    let mut committed = 0;
    for round in 0..ROUNDS {
        if let Some(address) = registry.address(user) {
            address.do_send(Retire);
        }
        delay(Duration::from_micros((round % 16 * LONGEST_DELAY / 16) as u64));
        if round % COMMITS == 0 {
            registry.ask(user, login()).await.unwrap().unwrap();
            committed += 1;
        } else {
            registry.ask(user, EndOverdue).await.unwrap();
        }
    }
    committed
}

fn on_arbiter(arbiter: &Arbiter, registry: Registry, user: UserId) -> oneshot::Receiver<i64> {
    let (done, is_done) = oneshot::channel();
    arbiter.spawn(async move {
        // Nobody waits any more only if the test has failed already.
        let _ = done.send(ask_and_retire(registry, user).await);
    });
    is_done
}

async fn stored_versions(node: &Node, people: &[Person]) -> i64 {
    let mut sum = 0;
    for person in people {
        sum += node.store().load_ledger(person.user).await.unwrap().unwrap().version;
    }
    sum
}

#[actix_web::test]
async fn thousands_of_races_lose_no_message_and_make_no_second_actor() {
    let node = Setup { arbiters: ARBITERS, ..Setup::default() }.start().await;
    let people = node.register_many(USERS).await;
    // Two askers a user, on different arbiters.
    let askers = (0..ASKERS).map(|asker| {
        on_arbiter(&node.arbiters[asker % ARBITERS], node.registry.clone(), people[asker / 2].user)
    });
    let committed: i64 = join_all(askers).await.into_iter().map(Result::unwrap).sum();

    let metrics = node.metrics();
    assert_eq!(stored_versions(&node, &people).await, committed, "an acknowledged commit is not there");
    assert_eq!(metrics.commit_conflicts.get(), 0, "two actors of one user were at work");
    assert_eq!(metrics.mailbox_wait.get_sample_count(), (ASKERS * ROUNDS) as u64, "not handled once each");
    assert_eq!((metrics.mailbox_refused.get(), node.restarts("user")), (0, 0));
    let retired = metrics.passivations.get();
    assert!(retired > 20, "only {retired} retirements: nothing was raced");
    assert_eq!(metrics.activations.get() - retired, node.registry.resident_count() as u64);
    people.iter().for_each(|person| node.retire(person.user));
    eventually("all are gone", async || metrics.resident_users.get() == 0).await;
    assert_eq!(node.registry.resident_count(), 0);
}

#[actix_web::test]
async fn an_actor_with_a_message_on_its_way_does_not_go() {
    let node = Setup::default().start().await;
    let person = node.register().await;
    node.present(person).await;
    let intruder = node.intruder().await;
    intruder.lock_writes().await;
    let asking = actix::spawn({
        let registry = node.registry.clone();
        async move { registry.ask(person.user, login()).await }
    });
    eventually("the message is in hand", async || node.metrics().mailbox_wait.get_sample_count() == 2).await;
    node.retire(person.user);
    // In this order: the second message takes its lease, and then the first can be finished.
    let (waiting, ()) = tokio::join!(biased; node.registry.ask(person.user, EndOverdue), intruder.unlock());
    waiting.unwrap();
    asking.await.unwrap().unwrap().unwrap();
    assert_eq!((node.metrics().passivations.get(), node.metrics().activations.get()), (0, 1));
}
