//! All that the rules need to know of one user's sessions. Only [`Ledger::apply`] and the methods that
//! record activity, sightings and endings change it.

use super::account::Account;
use super::event::{Ending, LedgerEvent};
use super::ids::{SessionId, UserId};
use super::policy::Policy;
use super::reason::EndReason;
use super::session::Session;
use super::time::Timestamp;
use super::user::Role;

/// How many endings are remembered, so that the usual late request of an ended session needs no database.
pub const ENDINGS_REMEMBERED: usize = 8;

/// How a session ended, as long as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedEnding {
    /// The session.
    pub session: SessionId,
    /// Why it ended.
    pub reason: EndReason,
    /// The session from which a person ended it.
    pub by: Option<SessionId>,
}

/// A user's live sessions, as of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The user whose sessions these are.
    pub user: UserId,
    /// Role, which selects the policy and goes into access tokens.
    pub role: Role,
    /// `users.session_version` of the row this was read from or committed as.
    pub version: i64,
    /// How many of these versions were pure refresh rotations.
    pub rotations: i64,
    /// Latest activity of any session, ended ones included.
    pub last_activity_at: Timestamp,
    /// The rest of the account.
    pub account: Account,
    live: Vec<Session>,
    ended: Vec<RememberedEnding>,
}

impl Ledger {
    /// A ledger with a default account; `live` are the sessions that have not ended.
    #[must_use]
    pub fn new(
        user: UserId,
        role: Role,
        version: i64,
        last_activity_at: Timestamp,
        live: Vec<Session>,
    ) -> Self {
        let account = Account::default();
        Self { user, role, version, rotations: 0, last_activity_at, account, live, ended: Vec::new() }
    }

    /// The check version: the version less the refresh rotations. It goes up with every change that a
    /// check of a session depends on.
    #[must_use]
    pub fn check_version(&self) -> i64 {
        self.version - self.rotations
    }

    /// Whether every check of a session has the same result as with that ledger. Which refresh token is
    /// current makes no difference.
    #[must_use]
    pub fn checks_like(&self, other: &Self) -> bool {
        let same = |(one, other): (&Session, &Session)| {
            (&one.profile, one.token, one.times) == (&other.profile, other.token, other.times)
                && one.authentication == other.authentication
        };
        (self.role, &self.account) == (other.role, &other.account)
            && self.live.len() == other.live.len()
            && self.live.iter().zip(&other.live).all(same)
    }

    /// The live sessions, in no order.
    #[must_use]
    pub fn live(&self) -> &[Session] {
        &self.live
    }

    /// The live session with that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<&Session> {
        self.live.iter().find(|session| session.id() == id)
    }

    /// The latest endings, for refusals that state the reason.
    #[must_use]
    pub fn remembered_endings(&self) -> &[RememberedEnding] {
        &self.ended
    }

    /// How that session ended, if it ended recently.
    #[must_use]
    pub fn remembered_ending(&self, id: SessionId) -> Option<RememberedEnding> {
        self.ended.iter().rev().find(|ended| ended.session == id).copied()
    }

    /// Keeps the endings that an earlier reading of the same user remembered.
    pub fn remember_endings_of(&mut self, earlier: &Self) {
        self.ended =
            earlier.ended.iter().filter(|ended| self.find(ended.session).is_none()).copied().collect();
    }

    /// Remembers an ending that another node has stored.
    pub fn remember_ending(&mut self, ending: RememberedEnding) {
        if self.remembered_ending(ending.session).is_none() {
            self.ended.push(ending);
        }
        let excess = self.ended.len().saturating_sub(ENDINGS_REMEMBERED);
        self.ended.drain(..excess);
    }

    /// Records that the session was active; a time earlier than the latest known changes nothing.
    pub fn record_activity(&mut self, id: SessionId, at: Timestamp) {
        if let Some(session) = self.live.iter_mut().find(|session| session.id() == id) {
            session.last_activity = session.last_activity.max(at);
            self.last_activity_at = self.last_activity_at.max(at);
        }
    }

    /// Records that a token of the session's refresh generation was seen, if that generation is still
    /// current.
    pub fn record_sighting(&mut self, id: SessionId, generation: u32, at: Timestamp) {
        if let Some(session) = self.live.iter_mut().find(|session| session.id() == id)
            && session.refresh.generation == generation
        {
            session.refresh.seen_at = Some(session.refresh.seen_at.map_or(at, |seen| seen.min(at)));
        }
    }

    /// The earliest time at which some session may end by itself; `None` without live sessions.
    #[must_use]
    pub fn earliest_deadline(&self, policy: &Policy) -> Option<Timestamp> {
        let deadline = |session: &Session| idle_ending_at(session, policy).min(session.times.expires_at);
        self.live.iter().map(deadline).min()
    }

    /// The sessions that time has ended by `now`: absolute expiry is checked first, since idleness may
    /// still be disproved.
    #[must_use]
    pub fn due(&self, now: Timestamp, policy: &Policy) -> Vec<Ending> {
        let reason = |session: &Session| {
            if session.times.expires_at <= now {
                Some(EndReason::Expired)
            } else if idle_ending_at(session, policy) <= now {
                Some(EndReason::IdleTimeout)
            } else {
                None
            }
        };
        self.live
            .iter()
            .filter_map(|session| reason(session).map(|reason| ending(session, reason, None, now)))
            .collect()
    }

    /// Applies what has happened to the ledger.
    pub fn apply(&mut self, event: &LedgerEvent) {
        match event {
            LedgerEvent::Opened { session, .. } => {
                self.last_activity_at = self.last_activity_at.max(session.last_activity);
                self.live.push(session.clone());
            }
            LedgerEvent::Rotated { session } | LedgerEvent::Renewed { session, .. } => {
                if let Some(live) = self.live.iter_mut().find(|live| live.id() == session.id()) {
                    let last_activity = live.last_activity.max(session.last_activity);
                    *live = Session { last_activity, ..session.clone() };
                }
            }
            LedgerEvent::Reissued { session, tokens_expire_at } => {
                if let Some(live) = self.live.iter_mut().find(|live| live.id() == *session) {
                    live.tokens_expire_at = *tokens_expire_at;
                }
            }
            LedgerEvent::Ended(ending) => {
                self.live.retain(|session| session.id() != ending.session);
                let Ending { session, reason, by, .. } = *ending;
                self.remember_ending(RememberedEnding { session, reason, by });
            }
            LedgerEvent::AccountChanged { change, credentials_changed_at, .. } => {
                self.account.apply(change, *credentials_changed_at);
                self.role = change.role.unwrap_or(self.role);
            }
            // Of a deleted account no ledger is loaded again.
            LedgerEvent::AccountDeleted { .. }
            | LedgerEvent::BulkTerminated { .. }
            | LedgerEvent::CodeSpent { .. }
            | LedgerEvent::Mailed(_) => {}
        }
    }
}

/// When the session is certainly idle: by then no node can have seen activity that is not stored.
pub(super) fn idle_ending_at(session: &Session, policy: &Policy) -> Timestamp {
    session.last_activity.plus(session.times.idle_timeout).plus(policy.idle_margin)
}

/// The ending of a live session with that reason.
#[must_use]
pub fn ending(session: &Session, reason: EndReason, by: Option<SessionId>, now: Timestamp) -> Ending {
    Ending {
        session: session.id(),
        token: session.token,
        reason,
        by,
        last_activity: session.last_activity,
        tokens_expire_at: session.tokens_expire_at,
        at: now,
    }
}
