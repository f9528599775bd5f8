//! Retiring users who were not heard of for longest. The actor itself decides whether it can go.
//!
//! The handshake: a lease is taken, and an entry removed, under the same lock of the map. An actor removes its own
//! entry only if no lease is out; whoever comes later finds no entry and starts a new actor, and by then the old one
//! has nothing left to do.

use std::sync::Arc;

use super::{Registry, Shared};
use crate::actors::messages::Retire;
use crate::domain::ids::UserId;

/// The share of residents that is retired at once, so that the search for the least recently used pays: one in 16.
const SHARE: usize = 16;

impl Registry {
    /// Asks the least recently used of the idle actors to go. One round at a time; who comes meanwhile waits for it.
    pub(super) async fn retire_some(&self) {
        let _round = self.0.retiring.lock().await;
        if self.0.room.available_permits() > 0 {
            return;
        }
        let count = (self.0.max_residents / SHARE).max(1);
        let registry = self.clone();
        let search = tokio::task::spawn_blocking(move || registry.least_recently_used(count));
        for user in search.await.unwrap_or_default() {
            if let Some(resident) = self.0.residents.get(&user) {
                resident.address().do_send(Retire);
            }
        }
    }

    fn least_recently_used(&self, count: usize) -> Vec<UserId> {
        let idle = self.0.residents.iter().filter(|resident| resident.shared().in_flight() == 0);
        let mut idle: Vec<_> =
            idle.map(|resident| (resident.shared().last_used(), *resident.key())).collect();
        if idle.len() > count {
            idle.select_nth_unstable(count);
            idle.truncate(count);
        }
        idle.into_iter().map(|(_, user)| user).collect()
    }

    /// Takes an actor's entry away if no message to it exists. Called by that actor, which then stops.
    pub(in crate::actors) fn release(&self, user: UserId, shared: &Arc<Shared>) -> bool {
        let removed = self.0.residents.remove_if(&user, |_, resident| {
            Arc::ptr_eq(resident.shared(), shared) && resident.shared().in_flight() == 0
        });
        if removed.is_some() {
            self.metrics().passivations.inc();
            self.left(user);
        }
        removed.is_some()
    }
}
