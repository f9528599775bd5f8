//! Rest (passivation): a user whose actor has had nothing to do for a while stays resident without it.
//! Requests read its snapshot, as before; the next message or the timer activates an actor again, which
//! needs no database for that.
//!
//! The handshake is that of retirement: a lease is taken, and an actor passivated, under the same lock
//! of the map. A later message finds it at rest and activates a new one, and by then the old one has
//! nothing left to do.

use std::sync::Arc;

use super::{Registry, Resident, UserSlot};
use crate::actors::alarms::Timer;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

impl Registry {
    /// Passivates an actor until that deadline, if no message to it exists. Called by that actor, which
    /// then stops.
    pub(in crate::actors) fn passivate(&self, user: UserId, slot: &Arc<UserSlot>, until: Timestamp) -> bool {
        let resident = self.0.residents.get_mut(&user);
        let resident = resident.filter(|it| Arc::ptr_eq(it.slot(), slot) && slot.in_flight() == 0);
        let Some(mut resident) = resident else { return false };
        // Set under the lock, so that a ring waits for the lock and finds that the actor rests.
        let ringing = self.0.alarms.set(user, self.clock().now().until(until));
        resident.rest(Timer { deadline: until, ringing });
        self.metrics().passivations.inc();
        true
    }

    /// Activates an actor that continues where the resting one stopped.
    pub(super) fn wake_actor(&self, user: UserId, resident: &mut Resident) {
        resident.wake_actor(|slot, timer| self.activate(user, slot, None, Some(timer)));
    }

    /// Removes the entry of a user whose actor rests. False if there is none.
    pub(super) fn remove_passive(&self, user: UserId) -> bool {
        let removed = self.0.residents.remove_if(&user, |_, resident| resident.resting().is_some());
        let timer = removed.and_then(|(_, resident)| resident.resting());
        if let Some(timer) = timer {
            self.0.alarms.cancel(user, timer.ringing);
        }
        timer.is_some()
    }
}
