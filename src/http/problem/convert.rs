//! Maps internal errors to problems: the only place where that is decided.

use super::{Code, FieldError, Problem};
use crate::actors::messages::ActorError;
use crate::domain::command::SessionOver;
use crate::domain::reason::EndReason;
use crate::domain::user::FieldProblem;
use crate::security::password::PasswordError;
use crate::security::rate_limit::Exceeded;
use crate::storage::StorageError;

impl From<ActorError> for Problem {
    fn from(error: ActorError) -> Self {
        match error {
            ActorError::NoSuchUser => Self::new(Code::SessionTerminated),
            ActorError::Overloaded => Self::overloaded(),
            // Every request is refused then, and the feed has logged why in a line of its own.
            ActorError::Stale => Self::unavailable_for_now(),
            ActorError::Unavailable(_) | ActorError::Contended | ActorError::NoAnswer => {
                Self::unavailable(error)
            }
        }
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        Self::unavailable(error)
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Overloaded => Self::overloaded(),
            PasswordError::Failed => Self::unavailable(error),
        }
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::rate_limited(exceeded.0)
    }
}

impl From<EndReason> for Code {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Logout => Self::SessionLoggedOut,
            EndReason::Terminated | EndReason::UserDeleted => Self::SessionTerminated,
            EndReason::IdleTimeout => Self::SessionIdleTimeout,
            EndReason::Expired => Self::SessionExpired,
            EndReason::Evicted => Self::SessionEvicted,
            EndReason::Replaced => Self::SessionReplaced,
            EndReason::CredentialsChanged => Self::SessionCredentialsChanged,
            EndReason::RefreshTokenReused => Self::RefreshTokenReused,
        }
    }
}

impl Problem {
    /// The problem for an actor's error, as reported to the bearer of an access token.
    #[must_use]
    pub fn for_token(error: ActorError) -> Self {
        Self::from(error).with_challenge()
    }

    /// The session is over; the reason is unknown if that was long ago.
    #[must_use]
    pub fn session_over(reason: Option<EndReason>) -> Self {
        Self::new(reason.map_or(Code::SessionTerminated, Code::from))
    }
}

impl From<SessionOver> for Problem {
    fn from(over: SessionOver) -> Self {
        Self::session_over(over.reason)
    }
}

impl FieldError {
    /// What to report about an invalid member.
    #[must_use]
    pub fn new(field: &'static str, unfit: FieldProblem) -> Self {
        let (code, message) = match unfit {
            FieldProblem::Required => ("required", "This field is required."),
            FieldProblem::TooShort => ("too_short", "This value is too short."),
            FieldProblem::TooLong => ("too_long", "This value is too long."),
            FieldProblem::Invalid => ("invalid", "This value is not valid."),
        };
        Self { field, code, message }
    }
}
