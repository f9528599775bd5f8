//! The actor of one user: the one writer of that user's sessions on this node, and their timer.
//!
//! It handles one message at a time, to its end, also over awaits. It never asks another user's actor. Everything it
//! knows can be read again from the database, so it may be lost at any moment.

mod execution;

use std::sync::Arc;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, SpawnHandle,
    WrapFuture,
};

use super::messages::{ActorError, Execute, Retire};
use super::registry::{Registry, Shared};
use crate::domain::command::{Command, EndOverdue};
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::time::Timestamp;
use execution::Execution;

/// One user's sessions on this node.
#[derive(Debug)]
pub struct UserSession {
    user: UserId,
    registry: Registry,
    shared: Arc<Shared>,
    /// None until the first message has loaded it, and after a commit whose outcome is unknown.
    ledger: Option<Ledger>,
    /// The one timer, and the deadline it was set for. Activity moves the deadline, not the timer.
    timer: Option<(Timestamp, SpawnHandle)>,
}

impl UserSession {
    pub(super) fn new(user: UserId, registry: Registry, shared: Arc<Shared>, ledger: Option<Ledger>) -> Self {
        Self { user, registry, shared, ledger, timer: None }
    }

    fn execution<C: Command>(&mut self, command: C) -> Execution<C> {
        Execution {
            user: self.user,
            registry: self.registry.clone(),
            shared: Arc::clone(&self.shared),
            ledger: self.ledger.take(),
            outdated: None,
            turn: None,
            command,
        }
    }

    /// Takes over what a command left, shows it to requests, and sees to the timer. The reply goes out after this.
    fn install(&mut self, ledger: Option<Ledger>, ctx: &mut Context<Self>) {
        self.shared.publish(ledger.as_ref());
        self.ledger = ledger;
        match self.ledger.as_ref().map(|ledger| self.registry.next_deadline(ledger)) {
            Some(Some(deadline)) => self.arm(deadline, ctx),
            Some(None) => {}
            // Without a ledger there is nothing to stay for; whoever asks next starts afresh.
            None => ctx.notify(Retire),
        }
    }

    /// Sets the timer, unless it is set for that time or an earlier one.
    fn arm(&mut self, deadline: Timestamp, ctx: &mut Context<Self>) {
        match self.timer {
            Some((armed, _)) if armed <= deadline => return,
            Some((_, handle)) => drop(ctx.cancel_future(handle)),
            None => {}
        }
        let delay = self.registry.clock().now().until(deadline);
        let handle = ctx.run_later(delay, |actor, ctx| actor.on_timer(ctx));
        self.timer = Some((deadline, handle));
    }

    fn on_timer(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        // Where the database is away the actor retires, and the sweeper finds what is overdue when it is back.
        let work = self.execution(EndOverdue).run().into_actor(self).map(|(ledger, _), actor, ctx| {
            actor.install(ledger, ctx);
            if actor.ledger.as_ref().is_some_and(|ledger| ledger.live().is_empty()) {
                ctx.notify(Retire);
            }
        });
        // As with a message: nothing else is handled until this is done.
        ctx.wait(work);
    }
}

impl Actor for UserSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(known) = self.ledger.take() {
            self.install(Some(known), ctx);
        }
    }
}

impl<C> Handler<Execute<C>> for UserSession
where
    C: Command + Send + 'static,
    C::Reply: Send + 'static,
{
    type Result = AtomicResponse<Self, Result<C::Reply, ActorError>>;

    fn handle(&mut self, message: Execute<C>, _: &mut Context<Self>) -> Self::Result {
        let Execute { command, lease, sent } = message;
        self.registry.metrics().mailbox_wait.observe(sent.elapsed().as_secs_f64());
        let work = self.execution(command).run().into_actor(self).map(|(ledger, result), actor, ctx| {
            actor.install(ledger, ctx);
            drop(lease);
            result
        });
        AtomicResponse::new(Box::pin(work))
    }
}

impl Handler<Retire> for UserSession {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        if self.registry.release(self.user, &self.shared) {
            ctx.stop();
        }
    }
}

#[cfg(test)]
impl Handler<super::messages::Panic> for UserSession {
    type Result = ();

    fn handle(&mut self, _: super::messages::Panic, _: &mut Context<Self>) {
        panic!("injected");
    }
}
