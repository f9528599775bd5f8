//! The actor of one user: the only writer of that user's sessions on this node, and their timer.
//!
//! It handles one message at a time, to completion, even across awaits. It never asks another user's
//! actor. All it knows of the sessions is its snapshot, which can be read again from the database, so
//! the actor may be lost at any moment.
//!
//! There may be a million of these, so state that only few need is kept elsewhere: see
//! `docs/performance.md`.

mod connecting;
mod execution;
mod rest;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, WrapFuture,
};

use super::alarms::Timer;
use super::devices::Devices;
use super::messages::{ActorError, Execute, Reload, Retire, Wake};
use super::registry::{ANSWER_TIMEOUT, Registry};
use super::user_slot::UserSlot;
use crate::domain::command::{Command, EndOverdue};
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::time::Timestamp;
use crate::telemetry::serving::work_within;
use execution::Execution;

/// How soon devices are served again after the database was unavailable, or when another node may know
/// more.
const RETRY: Duration = Duration::from_secs(1);

/// One user's sessions on this node.
#[derive(Debug)]
pub struct UserSession {
    user: UserId,
    registry: Registry,
    /// The snapshot in it is all the actor knows: none until the first message has loaded it, and after
    /// a commit whose outcome is unknown.
    slot: Arc<UserSlot>,
    /// The only timer. Activity moves the deadline, not the timer.
    timer: Option<Timer>,
    /// When it may rest, unless it gets a message before then.
    rests_at: Timestamp,
    /// Whether it stops in order to rest: then its snapshot and its timer stay.
    rests: bool,
    /// Open connections of the user's devices to this node, if there are any.
    devices: Option<Box<Devices>>,
}

impl UserSession {
    /// The actor of a user whose snapshot exists already, whose ledger is `known`, or whose ledger the
    /// first message will load.
    pub(super) fn new(
        user: UserId,
        registry: Registry,
        slot: Arc<UserSlot>,
        timer: Option<Timer>,
        known: Option<&Ledger>,
        ctx: &mut Context<Self>,
    ) -> Self {
        registry.metrics().user_actors.inc();
        let rests_at = Timestamp::default();
        let mut actor = Self { user, registry, slot, timer, rests_at, rests: false, devices: None };
        if known.is_some() {
            actor.stay();
            actor.install(known, ctx);
        }
        actor
    }

    /// For a caller who has been waiting for the answer since `sent`.
    fn execution<C: Command>(&self, command: C, sent: Instant) -> Execution<C> {
        Execution {
            wanted_until: sent + ANSWER_TIMEOUT,
            user: self.user,
            registry: self.registry.clone(),
            slot: Arc::clone(&self.slot),
            ledger: self.slot.snapshot().map(|shown| shown.ledger(self.user)),
            outdated: None,
            row_lock: None,
            command,
        }
    }

    /// Ends what is overdue, for a caller who waits from now on.
    fn end_overdue(&self) -> Execution<EndOverdue> {
        self.execution(EndOverdue, Instant::now())
    }

    /// Takes over the ledger after a command: publishes it to requests, notifies devices, and sets the
    /// timer. The reply is sent after this.
    fn install(&mut self, ledger: Option<&Ledger>, ctx: &mut Context<Self>) {
        self.slot.publish(ledger);
        let now = self.registry.clock().now();
        match ledger {
            Some(ledger) => {
                if let Some(devices) = &mut self.devices {
                    let policy = self.registry.policy_ref(ledger.role);
                    let metrics = self.registry.metrics();
                    devices.tell_changes(ledger, now, metrics);
                    devices.tell_deadlines(ledger, policy, now, metrics);
                }
                self.prune_devices();
                self.mark_warned();
                if ledger.live().is_empty() {
                    // It was set for a session that is over, or to rest.
                    self.disarm();
                }
                self.arm(self.next_wake(ledger, now));
            }
            // With devices connected it retries until they can be served.
            None if self.prune_devices() > 0 => self.arm(now.plus(RETRY)),
            // Without a ledger there is nothing to stay for; the next message starts a new actor.
            None => ctx.notify(Retire),
        }
    }

    /// The same after any command; if the user is gone, the devices are disconnected.
    fn after_command<T>(
        &mut self,
        ledger: Option<&Ledger>,
        result: &Result<T, ActorError>,
        ctx: &mut Context<Self>,
    ) {
        if matches!(result, Err(ActorError::NoSuchUser))
            && let Some(devices) = &mut self.devices
        {
            devices.tell_end_of_user(self.registry.clock().now(), self.registry.metrics());
        }
        self.install(ledger, ctx);
    }

    /// Removes closed connections; returns how many are left.
    fn prune_devices(&mut self) -> usize {
        let left = self.devices.as_mut().map_or(0, |devices| devices.prune());
        if left == 0 {
            self.devices = None;
        }
        left
    }

    /// The next time at which something must be done without a request. A user without sessions stays
    /// until then, so that late requests of ended sessions learn why they ended.
    fn next_wake(&self, ledger: &Ledger, now: Timestamp) -> Timestamp {
        let policy = self.registry.policy_ref(ledger.role);
        let Some(deadline) = ledger.earliest_deadline(policy) else { return now.plus(policy.idle_timeout) };
        let devices = self.devices.as_ref();
        let warning = devices.and_then(|devices| devices.next_warning(ledger, policy, now));
        // Another node may see activity that revokes a warning.
        let extendable = self.registry.store().is_shared() && devices.is_some_and(|it| it.has_any_warned());
        let extension = extendable.then(|| now.plus(RETRY));
        let rest = devices.is_none().then_some(self.rests_at);
        [warning, extension, rest].into_iter().flatten().fold(deadline, Timestamp::min)
    }

    fn mark_warned(&self) {
        let devices = self.devices.as_ref().filter(|devices| devices.has_any_warned());
        if let Some((devices, shown)) = devices.zip(self.slot.snapshot()) {
            devices.warned().filter_map(|id| shown.find(id)).for_each(|live| live.mark_warned());
        }
    }

    /// Sets the timer, unless it is set for that time or an earlier one. A timer that is past due and
    /// has not rung is set again.
    fn arm(&mut self, deadline: Timestamp) {
        let now = self.registry.clock().now();
        if self.timer.is_some_and(|timer| now < timer.deadline && timer.deadline <= deadline) {
            return;
        }
        self.disarm();
        let ringing = self.registry.alarms().set(self.user, now.until(deadline));
        self.timer = Some(Timer { deadline, ringing });
    }

    fn disarm(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.registry.alarms().cancel(self.user, timer.ringing);
        }
    }

    /// Ends what is overdue, after reading what other nodes changed, and notifies devices. If the
    /// database is unavailable and no device waits, the actor retires, and the sweeper finds what is
    /// overdue when the database is back.
    fn request_reload(&mut self, ctx: &mut Context<Self>) {
        let work = self.end_overdue().run().into_actor(self).map(|(ledger, result), actor, ctx| {
            actor.after_command(ledger.as_ref(), &result, ctx);
            if ledger.is_some_and(|ledger| ledger.live().is_empty()) {
                ctx.notify(Retire);
            }
        });
        // As with a message: nothing else is handled until this is done.
        ctx.wait(work);
    }
}

impl Drop for UserSession {
    fn drop(&mut self) {
        self.registry.metrics().user_actors.dec();
        if !self.rests {
            self.slot.mark_gone();
            self.disarm();
        }
    }
}

impl Actor for UserSession {
    type Context = Context<Self>;
}

impl<C> Handler<Execute<C>> for UserSession
where
    C: Command + Send + 'static,
    C::Reply: Send + 'static,
{
    type Result = AtomicResponse<Self, Result<C::Reply, ActorError>>;

    fn handle(&mut self, message: Execute<C>, _: &mut Context<Self>) -> Self::Result {
        let Execute { command, lease, sent, serving } = message;
        self.registry.metrics().mailbox_wait.observe(sent.elapsed().as_secs_f64());
        self.stay();
        let work = work_within(serving, self.execution(command, sent).run());
        let work = work.into_actor(self).map(|(ledger, result), actor, ctx| {
            actor.after_command(ledger.as_ref(), &result, ctx);
            drop(lease);
            result
        });
        AtomicResponse::new(Box::pin(work))
    }
}

impl Handler<Wake> for UserSession {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.disarm();
        match self.quiet_until() {
            Some(deadline) => self.wait_or_rest(deadline, ctx),
            None => self.request_reload(ctx),
        }
    }
}

impl Handler<Reload> for UserSession {
    type Result = ();

    fn handle(&mut self, _: Reload, ctx: &mut Context<Self>) {
        self.slot.clear_reload_request();
        self.request_reload(ctx);
    }
}

impl Handler<Retire> for UserSession {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        if self.prune_devices() > 0 {
            // An actor with devices stays; mark it as used, so that others are asked before it is asked
            // again.
            self.slot.used(self.registry.clock().now());
        } else if self.registry.release(self.user, &self.slot) {
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
