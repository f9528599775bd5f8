//! What other nodes did, as far as it concerns users who are here.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::Registry;
use crate::bus::internal::{Invalidation, SHARDS, shard_of};
use crate::bus::redis::subscriber::Listener;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

impl Registry {
    /// Another node has committed that version of a user's sessions. True if it was news here; from now on requests
    /// no longer trust what was shown, and the actor reads it again when it is next asked.
    pub fn outdate(&self, user: UserId, version: i64) -> bool {
        let Some(resident) = self.0.residents.get(&user) else { return false };
        let news = resident.shared().require(version);
        if news {
            resident.look_again();
        }
        news
    }

    /// Has the user's actor look at its sessions again, if it has devices to tell.
    pub(in crate::actors) fn look_again(&self, user: UserId) {
        if let Some(resident) = self.0.residents.get(&user) {
            resident.look_again();
        }
    }

    /// Trusts nothing that is remembered: every user here is read again when next asked for.
    pub fn distrust_all(&self) {
        for resident in &self.0.residents {
            resident.shared().distrust();
            resident.look_again();
        }
    }

    /// A user is no longer here.
    pub(super) fn left(&self, user: UserId) {
        self.0.shards[shard_of(user)].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Listener for Registry {
    fn shards(&self) -> BTreeSet<usize> {
        (0..SHARDS).filter(|shard| self.0.shards[*shard].load(Ordering::Relaxed) > 0).collect()
    }

    fn invalidated(&self, invalidation: &Invalidation) {
        if invalidation.node == self.0.node || !self.outdate(invalidation.user, invalidation.version) {
            return;
        }
        let took = Timestamp::from_millis(invalidation.at).until(self.clock().now());
        if !invalidation.ended.is_empty() {
            let histogram = self.metrics().revocation_propagation.with_label_values(&["redis"]);
            histogram.observe(took.as_secs_f64());
        }
    }
}
