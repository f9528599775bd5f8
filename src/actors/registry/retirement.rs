//! Retires the least recently used users. The actor itself decides whether it can stop.
//!
//! The handshake: a lease is taken, and an entry removed, under the same lock of the map. An actor removes
//! its own entry only if no lease is out; a later message finds no entry and starts a new actor, and by then
//! the old one has nothing left to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Registry;
use crate::actors::messages::Retire;
use crate::actors::user_slot::UserSlot;
use crate::domain::ids::UserId;

/// The share of residents that is retired at once, so that the search for the least recently used pays
/// off: one in 16.
const SHARE: usize = 16;

/// Time between two rounds: it gives actors that were asked to stop time to do so, and limits the rate
/// of rounds however many newcomers there are.
const ROUND: Duration = Duration::from_millis(5);

impl Registry {
    /// Has users retired, round after round, until the caller has got what it waits for and drops this
    /// future. One newcomer does it for all. A single round is not enough: an actor that is asked to
    /// stop stays if a message arrives first, and all may be busy at that moment.
    pub(super) async fn make_room(&self) {
        let mut last = self.0.making_room.lock().await;
        loop {
            if let Some(last) = *last {
                tokio::time::sleep(ROUND.saturating_sub(last.elapsed())).await;
            }
            *last = Some(Instant::now());
            self.retire_some().await;
        }
    }

    /// Retires the least recently used of the idle users.
    async fn retire_some(&self) {
        let count = (self.0.max_residents / SHARE).max(1);
        let registry = self.clone();
        // Runs on a blocking thread: there may be many, and those at rest are removed right here.
        let work = tokio::task::spawn_blocking(move || {
            registry.least_recently_used(count).into_iter().for_each(|user| registry.retire(user));
        });
        if let Err(error) = work.await {
            tracing::error!(%error, "residents.not_retired");
        }
    }

    /// Removes a user whose actor is lost or rests, and asks any other actor to stop.
    fn retire(&self, user: UserId) {
        if !self.remove_dead(user)
            && !self.remove_passive(user)
            && let Some(resident) = self.0.residents.get(&user)
            && let Some(address) = resident.address()
        {
            address.do_send(Retire);
        }
    }

    /// Removes a dead actor's entry, and with it its room permit. False if there is none.
    pub(super) fn remove_dead(&self, user: UserId) -> bool {
        let removed = self.0.residents.remove_if(&user, |_, resident| resident.is_lost());
        if let Some((_, resident)) = &removed {
            resident.slot().mark_gone();
            self.metrics().actor_restarts.with_label_values(&["user"]).inc();
            tracing::error!(actor = "user", "actor.restarted");
        }
        removed.is_some()
    }

    fn least_recently_used(&self, count: usize) -> Vec<UserId> {
        let idle = self.0.residents.iter().filter(|resident| resident.slot().in_flight() == 0);
        let mut idle: Vec<_> = idle.map(|resident| (resident.slot().last_used(), *resident.key())).collect();
        if idle.len() > count {
            idle.select_nth_unstable(count);
            idle.truncate(count);
        }
        idle.into_iter().map(|(_, user)| user).collect()
    }

    /// Removes an actor's entry if no message to it exists. Called by that actor, which then stops.
    pub(in crate::actors) fn release(&self, user: UserId, slot: &Arc<UserSlot>) -> bool {
        let removed = self.0.residents.remove_if(&user, |_, resident| {
            Arc::ptr_eq(resident.slot(), slot) && resident.slot().in_flight() == 0
        });
        if removed.is_some() {
            self.metrics().passivations.inc();
        }
        removed.is_some()
    }
}
