//! One command from the ledger to the database: load if necessary, decide, commit, and retry if another
//! node was first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::actors::live_session::LiveSession;
use crate::actors::messages::ActorError;
use crate::actors::registry::Registry;
use crate::actors::snapshot::Snapshot;
use crate::actors::user_slot::UserSlot;
use crate::domain::command::{Command, decide};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::storage::ledger::{Commit, CommitOutcome, RowLock};

/// How often a command is decided before giving up. The cause is nearly always that another node's
/// commit came first.
const MAX_TRIES: u32 = 32;
/// Longest wait after a lost commit.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// A command and what it works on.
pub(super) struct Execution<C> {
    pub(super) user: UserId,
    pub(super) registry: Registry,
    pub(super) slot: Arc<UserSlot>,
    pub(super) ledger: Option<Ledger>,
    /// A ledger that another node's commit has overtaken; only the endings it remembers are still of use.
    pub(super) outdated: Option<Ledger>,
    /// Held from a lost commit until the next attempt.
    pub(super) row_lock: Option<RowLock>,
    pub(super) command: C,
    /// When its caller gives up.
    pub(super) wanted_until: Instant,
}

impl<C: Command> Execution<C> {
    /// Returns the ledger afterwards (`None` if it must be read again), and the reply.
    pub(super) async fn run(mut self) -> (Option<Ledger>, Result<C::Reply, ActorError>) {
        let mut has_lost = false;
        for attempt in 0..MAX_TRIES {
            let from_memory = self.is_current_at_hand();
            let ledger = match self.current_ledger(has_lost).await {
                Ok(ledger) => ledger,
                Err(error) => return (None, Err(error)),
            };
            let now = self.registry.clock().now();
            let policy = self.registry.policy_of(&ledger);
            let decision = decide(&self.command, &ledger, now, &policy);
            if from_memory && self.registry.store().is_shared() && !is_compared(&decision.events) {
                self.outdated = Some(ledger);
                continue;
            }
            if decision.events.is_empty() {
                return (Some(ledger), Ok(decision.reply));
            }
            let Some(seals) = Seals::set(&decision.events, self.slot.snapshot().as_deref()) else {
                self.ledger = Some(ledger);
                continue;
            };
            let mut after = ledger.clone();
            decision.events.iter().for_each(|event| after.apply(event));
            let is_rotation =
                decision.events.iter().all(LedgerEvent::is_refresh_only) && after.checks_like(&ledger);
            match self.commit(&ledger, &decision.events, is_rotation, now).await {
                Ok(CommitOutcome::Committed(version)) => {
                    seals.keep();
                    after.version = version;
                    after.rotations += i64::from(is_rotation);
                    self.registry.committed(&after, &decision.events, is_rotation, now, C::name());
                    return (Some(after), Ok(decision.reply));
                }
                Ok(CommitOutcome::Conflict) => {
                    self.registry.metrics().commit_conflicts.inc();
                    has_lost = self.registry.store().is_shared();
                    self.outdated = Some(ledger);
                    pause(attempt).await;
                }
                Err(error) => {
                    // Whether they ended is not known, and these values are no longer in any snapshot.
                    seals.keep();
                    return (None, Err(error));
                }
            }
        }
        self.registry.metrics().commit_exhausted.inc();
        (None, Err(ActorError::Contended))
    }

    fn is_current_at_hand(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| !self.slot.is_behind(ledger.version))
    }

    /// The ledger in memory, or the stored one if the one in memory is missing or known to be out of
    /// date; with all activity that this node knows of.
    async fn current_ledger(&mut self, locked: bool) -> Result<Ledger, ActorError> {
        let at_hand = self.is_current_at_hand();
        let mut ledger = match self.ledger.take() {
            Some(ledger) if at_hand => ledger,
            ledger => {
                self.outdated = ledger.or(self.outdated.take());
                self.load(locked).await?
            }
        };
        let snapshot = self.slot.snapshot();
        let sessions: Vec<_> = ledger.live().iter().map(|it| (it.id(), it.refresh.generation)).collect();
        for (id, generation) in sessions {
            let shown = snapshot.as_ref().and_then(|shown| shown.find(id));
            let pending = self.registry.activity().pending(id);
            if let Some(at) = shown.map(|live| live.last_activity()).max(pending) {
                ledger.record_activity(id, at);
            }
            let seen = shown.and_then(|live| live.seen_at(generation));
            if let Some(at) = seen.or_else(|| self.registry.sightings().pending(id, generation)) {
                ledger.record_sighting(id, generation, at);
            }
        }
        Ok(ledger)
    }

    async fn load(&mut self, locked: bool) -> Result<Ledger, ActorError> {
        self.row_lock = None;
        self.slot.begin_read();
        let store = self.registry.store();
        let loaded = if locked {
            let loaded = store.load_ledger_locked(self.user).await?;
            loaded.map(|(ledger, row_lock)| {
                self.row_lock = Some(row_lock);
                ledger
            })
        } else {
            store.load_ledger(self.user).await?
        };
        let mut ledger = loaded.ok_or(ActorError::NoSuchUser)?;
        if let Some(outdated) = &self.outdated {
            ledger.remember_endings_of(outdated);
        }
        self.remember_vanished(&mut ledger).await?;
        Ok(ledger)
    }

    /// Looks up why sessions of the snapshot are gone, so that their devices and late requests get the
    /// reason.
    async fn remember_vanished(&mut self, ledger: &mut Ledger) -> Result<(), ActorError> {
        let Some(shown) = self.slot.snapshot() else { return Ok(()) };
        let vanished = shown.live().map(|live| live.id());
        let vanished: Vec<_> = vanished
            .filter(|id| ledger.find(*id).is_none() && ledger.remembered_ending(*id).is_none())
            .collect();
        if !vanished.is_empty() {
            let row_lock = self.row_lock.take();
            let (endings, row_lock) =
                self.registry.store().list_endings(self.user, vanished, row_lock).await?;
            self.row_lock = row_lock;
            endings.into_iter().for_each(|ending| ledger.remember_ending(ending));
        }
        Ok(())
    }

    async fn commit(
        &mut self,
        ledger: &Ledger,
        events: &[LedgerEvent],
        is_rotation: bool,
        now: Timestamp,
    ) -> Result<CommitOutcome, ActorError> {
        let wanted_for = self.wanted_until.saturating_duration_since(Instant::now());
        if wanted_for.is_zero() {
            // The caller has got its 503 and may do something else by now.
            return Err(ActorError::NoAnswer);
        }
        let commit = Commit::of(ledger, events.to_vec(), self.registry.service_name(), now);
        let commit = Commit { is_rotation, wanted_for, ..commit };
        let bus = &self.registry.dependencies().bus;
        let announcements =
            bus.announcements_for_watchers(self.registry.store().keeps_events(), &commit.announcements);
        let outcome = self.registry.store().commit(commit, self.row_lock.take()).await?;
        if matches!(outcome, CommitOutcome::Committed(_)) {
            bus.notify_watchers(announcements);
        }
        Ok(outcome)
    }
}

/// Whether a commit verifies everything that such a decision depends on against what other nodes did. A
/// refusal is not committed, and the least recently active session is not covered by the version:
/// neither may be decided from memory. Nor may reuse: this node need not have heard that another node
/// replaced a refresh token.
fn is_compared(events: &[LedgerEvent]) -> bool {
    let rests_on_memory = |event: &LedgerEvent| {
        // Whether another node has seen the current refresh token is not covered by the version either.
        matches!(event, LedgerEvent::Reissued { .. })
            || event
                .ending()
                .is_some_and(|it| matches!(it.reason, EndReason::Evicted | EndReason::RefreshTokenReused))
    };
    !events.is_empty() && !events.iter().any(rests_on_memory)
}

/// A random wait that grows with the number of lost commits, so that nodes do not keep meeting.
async fn pause(attempt: u32) {
    let longest = MAX_PAUSE.min(Duration::from_millis(1 << attempt.min(10)));
    let share = rand::rng().random_range(0.0..1.0);
    tokio::time::sleep(longest.mul_f64(share)).await;
}

/// Sessions that are about to end for idleness, sealed against activity until it is known whether they
/// ended.
struct Seals(Vec<Arc<LiveSession>>);

impl Seals {
    /// `None` if one of them was active after all: then the command must be decided again.
    fn set(events: &[LedgerEvent], shown: Option<&Snapshot>) -> Option<Self> {
        let mut seals = Self(Vec::new());
        for event in events {
            let Some(ending) = event.ending() else { continue };
            let live = shown.and_then(|shown| shown.find(ending.session));
            if let Some(live) = live.filter(|_| ending.reason == EndReason::IdleTimeout) {
                if !live.seal(ending.last_activity) {
                    return None;
                }
                seals.0.push(Arc::clone(live));
            }
        }
        Some(seals)
    }

    /// They ended: the seals stay, and later activity never counts.
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Seals {
    fn drop(&mut self) {
        self.0.iter().for_each(|live| live.unseal());
    }
}
