//! What a protected request looks at instead of asking: a user's sessions as of the last change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use smallvec::SmallVec;

use crate::domain::ids::{SessionId, UserId};
use crate::domain::ledger::{Ledger, RememberedEnding};
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::session::{Refresh, Session, SessionProfile};
use crate::domain::time::Timestamp;
use crate::domain::user::Role;

/// A live session as requests see it; the same value in every snapshot, as long as one follows the other.
#[derive(Debug)]
pub struct LiveSession {
    /// Owner.
    pub user: UserId,
    /// What never changes.
    pub profile: SessionProfile,
    /// Milliseconds; only ever grows.
    last_activity: AtomicI64,
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
            heard: AtomicI64::new(0),
            told_nodes: AtomicI64::new(0),
            told: AtomicI64::new(0),
            unwritten: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        }
    }

    /// Identifier.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.profile.id
    }

    /// Latest activity that this node knows of.
    #[must_use]
    pub fn last_activity(&self) -> Timestamp {
        Timestamp::from_millis(self.last_activity.load(Ordering::SeqCst))
    }

    /// When the session is over if nothing happens.
    #[must_use]
    pub fn idle_expires_at(&self, policy: &Policy) -> Timestamp {
        self.profile.idle_expires_at(self.last_activity(), policy)
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
    /// The order makes it safe: requests note activity and then look here; the actor seals and then looks at the
    /// activity. So either the actor sees the activity, or the request sees the seal.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Seals the session for an idle ending that stands on `known`. False, and not sealed, if it was active since.
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

fn once_in(interval: Duration, last: &AtomicI64, now: Timestamp) -> bool {
    let told = last.load(Ordering::Relaxed);
    let due = Timestamp::from_millis(told).plus(interval) <= now;
    due && last.compare_exchange(told, now.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// A user's sessions as of one version: what requests look at, and all that the actor keeps. Immutable but for the
/// activity of its sessions.
#[derive(Debug)]
pub struct Snapshot {
    /// The version it shows.
    pub version: i64,
    /// Role, for the policy and for tokens.
    pub role: Role,
    /// Latest activity of any session when the snapshot was made.
    pub last_activity_at: Timestamp,
    disabled: bool,
    /// As many as most users have are held in place: with many residents each further place in memory to look at takes
    /// longer than all the rest of the look.
    live: SmallVec<[SnapshotEntry; 2]>,
    endings: Box<[RememberedEnding]>,
}

/// A live session, with what of it changes with the version.
#[derive(Debug)]
struct SnapshotEntry {
    /// The session's, so that others need not be looked at to find one.
    id: SessionId,
    session: Arc<LiveSession>,
    refresh: Refresh,
    tokens_expire_at: Timestamp,
}

impl Snapshot {
    /// Shows a ledger. Sessions that `before` shows too are taken from there, so that activity noted in either is
    /// noted in both.
    pub(super) fn of(ledger: &Ledger, before: Option<&Self>) -> Self {
        let live = |session: &Session| match before.and_then(|before| before.find(session.id())) {
            Some(known) => {
                known.advance(session.last_activity);
                Arc::clone(known)
            }
            None => Arc::new(LiveSession::new(ledger.user, session)),
        };
        let shown = |session: &Session| SnapshotEntry {
            id: session.id(),
            session: live(session),
            refresh: session.refresh,
            tokens_expire_at: session.tokens_expire_at,
        };
        Self {
            version: ledger.version,
            role: ledger.role,
            last_activity_at: ledger.last_activity_at,
            disabled: ledger.disabled,
            live: ledger.live().iter().map(shown).collect(),
            endings: ledger.remembered_endings().into(),
        }
    }

    /// The ledger it shows, with all activity that this node has seen since.
    pub(super) fn ledger(&self, user: UserId) -> Ledger {
        let session = |shown: &SnapshotEntry| Session {
            profile: shown.session.profile.clone(),
            last_activity: shown.session.last_activity(),
            refresh: shown.refresh,
            tokens_expire_at: shown.tokens_expire_at,
        };
        let live: Vec<_> = self.live.iter().map(session).collect();
        let latest = live.iter().map(|session| session.last_activity).max();
        let latest = latest.unwrap_or_default().max(self.last_activity_at);
        let mut ledger = Ledger::new(user, self.role, self.version, latest, live);
        ledger.disabled = self.disabled;
        self.endings.iter().for_each(|ending| ledger.remember_ending(*ending));
        ledger
    }

    /// Takes over later activity that another node has seen. False if the ledger is different in anything else: a version
    /// can be another one's where a backup was restored.
    pub(super) fn advance(&self, ledger: &Ledger) -> bool {
        let same = self.shows(ledger);
        if same {
            for (shown, session) in self.live.iter().zip(ledger.live()) {
                shown.session.advance(session.last_activity);
            }
        }
        same
    }

    /// Whether a new snapshot of that ledger would differ in nothing but the activity of its sessions.
    fn shows(&self, ledger: &Ledger) -> bool {
        let same = |(shown, session): (&SnapshotEntry, &Session)| {
            shown.id == session.id()
                && shown.refresh == session.refresh
                && shown.tokens_expire_at == session.tokens_expire_at
        };
        (self.version, self.role, self.disabled) == (ledger.version, ledger.role, ledger.disabled)
            && self.last_activity_at >= ledger.last_activity_at
            && *self.endings == *ledger.remembered_endings()
            && self.live.len() == ledger.live().len()
            && self.live.iter().zip(ledger.live()).all(same)
    }

    /// The live sessions, in no order.
    pub fn live(&self) -> impl ExactSizeIterator<Item = &Arc<LiveSession>> {
        self.live.iter().map(|shown| &shown.session)
    }

    /// The live session of that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<&Arc<LiveSession>> {
        self.live.iter().find(|shown| shown.id == id).map(|shown| &shown.session)
    }

    /// The refresh token of that live session that is current.
    #[must_use]
    pub fn refresh(&self, id: SessionId) -> Option<Refresh> {
        self.live.iter().find(|shown| shown.id == id).map(|shown| shown.refresh)
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
