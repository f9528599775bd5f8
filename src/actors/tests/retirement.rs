//! Retirement racing messages: none is lost, and no user ever has two actors.

use crate::actors::messages::Retire;
use crate::actors::testing::{Setup, eventually, login};
use crate::domain::command::EndOverdue;

const ARBITERS: usize = 3;
const USERS: usize = 3;

#[actix_web::test]
async fn thousands_of_races_lose_no_message_and_make_no_second_actor() {
    let node = Setup { arbiters: ARBITERS, ..Setup::default() }.start().await;
    let people = node.register_many(USERS).await;
    let raced = node
        .race(&people, |registry, user| {
            if let Some(address) = registry.address(user) {
                address.do_send(Retire);
            }
        })
        .await;

    let metrics = node.metrics();
    assert_eq!(node.stored_versions(&people).await, raced.committed, "an acknowledged commit is not there");
    assert_eq!(metrics.commit_conflicts.get(), 0, "two actors of one user were at work");
    assert_eq!(metrics.mailbox_wait.get_sample_count(), raced.asked, "not handled once each");
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
    // The order matters: the second message takes its lease before the first can be finished.
    let (waiting, ()) = tokio::join!(biased; node.registry.ask(person.user, EndOverdue), intruder.unlock());
    waiting.unwrap();
    asking.await.unwrap().unwrap().unwrap();
    assert_eq!((node.metrics().passivations.get(), node.metrics().activations.get()), (0, 1));
}
