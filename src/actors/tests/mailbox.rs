//! The bound of a mailbox: messages over it are refused at once, those within it are served.

use futures_util::future::join_all;

use crate::actors::messages::ActorError;
use crate::actors::testing::{Setup, eventually, login};
use crate::actors::user_slot::MAX_IN_FLIGHT;
use crate::domain::command::EndOverdue;

const OVER: usize = 72;

#[actix_web::test]
async fn what_is_over_the_bound_is_refused_and_the_rest_is_served() {
    let node = Setup::default().start().await;
    let (busy, other) = (node.register().await, node.register().await);
    let intruder = node.intruder().await;
    intruder.lock_writes().await;
    let asking = (0..MAX_IN_FLIGHT + OVER).map(|_| {
        let registry = node.registry.clone();
        actix::spawn(async move { registry.ask(busy.user, login()).await })
    });
    let asking: Vec<_> = asking.collect();
    eventually("some are refused", async || node.metrics().mailbox_refused.get() == OVER as u64).await;
    // Other users' actors are not affected.
    node.registry.ask(other.user, EndOverdue).await.unwrap();
    intruder.unlock().await;
    let answers: Vec<_> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
    let served = answers.iter().filter(|answer| matches!(answer, Ok(Ok(_)))).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(ActorError::Overloaded))).count();
    assert_eq!((served, refused), (MAX_IN_FLIGHT, OVER));
    let stored = node.store().load_ledger(busy.user).await.unwrap().unwrap();
    assert_eq!(stored.version, i64::try_from(MAX_IN_FLIGHT).unwrap());
    node.open(busy.user).await;
}
