//! What an actor does when its timer rings and nothing is due: it waits longer, or rests.

use actix::{ActorContext, Context};

use super::UserSession;
use crate::domain::time::Timestamp;

impl UserSession {
    /// Postpones rest after a message, because more may follow soon.
    pub(super) fn stay(&mut self) {
        self.rests_at = self.registry.clock().now().plus(self.registry.dependencies().rest_after);
    }

    /// The deadline of the first session, if it is in the future and no device needs a message before
    /// it. Activity that this node has seen since the timer was set is sufficient for this, without the
    /// database.
    pub(super) fn quiet_until(&mut self) -> Option<Timestamp> {
        if self.prune_devices() > 0 {
            return None;
        }
        let shown = self.slot.snapshot()?;
        let policy = self.registry.policy_ref(shown.role);
        let deadline = shown.ledger(self.user).earliest_deadline(policy)?;
        (self.registry.clock().now() < deadline).then_some(deadline)
    }

    /// Rests until that deadline if it has had no message recently and none is on its way; otherwise waits.
    pub(super) fn wait_or_rest(&mut self, deadline: Timestamp, ctx: &mut Context<Self>) {
        let rests = self.rests_at <= self.registry.clock().now()
            && self.registry.passivate(self.user, &self.slot, deadline);
        if rests {
            self.rests = true;
            ctx.stop();
        } else {
            // The message that prevents rest may be one whose caller has gone, and may never be handled.
            if self.rests_at <= self.registry.clock().now() {
                self.stay();
            }
            self.arm(deadline.min(self.rests_at));
        }
    }
}
