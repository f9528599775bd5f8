//! What happened to a user's sessions: decided by a command, applied to the ledger, stored, and
//! announced to others.

use std::sync::Arc;

use super::account_change::{AccountChange, ChangedBy};
use super::ids::{SessionId, SessionToken};
use super::mail::NewMail;
use super::reason::EndReason;
use super::session::Session;
use super::time::Timestamp;
use uuid::Uuid;

/// What opened a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// The person signed up with this address.
    Signup {
        /// The address, for the other services.
        email: Arc<str>,
    },
    /// The person logged in.
    Login,
}

/// How one session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The session.
    pub session: SessionId,
    /// Its token, for services that keep a denylist of tokens.
    pub token: SessionToken,
    /// Why it ended.
    pub reason: EndReason,
    /// The session from which a person ended it; with [`EndReason::Terminated`], `None` if an operator did.
    pub by: Option<SessionId>,
    /// The activity that the decision is based on: an idle ending holds only if no later activity is
    /// stored.
    pub last_activity: Timestamp,
    /// No access token of the session is valid after this.
    pub tokens_expire_at: Timestamp,
    /// When it ended.
    pub at: Timestamp,
}

impl LedgerEvent {
    /// Whether it concerns a refresh token only, so that other nodes need not hear of it unless the
    /// session's times change too.
    #[must_use]
    pub fn is_refresh_only(&self) -> bool {
        matches!(self, Self::Rotated { .. } | Self::Reissued { .. })
    }

    /// The ending, if it is one.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        match self {
            Self::Ended(ending) => Some(ending),
            Self::Opened { .. }
            | Self::Rotated { .. }
            | Self::Reissued { .. }
            | Self::Renewed { .. }
            | Self::BulkTerminated { .. }
            | Self::AccountChanged { .. }
            | Self::AccountDeleted { .. }
            | Self::CodeSpent { .. }
            | Self::Mailed(_) => None,
        }
    }
}

/// One change of a user's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerEvent {
    /// A session was opened.
    Opened {
        /// The session as it begins.
        session: Session,
        /// What opened it.
        occasion: OpenedBy,
    },
    /// The refresh token of a session was replaced.
    Rotated {
        /// The session as it goes on.
        session: Session,
    },
    /// The current refresh token was sent again, because the answer that carried it may have been lost.
    Reissued {
        /// The session.
        session: SessionId,
        /// No access token of the session is valid after this.
        tokens_expire_at: Timestamp,
    },
    /// A session goes on with a new authentication, or with a new session token.
    Renewed {
        /// The session as it goes on.
        session: Session,
        /// Whether the new refresh token is announced to other services as an event of its own.
        announced: bool,
    },
    /// A session ended.
    Ended(Ending),
    /// The account changed; the endings of sessions that ended with it come before this event.
    AccountChanged {
        /// What changed.
        change: Box<AccountChange>,
        /// Who changed it.
        by: ChangedBy,
        /// The time that distinguishes the new credentials from the previous ones, if they changed.
        credentials_changed_at: Option<Timestamp>,
        /// When it changed.
        at: Timestamp,
    },
    /// The account was deleted; the endings of all its sessions come before.
    AccountDeleted {
        /// When.
        at: Timestamp,
    },
    /// The mailed code of that request was spent on the change before it.
    CodeSpent {
        /// The request.
        request: Uuid,
        /// When it was spent.
        at: Timestamp,
    },
    /// A mail informs the person of the events before this one, and is stored with them.
    Mailed(Box<NewMail>),
    /// A person ended all other sessions at once; their endings come before this event.
    BulkTerminated {
        /// How many ended.
        count: usize,
    },
}
