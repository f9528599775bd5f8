//! A live session as requests see it: its activity, and what devices and other nodes have heard of it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::sighting::Sighting;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::{Session, SessionProfile, Times};
use crate::domain::time::Timestamp;

/// The idle timeout up to which every report of activity is stored before it is answered.
const SHORT_TIMEOUT: Duration = Duration::from_secs(4);

/// A live session as requests see it; successive snapshots share the same value.
#[derive(Debug)]
pub struct LiveSession {
    /// The user it belongs to.
    pub user: UserId,
    /// What never changes.
    pub profile: SessionProfile,
    /// Milliseconds; only ever grows.
    last_activity: AtomicI64,
    /// How long it lasts without activity, in ms. A refresh may change it, and so may the next one.
    idle_timeout: AtomicI64,
    /// When it ends regardless of activity, in ms.
    expires_at: AtomicI64,
    /// Whether the current refresh generation has been seen.
    pub(super) sighting: Sighting,
    /// Latest activity that is known to be stored, in ms; only ever grows once the session is in a
    /// snapshot.
    stored: AtomicI64,
    /// Activity that another node reported, in ms: displayed, but no decision is based on it.
    heard: AtomicI64,
    /// When other nodes were last notified of activity, in ms.
    told_nodes: AtomicI64,
    /// When other services were last notified of activity, in ms.
    told: AtomicI64,
    /// Whether the activity buffer holds this session.
    pub(super) unwritten: AtomicBool,
    /// Set while the session is being ended for idleness: later activity may not count.
    sealed: AtomicBool,
    /// Set when its devices were warned: they must be notified of the next activity.
    warned: AtomicBool,
}

impl LiveSession {
    pub(super) fn new(user: UserId, session: &Session) -> Self {
        Self {
            user,
            profile: session.profile.clone(),
            last_activity: AtomicI64::new(session.last_activity.millis()),
            idle_timeout: AtomicI64::new(millis(session.times.idle_timeout)),
            expires_at: AtomicI64::new(session.times.expires_at.millis()),
            sighting: Sighting::of(session.refresh, session.profile.created_at),
            stored: AtomicI64::new(session.last_activity.millis()),
            heard: AtomicI64::new(0),
            told_nodes: AtomicI64::new(0),
            told: AtomicI64::new(0),
            unwritten: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        }
    }

    /// Takes over what a later reading of the same session contains.
    pub(super) fn catch_up(&self, session: &Session) {
        self.advance(session.last_activity);
        self.idle_timeout.store(millis(session.times.idle_timeout), Ordering::Relaxed);
        self.expires_at.store(session.times.expires_at.millis(), Ordering::Relaxed);
        self.sighting.merge(session.refresh, session.profile.created_at);
    }

    /// Identifier.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.profile.id
    }

    /// Its idle timeout and its absolute end.
    #[must_use]
    pub fn times(&self) -> Times {
        let idle_timeout = u64::try_from(self.idle_timeout.load(Ordering::Relaxed)).unwrap_or(0);
        Times {
            idle_timeout: Duration::from_millis(idle_timeout),
            expires_at: Timestamp::from_millis(self.expires_at.load(Ordering::Relaxed)),
        }
    }

    /// Latest activity that this node knows of.
    #[must_use]
    pub fn last_activity(&self) -> Timestamp {
        Timestamp::from_millis(self.last_activity.load(Ordering::SeqCst))
    }

    /// Latest activity that is known to be stored.
    pub(super) fn stored_activity(&self) -> Timestamp {
        Timestamp::from_millis(self.stored.load(Ordering::SeqCst))
    }

    /// Records that activity up to that time is stored.
    pub(super) fn mark_stored(&self, at: Timestamp) {
        self.stored.fetch_max(at.millis(), Ordering::SeqCst);
    }

    /// Corrects what was assumed to be stored when the session came into the snapshot.
    pub(super) fn lower_stored(&self, at: Timestamp) {
        self.stored.fetch_min(at.millis(), Ordering::SeqCst);
    }

    /// Whether another node, which goes by what is stored, could end the session for idleness before
    /// activity of now is certain to have been written: from half of the idle timeout on. Until then the
    /// flusher has the other half to write it, and heartbeats, which are more frequent than that, never
    /// wait. Half of a timeout up to [`SHORT_TIMEOUT`] is shorter than an ordinary fault, so there every
    /// report waits.
    pub(super) fn needs_write_through(&self, now: Timestamp) -> bool {
        let (stored, times) = (self.stored_activity(), self.times());
        // The absolute end, which no activity moves, may come first.
        let may_idle = times.idle_expires_at(stored) < times.expires_at;
        let is_short = times.idle_timeout <= SHORT_TIMEOUT;
        let unwritten_for = if is_short { Duration::ZERO } else { times.idle_timeout / 2 };
        may_idle && stored < now && stored.plus(unwritten_for) <= now
    }

    /// When the session is over if there is no further activity.
    #[must_use]
    pub fn idle_expires_at(&self) -> Timestamp {
        self.times().idle_expires_at(self.last_activity())
    }

    /// Records that a token of that refresh generation has reached this node. True the first time.
    pub(super) fn see(&self, generation: u32, now: Timestamp) -> bool {
        self.sighting.is_news(generation) && self.sighting.note(generation, now, self.profile.created_at)
    }

    /// When a token of that refresh generation first reached a node, as far as this one knows.
    pub(super) fn seen_at(&self, generation: u32) -> Option<Timestamp> {
        self.sighting.seen_at(generation, self.profile.created_at)
    }

    /// Latest activity that any node has reported.
    #[must_use]
    pub fn shown_activity(&self) -> Timestamp {
        self.last_activity().max(Timestamp::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Takes over activity that another node saw; `told` if that node also announced it to other services.
    pub(super) fn hear(&self, at: Timestamp, told: bool) {
        self.heard.fetch_max(at.millis(), Ordering::Relaxed);
        if told {
            self.told.fetch_max(at.millis(), Ordering::Relaxed);
        }
    }

    /// Moves the latest activity forward, never back.
    pub(super) fn advance(&self, at: Timestamp) {
        self.last_activity.fetch_max(at.millis(), Ordering::SeqCst);
    }

    /// Whether activity recorded just before this call may have been too late to count.
    ///
    /// The order makes it safe: a request records activity and then reads the seal; the actor seals and
    /// then reads the activity. So either the actor sees the activity, or the request sees the seal.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Seals the session for an idle ending decided on the activity `known`; false if it was active since.
    pub(super) fn seal(&self, known: Timestamp) -> bool {
        self.sealed.store(true, Ordering::SeqCst);
        let idle = self.last_activity.load(Ordering::SeqCst) <= known.millis();
        if !idle {
            self.unseal();
        }
        idle
    }

    /// Removes the seal, because the ending did not happen.
    pub(super) fn unseal(&self) {
        self.sealed.store(false, Ordering::SeqCst);
    }

    /// Records that its devices were warned.
    pub(super) fn mark_warned(&self) {
        self.warned.store(true, Ordering::Release);
    }

    /// Whether its devices were warned since the last call.
    pub(super) fn take_warned(&self) -> bool {
        self.warned.load(Ordering::Relaxed) && self.warned.swap(false, Ordering::AcqRel)
    }

    /// Whether it is time to notify the other services again; true once in each interval.
    pub(super) fn tell_again(&self, now: Timestamp, interval: Duration) -> bool {
        once_in(interval, &self.told, now)
    }

    /// The same for the other nodes.
    pub(super) fn tell_nodes_again(&self, now: Timestamp, interval: Duration) -> bool {
        once_in(interval, &self.told_nodes, now)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn once_in(interval: Duration, last: &AtomicI64, now: Timestamp) -> bool {
    let told = last.load(Ordering::Relaxed);
    let due = Timestamp::from_millis(told).plus(interval) <= now;
    due && last.compare_exchange(told, now.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
}
