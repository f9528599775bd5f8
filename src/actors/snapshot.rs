//! What a protected request reads instead of asking the actor: a user's sessions as of the last change.

mod entry;

use std::sync::Arc;

use smallvec::SmallVec;

use super::live_session::LiveSession;
use crate::domain::account::Account;
use crate::domain::authentication::Authentication;
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::ledger::{ENDINGS_REMEMBERED, Ledger, RememberedEnding};
use crate::domain::reason::EndReason;
use crate::domain::session::{Refresh, Session};
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use entry::SnapshotEntry;

/// A user's sessions as of one version: what requests read, and all that the actor stores. Immutable
/// except for the activity of its sessions.
#[derive(Debug)]
pub struct Snapshot {
    /// The version that the actor decides on.
    pub version: i64,
    /// The check version. It may be ahead of `version`: other nodes' endings are applied to the snapshot.
    pub check_version: i64,
    /// Role, for the policy and for tokens.
    pub role: Role,
    /// Latest activity of any session when the snapshot was made.
    pub last_activity_at: Timestamp,
    /// The rest of the account.
    pub account: Account,
    /// Stored inline for most users: each further memory access costs more than the rest of a check.
    live: SmallVec<[SnapshotEntry; 2]>,
    endings: Box<[RememberedEnding]>,
}

impl Snapshot {
    /// A snapshot of a ledger. Sessions that `before` has too are shared with it, so that activity
    /// recorded in either is recorded in both.
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

    /// The ledger of this snapshot, with all activity that this node has seen since.
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

    /// The same with other nodes' endings applied. `version` stays, so that a decision reads the ledger
    /// first.
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

    /// Takes over later activity that another node has seen. False if the ledger differs in anything
    /// else: after a backup was restored, the same version may mean something else.
    pub(super) fn advance(&self, ledger: &Ledger) -> bool {
        let same = self.shows(ledger);
        if same {
            for (shown, session) in self.live.iter().zip(ledger.live()) {
                shown.session.catch_up(session);
            }
        }
        same
    }

    /// Whether a new snapshot of that ledger would differ only in the activity of its sessions.
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

    /// The live session with that id, and the session token that its access tokens must carry.
    pub(super) fn find_with_token(&self, id: SessionId) -> Option<(&Arc<LiveSession>, SessionToken)> {
        let shown = self.live.iter().find(|shown| shown.id == id)?;
        Some((&shown.session, shown.token))
    }

    /// The latest authentication of a live session.
    #[must_use]
    pub fn authentication(&self, id: SessionId) -> Option<Authentication> {
        self.live.iter().find(|shown| shown.id == id).map(|shown| shown.authentication)
    }

    /// The live session with that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<&Arc<LiveSession>> {
        self.live.iter().find(|shown| shown.id == id).map(|shown| &shown.session)
    }

    /// The current refresh token of that live session.
    #[must_use]
    pub fn refresh(&self, id: SessionId) -> Option<Refresh> {
        self.live.iter().find(|shown| shown.id == id).map(SnapshotEntry::refresh)
    }

    /// Why that session ended, if it ended recently.
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
