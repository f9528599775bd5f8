//! What a verified access token says.

use crate::domain::ids::{SessionId, SessionToken, UserId};

/// What a verified access token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// Whose.
    pub user: UserId,
    /// Of which session.
    pub session: SessionId,
    /// The session's token at that time.
    pub token: SessionToken,
    /// The session's refresh generation at that time; 0 in tokens of an older version.
    pub generation: u32,
}
