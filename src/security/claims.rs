//! The claims of a verified access token.

use crate::domain::ids::{SessionId, SessionToken, UserId};

/// The claims of a verified access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The session's token when it was issued.
    pub token: SessionToken,
    /// The session's refresh generation when it was issued; 0 in tokens of an older version.
    pub generation: u32,
}
