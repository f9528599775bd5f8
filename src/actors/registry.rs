//! Finds the actor of a user, starts it when needed, restarts it after a panic, passivates it, and
//! retires the least recently used. It is the supervisor: actix's own does not catch panics, and would
//! restart actors that were meant to retire.
//!
//! Bounds: at most `MAX_RESIDENT_USERS` residents, and therefore actors (a newcomer waits for room, then
//! is refused), and [`super::user_slot::MAX_IN_FLIGHT`] messages to one actor; `auth_resident_users`,
//! `auth_mailbox_refused_total`.

mod dependencies;
mod invalidation;
#[cfg(test)]
mod peer_messages;
mod resident;
mod rest;
mod retirement;
#[cfg(test)]
mod testing;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix::{Actor, Arbiter, ArbiterHandle};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::activity::ActivityBuffer;
use super::alarms::{Alarms, Timer};
use super::api_keys::ApiKeys;
use super::devices::{self, Deliveries};
use super::freshness::Freshness;
use super::messages::{ActorError, Connect, ConnectRefusal, Execute};
use super::sighting::Sightings;
use super::user_session::UserSession;
use super::user_slot::{Lease, UserSlot};
use crate::domain::command::{Command, EndOverdue};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::ledger::Ledger;
use crate::domain::time::Timestamp;
use crate::events::lane::Lane;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::serving::current;
use crate::telemetry::traces::Step;

pub use dependencies::Dependencies;
use resident::Resident;

/// How long a caller waits for an actor's answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a newcomer waits for another user to be retired.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Inner {
    dependencies: Dependencies,
    /// Identifies this process among the nodes.
    node: Uuid,
    activity: ActivityBuffer,
    sightings: Sightings,
    alarms: Alarms,
    freshness: Freshness,
    api_keys: ApiKeys,
    /// How often the feed of changes has reported something.
    news: AtomicU64,
    /// One per lane of the outbox, notified when a commit has left something there.
    outbox_signals: Vec<Notify>,
    /// Notified when a change has stored a mail.
    mail_signal: Notify,
    /// Keys come from signed tokens or from the database: callers cannot choose ids that collide.
    residents: DashMap<UserId, Resident, foldhash::fast::RandomState>,
    max_residents: usize,
    /// One permit per resident, so that the bound always holds.
    room: Arc<Semaphore>,
    /// Held by the one newcomer who makes room for all; contains the time of the last attempt.
    making_room: tokio::sync::Mutex<Option<Instant>>,
    /// Where actors live. Not on the HTTP workers: one that has nothing left to do at shutdown ends, and
    /// would take with it actors that requests on the other workers still wait for.
    arbiters: RwLock<Vec<ArbiterHandle>>,
}

/// All user actors of this node; clones are the same registry.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Inner>);

impl Registry {
    /// A registry without residents.
    #[must_use]
    pub fn new(dependencies: Dependencies, max_residents: usize) -> Self {
        let max_residents = max_residents.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            node: Uuid::new_v4(),
            activity: ActivityBuffer::default(),
            sightings: Sightings::default(),
            alarms: Alarms::default(),
            freshness: Freshness::new(dependencies.max_staleness),
            api_keys: ApiKeys::new(dependencies.max_staleness),
            news: AtomicU64::new(0),
            outbox_signals: Lane::all(dependencies.outbox_lanes).map(|_| Notify::new()).collect(),
            dependencies,
            mail_signal: Notify::new(),
            residents: DashMap::default(),
            max_residents,
            room: Arc::new(Semaphore::new(max_residents)),
            making_room: tokio::sync::Mutex::default(),
            arbiters: RwLock::default(),
        }))
    }

    /// Lets actors live on that arbiter from now on.
    pub fn add_arbiter(&self, arbiter: ArbiterHandle) {
        self.0.arbiters.write().unwrap_or_else(PoisonError::into_inner).push(arbiter);
    }

    /// Has the user's actor execute a command, and waits for the reply.
    ///
    /// A repeatable command is tried once more if the actor panicked over it, in which case the actor is
    /// restarted, or gave no answer within [`ANSWER_TIMEOUT`].
    ///
    /// # Errors
    /// [`ActorError`].
    pub async fn ask<C>(&self, user: UserId, command: C) -> Result<C::Reply, ActorError>
    where
        C: Command + Clone + Send + 'static,
        C::Reply: Send + 'static,
    {
        match self.send(user, command.clone()).await {
            Err(ActorError::NoAnswer) if C::REPEATABLE => self.send(user, command).await,
            result => result,
        }
    }

    /// Has the user's actor end what is overdue, and returns the actor's slot, which shows what it
    /// answered with even if the actor has been retired by the time the caller reads it.
    pub(super) async fn end_overdue(&self, user: UserId) -> Result<Arc<UserSlot>, ActorError> {
        let settled = self.send_and_keep(user, EndOverdue).await;
        let (slot, ()) = match settled {
            Err(ActorError::NoAnswer) => self.send_and_keep(user, EndOverdue).await?,
            settled => settled?,
        };
        Ok(slot)
    }

    async fn send<C>(&self, user: UserId, command: C) -> Result<C::Reply, ActorError>
    where
        C: Command + Send + 'static,
        C::Reply: Send + 'static,
    {
        self.send_and_keep(user, command).await.map(|(_, reply)| reply)
    }

    async fn send_and_keep<C>(
        &self,
        user: UserId,
        command: C,
    ) -> Result<(Arc<UserSlot>, C::Reply), ActorError>
    where
        C: Command + Send + 'static,
        C::Reply: Send + 'static,
    {
        let step = Step::begin("actor.execute").with("auth.command", C::name);
        let (address, lease) = self.lease(user).await?;
        let slot = lease.slot();
        let message = Execute { command, lease, sent: Instant::now(), serving: current(step.span()) };
        let answer = address.send(message).timeout(ANSWER_TIMEOUT).await;
        let reply = answer.map_err(|_| ActorError::NoAnswer).flatten();
        step.note(&reply);
        Ok((slot, reply?))
    }

    /// Connects a device of a live session. Its messages arrive in the queue, beginning with a snapshot.
    ///
    /// # Errors
    /// [`ConnectRefusal`].
    pub async fn connect(
        &self,
        user: UserId,
        session: SessionId,
        most: usize,
    ) -> Result<Deliveries, ConnectRefusal> {
        let (address, lease) = self.lease(user).await?;
        let (queue, deliveries) = devices::queue();
        let message = Connect { session, queue, most, lease };
        address.send(message).timeout(ANSWER_TIMEOUT).await.map_err(|_| ActorError::NoAnswer)??;
        Ok(deliveries)
    }

    /// The shared part of a user's actor, if there is one. What a dead actor showed is not trusted.
    #[must_use]
    pub fn get(&self, user: UserId) -> Option<Arc<UserSlot>> {
        let resident = self.0.residents.get(&user)?;
        Some(resident.slot()).filter(|slot| !slot.is_gone()).cloned()
    }

    /// How many users are resident.
    #[must_use]
    pub fn resident_count(&self) -> usize {
        self.0.residents.len()
    }

    /// The address of the user's actor, with a lease that keeps it from being retired. Starts a
    /// missing actor; of several concurrent callers one starts it and all get the same.
    async fn lease(&self, user: UserId) -> Result<(actix::Addr<UserSession>, Lease), ActorError> {
        if let Some(resident) = self.0.residents.get(&user).filter(|resident| resident.is_active()) {
            return resident.lease().ok_or_else(|| self.refused());
        }
        if let Some(mut resident) = self.0.residents.get_mut(&user).filter(|resident| !resident.is_lost()) {
            self.wake_actor(user, &mut resident);
            return resident.lease().ok_or_else(|| self.refused());
        }
        // A dead actor returns its permit first: it may be the only one.
        self.remove_dead(user);
        let permit = self.room().await?;
        let mut resident = self.0.residents.entry(user).or_insert_with(|| self.start(user, None, permit));
        self.wake_actor(user, &mut resident);
        resident.lease().ok_or_else(|| self.refused())
    }

    fn refused(&self) -> ActorError {
        self.metrics().mailbox_refused.inc();
        ActorError::Overloaded
    }

    async fn room(&self) -> Result<OwnedSemaphorePermit, ActorError> {
        if let Ok(permit) = Arc::clone(&self.0.room).try_acquire_owned() {
            return Ok(permit);
        }
        let permit = async {
            tokio::select! {
                permit = Arc::clone(&self.0.room).acquire_owned() => permit.ok(),
                () = self.make_room() => None,
            }
        };
        tokio::time::timeout(ROOM_TIMEOUT, permit).await.ok().flatten().ok_or(ActorError::Overloaded)
    }

    /// Makes a user who has just signed up resident, with what was stored since [`Registry::news`] was
    /// `news`, and wakes the publisher. If there is no room nothing is lost: the first request for the
    /// user starts the actor.
    pub(super) async fn insert(&self, ledger: Ledger, news: u64) {
        self.signal_outbox(ledger.user);
        if let Ok(permit) = self.room().await
            && let Entry::Vacant(entry) = self.0.residents.entry(ledger.user)
        {
            let resident = entry.insert(self.start(ledger.user, Some(ledger), permit));
            if self.news() != news {
                resident.slot().invalidate();
            }
        }
    }

    fn start(&self, user: UserId, known: Option<Ledger>, permit: OwnedSemaphorePermit) -> Resident {
        let slot = Arc::new(UserSlot::new(permit, self.metrics().clone(), self.clock().now()));
        Resident::new(self.activate(user, &slot, known, None), slot)
    }

    fn activate(
        &self,
        user: UserId,
        slot: &Arc<UserSlot>,
        known: Option<Ledger>,
        timer: Option<Timer>,
    ) -> actix::Addr<UserSession> {
        self.metrics().activations.inc();
        let (registry, slot) = (self.clone(), Arc::clone(slot));
        UserSession::start_in_arbiter(&self.arbiter_of(user), move |ctx| {
            UserSession::new(user, registry, slot, timer, known.as_ref(), ctx)
        })
    }

    /// Always the same arbiter for a user, as long as the set of arbiters does not change.
    fn arbiter_of(&self, user: UserId) -> ArbiterHandle {
        let arbiters = self.0.arbiters.read().unwrap_or_else(PoisonError::into_inner);
        let low_bits = user.uuid().as_u64_pair().1;
        let index = usize::try_from(low_bits % arbiters.len().max(1) as u64).unwrap_or(0);
        arbiters.get(index).cloned().unwrap_or_else(Arbiter::current)
    }

    /// What follows a commit, without waiting: notifies the other nodes, wakes the publisher and counts
    /// endings.
    pub(super) fn committed(
        &self,
        ledger: &Ledger,
        events: &[LedgerEvent],
        is_rotation: bool,
        now: Timestamp,
        command: &'static str,
    ) {
        let endings = || events.iter().filter_map(LedgerEvent::ending);
        if !is_rotation {
            self.tell_nodes(ledger, events, now);
        }
        self.signal_outbox(ledger.user);
        if events.iter().any(|event| matches!(event, LedgerEvent::Mailed(_))) {
            self.signal_mail();
        }
        for ending in endings() {
            self.metrics().sessions_ended.with_label_values(&[ending.reason.as_str()]).inc();
            if let Some(act) = AuditEvent::ending(ledger.user, ending, command) {
                act.record(self.metrics());
            }
        }
    }

    /// Wakes the publisher: a change of that user has left something in the outbox.
    pub fn signal_outbox(&self, user: UserId) {
        self.outbox_signal(Lane::of_user(user, self.0.dependencies.outbox_lanes)).notify_one();
    }

    pub(super) fn outbox_signal(&self, lane: Lane) -> &Notify {
        &self.0.outbox_signals[lane.number() as usize]
    }

    /// The lanes of the outbox.
    pub(super) fn lanes(&self) -> impl Iterator<Item = Lane> + use<> {
        Lane::all(self.0.dependencies.outbox_lanes)
    }
}
