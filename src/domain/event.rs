//! What happened to a user's sessions: decided by a command, applied to the ledger, stored, and told to others.

use std::sync::Arc;

use super::ids::{SessionId, SessionToken};
use super::reason::EndReason;
use super::session::Session;
use super::time::Timestamp;

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
    /// The ending, if it is one.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        match self {
            Self::Ended(ending) => Some(ending),
            Self::Opened { .. } | Self::Rotated { .. } | Self::BulkTerminated { .. } => None,
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
        /// The session.
        session: SessionId,
        /// The generation that is current now.
        generation: u32,
        /// When.
        at: Timestamp,
        /// No access token of the session is good after this.
        tokens_expire_at: Timestamp,
    },
    /// A session ended.
    Ended(Ending),
    /// A person ended all other sessions at once; the endings come before it.
    BulkTerminated {
        /// How many.
        count: usize,
    },
}
