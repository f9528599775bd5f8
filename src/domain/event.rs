//! What happened to a user's sessions: decided by a command, applied to the ledger, stored, and told to
//! others.

use std::sync::Arc;

use super::account_change::{AccountChange, ChangedBy};
use super::ids::{SessionId, SessionToken};
use super::mail::NewMail;
use super::reason::EndReason;
use super::session::Session;
use super::time::Timestamp;
use uuid::Uuid;

/// What a session was opened by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// The person signed up with this address.
    Signup {
        /// Address to tell the other services.
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
    /// Its token, which services that keep a list of refused tokens want to know.
    pub token: SessionToken,
    /// Why.
    pub reason: EndReason,
    /// The session from which a person ended it; with [`EndReason::Terminated`], none where an operator did.
    pub by: Option<SessionId>,
    /// The activity on which the decision stands: an idle ending holds only if nothing later is stored.
    pub last_activity: Timestamp,
    /// No access token of the session is good after this.
    pub tokens_expire_at: Timestamp,
    /// When.
    pub at: Timestamp,
}

impl LedgerEvent {
    /// Whether it is about a refresh token, so that other nodes need not hear of it unless the session's
    /// times change too.
    #[must_use]
    pub fn is_of_refresh_token(&self) -> bool {
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
        /// By what.
        occasion: OpenedBy,
    },
    /// The refresh token of a session was replaced.
    Rotated {
        /// The session as it goes on.
        session: Session,
    },
    /// The current refresh token was given once more, because the answer that carried it may have been lost.
    Reissued {
        /// The session.
        session: SessionId,
        /// No access token of the session is good after this.
        tokens_expire_at: Timestamp,
    },
    /// A session goes on with a new proof, or a new session token.
    Renewed {
        /// The session as it goes on.
        session: Session,
        /// Whether other services hear of the new refresh token by itself.
        announced: bool,
    },
    /// A session ended.
    Ended(Ending),
    /// The account changed; sessions that ended with it come before.
    AccountChanged {
        /// What.
        change: Box<AccountChange>,
        /// By whom.
        by: ChangedBy,
        /// The time that tells these credentials from those before, where they changed.
        credentials_changed_at: Option<Timestamp>,
        /// When.
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
        /// When.
        at: Timestamp,
    },
    /// A mail tells the person of what came before it; it is stored with that.
    Mailed(Box<NewMail>),
    /// A person ended all other sessions at once; the endings come before it.
    BulkTerminated {
        /// How many.
        count: usize,
    },
}
