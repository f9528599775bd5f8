//! The actor of one user: the one writer of that user's sessions on this node, and their timer.
//!
//! It handles one message at a time, to its end, also over awaits. It never asks another user's actor. Everything it
//! knows can be read again from the database, so it may be lost at any moment.

mod connecting;
mod execution;

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, SpawnHandle,
    WrapFuture,
};

use super::devices::Devices;
use super::messages::{ActorError, Execute, LookAgain, Retire};
use super::registry::{Registry, Shared};
use crate::domain::command::{Command, EndOverdue};
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::time::Timestamp;
use crate::telemetry::serving::work_within;
use execution::Execution;

/// How soon devices are looked after again when the database was away, or another node may know more.
const RETRY: Duration = Duration::from_secs(1);

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
    /// Open connections of the user's devices to this node.
    devices: Devices,
}

impl UserSession {
    pub(super) fn new(user: UserId, registry: Registry, shared: Arc<Shared>, ledger: Option<Ledger>) -> Self {
        Self { user, registry, shared, ledger, timer: None, devices: Devices::default() }
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

    /// Takes over what a command left, shows it to requests, tells devices, and sees to the timer. The reply goes out
    /// after this.
    fn install(&mut self, ledger: Option<Ledger>, ctx: &mut Context<Self>) {
        self.shared.publish(ledger.as_ref());
        self.ledger = ledger;
        let now = self.registry.clock().now();
        match &self.ledger {
            Some(ledger) => {
                let policy = self.registry.policy_ref(ledger.role);
                let metrics = self.registry.metrics();
                self.devices.tell_changes(ledger, policy, now, metrics);
                self.devices.tell_deadlines(ledger, policy, now, metrics);
                self.mark_warned();
                if let Some(wake) = self.next_wake(now) {
                    self.arm(wake, ctx);
                }
            }
            // With devices it is tried again until they can be told.
            None if self.devices.prune() > 0 => self.arm(now.plus(RETRY), ctx),
            // Without a ledger there is nothing to stay for; whoever asks next starts afresh.
            None => ctx.notify(Retire),
        }
    }

    /// The same after any command; where the user is no more, the devices are let go.
    fn settle<T>(&mut self, ledger: Option<Ledger>, result: &Result<T, ActorError>, ctx: &mut Context<Self>) {
        if matches!(result, Err(ActorError::NoSuchUser)) {
            self.devices.tell_end_of_user(self.registry.clock().now(), self.registry.metrics());
        }
        self.install(ledger, ctx);
    }

    /// The next time at which something is to be done without anybody asking.
    fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let ledger = self.ledger.as_ref()?;
        let policy = self.registry.policy_ref(ledger.role);
        let deadline = ledger.earliest_deadline(policy);
        let warning = self.devices.next_warning(ledger, policy, now);
        // Another node may see the activity that takes a warning back.
        let extension =
            (self.devices.has_warned() && self.registry.store().is_shared()).then(|| now.plus(RETRY));
        [deadline, warning, extension].into_iter().flatten().min()
    }

    fn mark_warned(&self) {
        if let Some(shown) = self.shared.snapshot().filter(|_| self.devices.has_warned()) {
            self.devices.warned().filter_map(|id| shown.find(id)).for_each(|live| live.mark_warned());
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
        self.look_again(ctx);
    }

    /// Ends what is overdue, after reading what other nodes did, and tells devices. Where the database is away and no
    /// device waits the actor retires, and the sweeper finds what is overdue when it is back.
    fn look_again(&mut self, ctx: &mut Context<Self>) {
        let work = self.execution(EndOverdue).run().into_actor(self).map(|(ledger, result), actor, ctx| {
            actor.settle(ledger, &result, ctx);
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
        let Execute { command, lease, sent, span } = message;
        self.registry.metrics().mailbox_wait.observe(sent.elapsed().as_secs_f64());
        let work = work_within(span, self.execution(command).run());
        let work = work.into_actor(self).map(|(ledger, result), actor, ctx| {
            actor.settle(ledger, &result, ctx);
            drop(lease);
            result
        });
        AtomicResponse::new(Box::pin(work))
    }
}

impl Handler<LookAgain> for UserSession {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Context<Self>) {
        self.shared.looks_again();
        self.look_again(ctx);
    }
}

impl Handler<Retire> for UserSession {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        if self.devices.prune() > 0 {
            // Who has devices stays; others are asked before it is asked again.
            self.shared.used(self.registry.clock().now());
        } else if self.registry.release(self.user, &self.shared) {
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
