//! A device connects: it is admitted if its session is live, and notified of everything from then on,
//! until it disconnects.

use actix::{ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, WrapFuture};

use super::UserSession;
use crate::actors::messages::{ActorError, Connect, ConnectRefusal, Disconnected, Reload};
use crate::domain::ledger::Ledger;

impl Handler<Connect> for UserSession {
    type Result = AtomicResponse<Self, Result<(), ConnectRefusal>>;

    fn handle(&mut self, message: Connect, _: &mut Context<Self>) -> Self::Result {
        self.stay();
        let work = self.end_overdue().run().into_actor(self).map(|(ledger, result), actor, ctx| {
            actor.after_command(ledger.as_ref(), &result, ctx);
            result?;
            let ledger = ledger.ok_or(ActorError::NoAnswer)?;
            actor.connect(message, &ledger)?;
            // Until then this actor was not notified of other nodes' changes, since it had no device to
            // notify.
            if actor.slot.is_behind(ledger.version) {
                ctx.notify(Reload);
            }
            // A timer set for resting fires early, and an actor with devices queries the database when
            // it fires.
            actor.disarm();
            actor.arm(actor.next_wake(&ledger, actor.registry.clock().now()));
            Ok(())
        });
        AtomicResponse::new(Box::pin(work))
    }
}

impl Handler<Disconnected> for UserSession {
    type Result = ();

    fn handle(&mut self, _: Disconnected, _: &mut Context<Self>) {
        // Without devices it may rest. A user without sessions is remembered for as long as without
        // devices.
        if self.quiet_until().is_some() {
            self.stay();
            self.arm(self.rests_at);
        }
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
        devices.connect(session, queue, ledger, now);
        // A device that connects shortly before the deadline gets its warning now.
        devices.tell_deadlines(ledger, policy, now, self.registry.metrics());
        self.mark_warned();
        self.slot.has_devices();
        Ok(())
    }
}
