//! A device connects: it is let in if its session is live, and told everything from then on.

use actix::{ActorFutureExt, AtomicResponse, Context, Handler, WrapFuture};

use super::UserSession;
use crate::actors::messages::{ActorError, Connect, ConnectRefusal};
use crate::domain::command::EndOverdue;
use crate::domain::ledger::Ledger;

impl Handler<Connect> for UserSession {
    type Result = AtomicResponse<Self, Result<(), ConnectRefusal>>;

    fn handle(&mut self, message: Connect, _: &mut Context<Self>) -> Self::Result {
        let work = self.execution(EndOverdue).run().into_actor(self).map(|(ledger, result), actor, ctx| {
            actor.settle(ledger.as_ref(), &result, ctx);
            result?;
            let ledger = ledger.ok_or(ActorError::NoAnswer)?;
            let connected = actor.connect(message, &ledger);
            if let Some(wake) = actor.next_wake(&ledger, actor.registry.clock().now()) {
                actor.arm(wake);
            }
            connected
        });
        AtomicResponse::new(Box::pin(work))
    }
}

impl UserSession {
    fn connect(&mut self, message: Connect, ledger: &Ledger) -> Result<(), ConnectRefusal> {
        let Connect { session, queue, most, lease: _lease } = message;
        if ledger.find(session).is_none() {
            return Err(ConnectRefusal::Over(ledger.remembered_ending(session).map(|ended| ended.reason)));
        }
        self.prune_devices();
        let devices = self.devices.get_or_insert_default();
        if devices.of_session(session) >= most {
            return Err(ConnectRefusal::TooMany);
        }
        let policy = self.registry.policy_ref(ledger.role);
        let now = self.registry.clock().now();
        devices.connect(session, queue, ledger, policy, now);
        // Whoever connects when the time is nearly up is warned at once.
        devices.tell_deadlines(ledger, policy, now, self.registry.metrics());
        self.mark_warned();
        self.shared.has_devices();
        Ok(())
    }
}
