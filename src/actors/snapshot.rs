//! What a protected request looks at instead of asking: a user's sessions as of the last change.

mod entry;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use smallvec::SmallVec;

use super::sighting::Sighting;
use crate::domain::authentication::Authentication;
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::ledger::{Account, ENDINGS_REMEMBERED, Ledger, RememberedEnding};
use crate::domain::reason::EndReason;
use crate::domain::session::{Refresh, Session, SessionProfile, Times};
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use entry::SnapshotEntry;

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
    fn new(user: UserId, session: &Session) -> Self {
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
    fn catch_up(&self, session: &Session) {
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

/// A user's sessions as of one version: what requests look at, and all that the actor keeps. Immutable but
/// for the activity of its sessions.
#[derive(Debug)]
pub struct Snapshot {
    /// The version that the actor decides on.
    pub version: i64,
    /// The check version. It may be ahead of the version: other nodes' endings are applied to what is shown.
    pub check_version: i64,
    /// Role, for the policy and for tokens.
    pub role: Role,
    /// Latest activity of any session when the snapshot was made.
    pub last_activity_at: Timestamp,
    /// The rest of the account.
    pub account: Account,
    /// Held in place for most users: each further memory access costs more than the rest of a check.
    live: SmallVec<[SnapshotEntry; 2]>,
    endings: Box<[RememberedEnding]>,
}

impl Snapshot {
    /// Shows a ledger. Sessions that `before` shows too are taken from there, so that activity noted in
    /// either is noted in both.
    pub(super) fn of(ledger: &Ledger, before: Option<&Self>) -> Self {
        let live = |session: &Session| match before.and_then(|before| before.find(session.id())) {
            Some(known) => {
                known.catch_up(session);
                Arc::clone(known)
            }
            None => Arc::new(LiveSession::new(ledger.user, session)),
        };
        let shown = |session: &Session| SnapshotEntry::new(session, live(session));
        Self {
            version: ledger.version,
            check_version: ledger.check_version(),
            role: ledger.role,
            last_activity_at: ledger.last_activity_at,
            account: ledger.account.clone(),
            live: ledger.live().iter().map(shown).collect(),
            endings: ledger.remembered_endings().into(),
        }
    }

    /// The ledger it shows, with all activity that this node has seen since.
    pub(super) fn ledger(&self, user: UserId) -> Ledger {
        let live: Vec<_> = self.live.iter().map(SnapshotEntry::session).collect();
        let latest = live.iter().map(|session| session.last_activity).max();
        let latest = latest.unwrap_or_default().max(self.last_activity_at);
        let mut ledger = Ledger::new(user, self.role, self.version, latest, live);
        ledger.account = self.account.clone();
        ledger.rotations = self.version - self.check_version;
        self.endings.iter().for_each(|ending| ledger.remember_ending(*ending));
        ledger
    }

    /// The same with other nodes' endings applied. The version stays: a decision reads the ledger first.
    pub(super) fn after_endings(&self, check_version: i64, ended: &[RememberedEnding]) -> Self {
        let is_over = |id: SessionId| ended.iter().any(|ending| ending.session == id);
        let mut endings = self.endings.to_vec();
        endings.extend_from_slice(ended);
        endings.drain(..endings.len().saturating_sub(ENDINGS_REMEMBERED));
        Self {
            version: self.version,
            check_version,
            role: self.role,
            last_activity_at: self.last_activity_at(),
            account: self.account.clone(),
            live: self.live.iter().filter(|shown| !is_over(shown.id)).cloned().collect(),
            endings: endings.into(),
        }
    }

    /// Takes over later activity that another node has seen. False if the ledger is different in anything
    /// else: a version can be another one's where a backup was restored.
    pub(super) fn advance(&self, ledger: &Ledger) -> bool {
        let same = self.shows(ledger);
        if same {
            for (shown, session) in self.live.iter().zip(ledger.live()) {
                shown.session.catch_up(session);
            }
        }
        same
    }

    /// Whether a new snapshot of that ledger would differ in nothing but the activity of its sessions.
    fn shows(&self, ledger: &Ledger) -> bool {
        let same = |(shown, session): (&SnapshotEntry, &Session)| shown.shows(session);
        (self.version, self.check_version, self.role) == (ledger.version, ledger.check_version(), ledger.role)
            && self.account == ledger.account
            && self.last_activity_at >= ledger.last_activity_at
            && *self.endings == *ledger.remembered_endings()
            && self.live.len() == ledger.live().len()
            && self.live.iter().zip(ledger.live()).all(same)
    }

    /// The live sessions, in no order.
    pub fn live(&self) -> impl ExactSizeIterator<Item = &Arc<LiveSession>> {
        self.live.iter().map(|shown| &shown.session)
    }

    /// The live session of that id, and the session token that its access tokens must carry.
    pub(super) fn find_with_token(&self, id: SessionId) -> Option<(&Arc<LiveSession>, SessionToken)> {
        let shown = self.live.iter().find(|shown| shown.id == id)?;
        Some((&shown.session, shown.token))
    }

    /// The latest proof of a live session.
    #[must_use]
    pub fn authentication(&self, id: SessionId) -> Option<Authentication> {
        self.live.iter().find(|shown| shown.id == id).map(|shown| shown.authentication)
    }

    /// The live session of that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<&Arc<LiveSession>> {
        self.live.iter().find(|shown| shown.id == id).map(|shown| &shown.session)
    }

    /// The refresh token of that live session that is current.
    #[must_use]
    pub fn refresh(&self, id: SessionId) -> Option<Refresh> {
        self.live.iter().find(|shown| shown.id == id).map(SnapshotEntry::refresh)
    }

    /// Why that session ended, if it did lately.
    #[must_use]
    pub fn remembered_ending(&self, id: SessionId) -> Option<EndReason> {
        self.endings.iter().rev().find(|ended| ended.session == id).map(|ended| ended.reason)
    }

    /// Latest activity of any session, ended ones included.
    #[must_use]
    pub fn last_activity_at(&self) -> Timestamp {
        let live = self.live().map(|session| session.shown_activity()).max();
        live.unwrap_or_default().max(self.last_activity_at)
    }
}
