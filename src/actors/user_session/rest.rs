//! What an actor does when its timer rings and nothing is due: it waits on, or rests.

use actix::{ActorContext, Context};

use super::UserSession;
use crate::domain::time::Timestamp;

impl UserSession {
    /// Something was asked: more may follow soon.
    pub(super) fn stay(&mut self) {
        self.rests_at = self.registry.clock().now().plus(self.registry.dependencies().rest_after);
    }

    /// When the first session is over, if that is to come and no device waits to be told something before.
    /// Activity that this node has seen since the timer was set is enough to say so: that needs no database.
    pub(super) fn quiet_until(&mut self) -> Option<Timestamp> {
        if self.prune_devices() > 0 {
            return None;
        }
        let shown = self.slot.snapshot()?;
        let policy = self.registry.policy_ref(shown.role);
        let deadline = shown.ledger(self.user).earliest_deadline(policy)?;
        (self.registry.clock().now() < deadline).then_some(deadline)
    }

    /// Rests until then if it has not been asked for anything lately, and no message is on its way.
    pub(super) fn wait_or_rest(&mut self, deadline: Timestamp, ctx: &mut Context<Self>) {
        let rests = self.rests_at <= self.registry.clock().now()
            && self.registry.passivate(self.user, &self.slot, deadline);
        if rests {
            self.rests = true;
            ctx.stop();
        } else {
            // A message that kept it may be one whose asker has gone, and never be handled.
            if self.rests_at <= self.registry.clock().now() {
                self.stay();
            }
            self.arm(deadline.min(self.rests_at));
        }
    }
}
