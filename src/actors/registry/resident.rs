//! A user's entry in the registry: the actor's address, and the slot.

use std::sync::Arc;

use actix::Addr;

use crate::actors::alarms::Timer;
use crate::actors::messages::Reload;
use crate::actors::user_session::UserSession;
use crate::actors::user_slot::{Lease, UserSlot};

/// An entry of the registry: 48 bytes, and the map has space for up to twice as many as there are
/// residents.
#[derive(Debug)]
pub(super) struct Resident {
    actor: ActorState,
    slot: Arc<UserSlot>,
}

/// The state of a resident's actor.
#[derive(Debug)]
enum ActorState {
    /// It runs, unless it was lost in a panic.
    Active(Addr<UserSession>),
    /// It had nothing to do and was passivated. All it knew is in the snapshot; its timer is still set.
    Resting(Timer),
}

impl Resident {
    pub(super) fn new(address: Addr<UserSession>, slot: Arc<UserSlot>) -> Self {
        Self { actor: ActorState::Active(address), slot }
    }

    pub(super) fn slot(&self) -> &Arc<UserSlot> {
        &self.slot
    }

    /// The actor's address, unless it rests.
    pub(super) fn address(&self) -> Option<&Addr<UserSession>> {
        match &self.actor {
            ActorState::Active(address) => Some(address),
            ActorState::Resting(_) => None,
        }
    }

    /// The timer of an actor that rests.
    pub(super) fn resting(&self) -> Option<Timer> {
        match self.actor {
            ActorState::Active(_) => None,
            ActorState::Resting(timer) => Some(timer),
        }
    }

    /// Has the actor read its sessions again, if it has devices to notify. At most one such message waits.
    pub(super) fn request_reload(&self) {
        if let Some(address) = self.address()
            && self.slot.take_reload_request()
        {
            address.do_send(Reload);
        }
    }

    /// Whether it takes messages.
    pub(super) fn is_active(&self) -> bool {
        self.address().is_some_and(Addr::connected)
    }

    /// Whether it panicked: its mailbox is closed, and the entry counts as absent.
    pub(super) fn is_lost(&self) -> bool {
        self.address().is_some_and(|address| !address.connected())
    }

    /// The right to send to an actor that does not rest; `None` if too many leases exist. Called under
    /// the map's lock on this entry, as are rest and retirement, which check the count.
    pub(super) fn lease(&self) -> Option<(Addr<UserSession>, Lease)> {
        let address = self.address()?;
        Lease::take(&self.slot).map(|lease| (address.clone(), lease))
    }

    /// Passivates the actor; its user stays resident.
    pub(super) fn rest(&mut self, timer: Timer) {
        self.slot.forget_devices();
        self.actor = ActorState::Resting(timer);
    }

    /// Activates an actor in place of one that rests.
    pub(super) fn wake_actor(&mut self, activate: impl FnOnce(&Arc<UserSlot>, Timer) -> Addr<UserSession>) {
        if let Some(timer) = self.resting() {
            self.actor = ActorState::Active(activate(&self.slot, timer));
        }
    }
}
