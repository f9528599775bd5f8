//! What a user's actor shares with requests: the snapshot, what is known to be newer, and the number of
//! messages in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::OwnedSemaphorePermit;

use super::snapshot::Snapshot;
use crate::domain::ledger::{Ledger, RememberedEnding};
use crate::domain::time::Timestamp;
use crate::security::rate_limit::Counter;
use crate::telemetry::metrics::Metrics;

/// Most messages that wait for, or are handled by, one user's actor.
pub const MAX_IN_FLIGHT: usize = 128;

/// What an actor and the requests of its user share. The fields that every request reads come first, in
/// one cache line.
#[derive(Debug)]
#[repr(C)]
pub struct UserSlot {
    snapshot: ArcSwapOption<Snapshot>,
    /// The lowest check version that may still be used; higher than the snapshot's if another node
    /// changed something that checks depend on.
    required_check: AtomicI64,
    /// The lowest version that decisions may be based on.
    required_version: AtomicI64,
    /// How often the ledger was invalidated, and how often it had been when the snapshot was read.
    invalidation_epoch: AtomicU32,
    confirmed_epoch: AtomicU32,
    last_used: AtomicI64,
    /// Whether a device has connected to this actor: then news from other nodes cannot wait for a request.
    devices: AtomicBool,
    /// Whether the actor has been asked to reload and has not begun to.
    reload_requested: AtomicBool,
    /// Whether the actor is gone. Requests read this flag, because asking the mailbox would touch one more
    /// cache line.
    gone: AtomicBool,
    in_flight: AtomicUsize,
    /// For the actor only: the state of invalidation and the required versions when it last began to
    /// read the ledger.
    epoch_when_read: AtomicU32,
    required_when_read: AtomicI64,
    required_check_when_read: AtomicI64,
    /// Requests of the user on this node.
    pub api_requests: Counter,
    metrics: Metrics,
    _room: OwnedSemaphorePermit,
}

impl UserSlot {
    pub(super) fn new(room: OwnedSemaphorePermit, metrics: Metrics, now: Timestamp) -> Self {
        metrics.resident_users.inc();
        Self {
            snapshot: ArcSwapOption::empty(),
            required_check: AtomicI64::new(i64::MIN),
            required_version: AtomicI64::new(i64::MIN),
            invalidation_epoch: AtomicU32::new(0),
            confirmed_epoch: AtomicU32::new(0),
            epoch_when_read: AtomicU32::new(0),
            required_when_read: AtomicI64::new(i64::MIN),
            required_check_when_read: AtomicI64::new(i64::MIN),
            in_flight: AtomicUsize::new(0),
            last_used: AtomicI64::new(now.millis()),
            devices: AtomicBool::new(false),
            reload_requested: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            api_requests: Counter::default(),
            metrics,
            _room: room,
        }
    }

    /// The snapshot as of the last change, if there is one and nothing newer is known to exist.
    #[must_use]
    pub fn fresh_snapshot(&self) -> Option<arc_swap::Guard<Option<Arc<Snapshot>>>> {
        let snapshot = self.snapshot.load();
        let required = self.required_check.load(Ordering::SeqCst);
        let is_fresh = |shown: &Arc<Snapshot>| shown.check_version >= required && !self.is_invalidated();
        let fresh = snapshot.as_ref().is_some_and(is_fresh);
        fresh.then_some(snapshot)
    }

    /// The latest snapshot, fresh or not.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    /// Whether another node is known to have gone beyond that version, or may have without this one
    /// being notified. Then no decision may be based on it, though checks may still use the snapshot.
    #[must_use]
    pub fn is_behind(&self, version: i64) -> bool {
        version < self.required_version.load(Ordering::SeqCst) || self.is_invalidated()
    }

    fn is_invalidated(&self) -> bool {
        self.confirmed_epoch.load(Ordering::Acquire) != self.invalidation_epoch.load(Ordering::SeqCst)
    }

    /// The ledger is about to be read. Publishing the result settles invalidations from before this
    /// call, but not those from now on.
    pub(super) fn begin_read(&self) {
        self.epoch_when_read.store(self.invalidation_epoch.load(Ordering::Acquire), Ordering::Relaxed);
        self.required_when_read.store(self.required_version.load(Ordering::Acquire), Ordering::Relaxed);
        self.required_check_when_read.store(self.required_check.load(Ordering::Acquire), Ordering::Relaxed);
    }

    /// The actor has published what it read. A version that was required before the read and that the
    /// database does not have was never committed: anybody can send a message on Redis.
    fn confirm_version(&self, ledger: &Ledger) {
        self.confirmed_epoch.store(self.epoch_when_read.load(Ordering::Relaxed), Ordering::Release);
        let of_version = lower(&self.required_version, &self.required_when_read, ledger.version);
        let of_check = lower(&self.required_check, &self.required_check_when_read, ledger.check_version());
        if of_version || of_check {
            // Real news that arrived meanwhile had a lower version than the false one, and left no trace.
            self.invalidate();
        }
    }

    /// Records that another node has committed those versions. True if the snapshot is older, and that
    /// was news.
    pub(super) fn require(&self, version: i64, check_version: i64) -> bool {
        self.required_version.fetch_max(version, Ordering::SeqCst);
        let before = self.required_check.fetch_max(check_version, Ordering::SeqCst);
        let shown = self.snapshot.load().as_ref().map(|shown| shown.check_version);
        before < check_version && shown.is_some_and(|shown| shown < check_version)
    }

    /// Records an unauthenticated claim that this version exists: the ledger is read again, and a
    /// version that does not exist leaves no trace. True if the snapshot is older.
    pub(super) fn doubt(&self, version: i64) -> bool {
        let shown = self.snapshot.load().as_ref().map(|shown| shown.version);
        // Also without a snapshot: the ledger may be being read at this moment.
        if shown.is_none_or(|shown| shown < version) {
            self.invalidate();
        }
        shown.is_some_and(|shown| shown < version)
    }

    /// Applies endings that another node has stored, if the snapshot has the check version just before.
    /// Otherwise the ledger is read when the actor is next asked. True if that was news.
    pub(super) fn apply(&self, version: i64, check_version: i64, ended: &[RememberedEnding]) -> bool {
        // From here on nothing older is used, whatever the actor is doing.
        if !self.require(version, check_version) {
            return false;
        }
        let before = self.snapshot.load_full();
        if let Some(shown) =
            before.as_ref().filter(|shown| shown.check_version.checked_add(1) == Some(check_version))
        {
            let after = Arc::new(shown.after_endings(check_version, ended));
            let live = after.live().len();
            let replaced = self.snapshot.compare_and_swap(&before, Some(after));
            if replaced.as_ref().is_some_and(|replaced| Arc::ptr_eq(replaced, shown)) {
                self.count_sessions(shown.live().len(), live);
            }
        }
        true
    }

    /// Hides the snapshot until the actor has read everything again, even if it is reading at this moment.
    pub(super) fn invalidate(&self) {
        self.invalidation_epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Records that a request of the user arrived, for choosing which users to retire.
    pub fn used(&self, now: Timestamp) {
        self.last_used.store(now.millis(), Ordering::Relaxed);
    }

    /// Records that a device has connected. News is recorded before this flag is read, and the actor
    /// reads the news after setting the flag, so one of the two sees the other.
    pub(super) fn has_devices(&self) {
        self.devices.store(true, Ordering::SeqCst);
    }

    /// Whether the actor must be asked to reload: it has devices to notify, and has not been asked yet.
    pub(super) fn take_reload_request(&self) -> bool {
        self.devices.load(Ordering::SeqCst) && !self.reload_requested.swap(true, Ordering::AcqRel)
    }

    /// The actor rests. It has no devices, and so nothing to reload for.
    pub(super) fn forget_devices(&self) {
        self.devices.store(false, Ordering::Release);
        self.reload_requested.store(false, Ordering::Release);
    }

    /// The actor begins to reload.
    pub(super) fn clear_reload_request(&self) {
        self.reload_requested.store(false, Ordering::Release);
    }

    /// The actor has stopped, or was lost in a panic.
    pub(super) fn mark_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn last_used(&self) -> i64 {
        self.last_used.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Publishes a snapshot of a ledger to requests, or removes it.
    pub(super) fn publish(&self, ledger: Option<&Ledger>) {
        let before = self.snapshot.load_full();
        if !before.as_ref().zip(ledger).is_some_and(|(shown, ledger)| shown.advance(ledger)) {
            let after = ledger.map(|ledger| Arc::new(Snapshot::of(ledger, before.as_deref())));
            let count =
                |snapshot: &Option<Arc<Snapshot>>| snapshot.as_ref().map_or(0, |shown| shown.live().len());
            let shown = count(&after);
            // Endings may have been applied since `before` was read.
            let replaced = self.snapshot.swap(after);
            self.count_sessions(count(&replaced), shown);
        }
        if let Some(ledger) = ledger {
            self.confirm_version(ledger);
        }
    }

    fn count_sessions(&self, before: usize, after: usize) {
        self.metrics.active_sessions.add(after as i64 - before as i64);
    }
}

/// Lowers what was required when the read began, if that turns out not to exist.
fn lower(required: &AtomicI64, when_read: &AtomicI64, found: i64) -> bool {
    let asked_for = when_read.swap(i64::MIN, Ordering::Relaxed);
    if found < asked_for {
        let _ = required.compare_exchange(asked_for, found, Ordering::AcqRel, Ordering::Acquire);
    }
    found < asked_for
}

impl Drop for UserSlot {
    fn drop(&mut self) {
        self.metrics.resident_users.dec();
        let shown = self.snapshot.load().as_ref().map_or(0, |shown| shown.live().len());
        self.count_sessions(shown, 0);
    }
}

/// The right to have a message handled: while one exists, its actor is not retired.
#[derive(Debug)]
pub struct Lease(Arc<UserSlot>);

impl Lease {
    /// The slot of the leased actor.
    pub(super) fn slot(&self) -> Arc<UserSlot> {
        Arc::clone(&self.0)
    }

    /// A lease on the actor with that slot; `None` if it has too many messages.
    pub(super) fn take(slot: &Arc<UserSlot>) -> Option<Self> {
        let before = slot.in_flight.fetch_add(1, Ordering::AcqRel);
        let lease = Self(Arc::clone(slot));
        (before < MAX_IN_FLIGHT).then_some(lease)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
