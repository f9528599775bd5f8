//! A live session as requests see it: its activity, and what devices and nodes have heard of it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::sighting::Sighting;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::{Session, SessionProfile, Times};
use crate::domain::time::Timestamp;

/// A live session as requests see it; the same value in every snapshot, as long as one follows the other.
#[derive(Debug)]
pub struct LiveSession {
    /// Owner.
    pub user: UserId,
    /// What never changes.
    pub profile: SessionProfile,
    /// Milliseconds; only ever grows.
    last_activity: AtomicI64,
    /// How long it lasts without activity, in ms. A refresh may change it, and the next.
    idle_timeout: AtomicI64,
    /// When it ends whatever the activity, in ms.
    expires_at: AtomicI64,
    /// Whether the current refresh generation has been seen.
    pub(super) sighting: Sighting,
    /// Activity that is known to be stored, in ms; only ever grows once the session is shown.
    stored: AtomicI64,
    /// Activity that another node told of, in ms: shown, and nothing is decided by it.
    heard: AtomicI64,
    /// When the other nodes were last told, in ms.
    told_nodes: AtomicI64,
    /// When other services were last told of activity, in ms.
    told: AtomicI64,
    /// Whether the activity buffer holds this session.
    pub(super) unwritten: AtomicBool,
    /// Set while the session is being ended for idleness: activity from then on is not to be believed.
    sealed: AtomicBool,
    /// Set when its devices were warned: the next activity is to be told to them.
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

    /// Takes over what a later reading of the same session knows.
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

    /// When it is over.
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

    /// The activity is stored.
    pub(super) fn mark_stored(&self, at: Timestamp) {
        self.stored.fetch_max(at.millis(), Ordering::SeqCst);
    }

    /// What was taken for stored when the session was shown may not be.
    pub(super) fn is_stored_no_later_than(&self, at: Timestamp) {
        self.stored.fetch_min(at.millis(), Ordering::SeqCst);
    }

    /// Whether another node, which goes by what is stored, could end the session for idleness before activity
    /// of now has surely been written: from half of the idle timeout on. Until then the flusher has as long
    /// as that for its work, and heartbeats, which come more often, are never waited for.
    pub(super) fn is_stored_long_ago(&self, now: Timestamp) -> bool {
        let (stored, times) = (self.stored_activity(), self.times());
        // The absolute end, which no activity moves, may come first.
        let may_idle = times.idle_expires_at(stored) < times.expires_at;
        may_idle && stored.plus(times.idle_timeout / 2) <= now
    }

    /// When the session is over if nothing happens.
    #[must_use]
    pub fn idle_expires_at(&self) -> Timestamp {
        self.times().idle_expires_at(self.last_activity())
    }

    /// A token of that refresh generation has reached this node. True the first time.
    pub(super) fn see(&self, generation: u32, now: Timestamp) -> bool {
        self.sighting.is_news(generation) && self.sighting.note(generation, now, self.profile.created_at)
    }

    /// When a token of that refresh generation first reached a node, as far as this one knows.
    pub(super) fn seen_at(&self, generation: u32) -> Option<Timestamp> {
        self.sighting.seen_at(generation, self.profile.created_at)
    }

    /// Latest activity that any node has told of.
    #[must_use]
    pub fn shown_activity(&self) -> Timestamp {
        self.last_activity().max(Timestamp::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// Another node saw activity, and may have told the other services of it.
    pub(super) fn hear(&self, at: Timestamp, told: bool) {
        self.heard.fetch_max(at.millis(), Ordering::Relaxed);
        if told {
            self.told.fetch_max(at.millis(), Ordering::Relaxed);
        }
    }

    /// Moves the activity forward; never back.
    pub(super) fn advance(&self, at: Timestamp) {
        self.last_activity.fetch_max(at.millis(), Ordering::SeqCst);
    }

    /// Whether activity noted just before this call may have come too late to count.
    ///
    /// The order makes it safe: requests note activity and then look here; the actor seals and then looks at
    /// the activity. So either the actor sees the activity, or the request sees the seal.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Seals the session for an idle ending that stands on `known`; false if it was active since.
    pub(super) fn seal(&self, known: Timestamp) -> bool {
        self.sealed.store(true, Ordering::SeqCst);
        let idle = self.last_activity.load(Ordering::SeqCst) <= known.millis();
        if !idle {
            self.unseal();
        }
        idle
    }

    /// The ending did not happen.
    pub(super) fn unseal(&self) {
        self.sealed.store(false, Ordering::SeqCst);
    }

    /// Notes that its devices were warned.
    pub(super) fn mark_warned(&self) {
        self.warned.store(true, Ordering::Release);
    }

    /// Whether its devices were warned since this was last asked.
    pub(super) fn take_warned(&self) -> bool {
        self.warned.load(Ordering::Relaxed) && self.warned.swap(false, Ordering::AcqRel)
    }

    /// Whether it is time to tell the other services again; true once in each interval.
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
