//! Asking actors while something makes them stop, thousands of times.

use std::time::Duration;

use actix::Arbiter;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{Node, Person, delay, login};
use crate::actors::registry::Registry;
use crate::domain::command::EndOverdue;
use crate::domain::ids::UserId;

/// How often each of the two callers per user asks.
const ROUNDS: usize = 1_000;
/// One of this many attempts commits; the others only read.
const COMMITS: usize = 4;
/// Longest time between the disturbance and the command, in µs.
const LONGEST_DELAY: usize = 160;

/// What a disturbance does to a user's actor.
type Disturb = fn(&Registry, UserId);

/// How many commands were sent, and how many commits were acknowledged.
pub(in crate::actors) struct Raced {
    pub(in crate::actors) asked: u64,
    pub(in crate::actors) committed: i64,
}

impl Node {
    /// Has two callers on different arbiters ask for each of these users, again and again, each time
    /// racing the disturbance.
    pub(in crate::actors) async fn race(&self, people: &[Person], disturb: Disturb) -> Raced {
        let askers = (0..2 * people.len()).map(|asker| {
            let arbiter = &self.arbiters[asker % self.arbiters.len()];
            on_arbiter(arbiter, self.registry.clone(), people[asker / 2].user, disturb)
        });
        let committed = join_all(askers).await.into_iter().map(Result::unwrap).sum();
        Raced { asked: (2 * people.len() * ROUNDS) as u64, committed }
    }

    /// How many commits of theirs the database has.
    pub(in crate::actors) async fn stored_versions(&self, people: &[Person]) -> i64 {
        let mut sum = 0;
        for person in people {
            sum += self.store().load_ledger(person.user).await.unwrap().unwrap().version;
        }
        sum
    }
}

fn on_arbiter(
    arbiter: &Arbiter,
    registry: Registry,
    user: UserId,
    disturb: Disturb,
) -> oneshot::Receiver<i64> {
    let (done, is_done) = oneshot::channel();
    arbiter.spawn(async move {
        // The receiver is gone only if the test has failed already.
        let _ = done.send(ask_and_disturb(registry, user, disturb).await);
    });
    is_done
}

/// Returns how many commits were acknowledged.
async fn ask_and_disturb(registry: Registry, user: UserId, disturb: Disturb) -> i64 {
    let mut committed = 0;
    for round in 0..ROUNDS {
        disturb(&registry, user);
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
