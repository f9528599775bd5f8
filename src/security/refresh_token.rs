//! Refresh tokens, which name a session and a generation; the ledger knows which generation is current.
//!
//! Signing is deterministic: the token of a generation is always the same, so that two tabs that refresh
//! at the same time get the same one, and none of it has to be stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tokens::{Signer, TokenError};
use crate::config::TokenConfig;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::Refresh;
use crate::domain::time::Timestamp;

/// `typ` of a refresh token, so that no other token is accepted as one.
const TYP: &str = "refresh+jwt";

/// A signed refresh token. Never printed except in the answer it is made for.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct RefreshToken(String);

impl RefreshToken {
    /// The token, for the cookie or the answer.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(hidden)")
    }
}

/// The claims of a verified refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshClaims {
    /// The user.
    #[serde(rename = "sub")]
    pub user: UserId,
    /// The session.
    #[serde(rename = "sid")]
    pub session: SessionId,
    /// The generation.
    #[serde(rename = "gen")]
    pub generation: u32,
    iat: i64,
    exp: i64,
}

impl RefreshClaims {
    /// When its generation was issued, in seconds since 1970.
    #[must_use]
    pub fn issued_at_seconds(&self) -> i64 {
        self.iat
    }
}

/// Signs and verifies refresh tokens, with HS256 and a secret of their own.
pub struct RefreshTokens {
    signer: Signer,
    expiry: Duration,
}

impl std::fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RefreshTokens({:?})", self.expiry)
    }
}

impl RefreshTokens {
    /// Takes the secret and expiry of the configuration.
    #[must_use]
    pub fn new(config: &TokenConfig) -> Self {
        let signer = Signer::new(TYP, config, &["exp", "sub"]);
        Self { signer, expiry: config.refresh_expiry }
    }

    /// How long a token is valid after its generation was issued.
    #[must_use]
    pub fn expiry(&self) -> Duration {
        self.expiry
    }

    /// The token of a session's current generation.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the secret cannot sign, which cannot happen with HMAC.
    pub fn sign(
        &self,
        user: UserId,
        session: SessionId,
        current: Refresh,
    ) -> Result<RefreshToken, TokenError> {
        let claims = RefreshClaims {
            user,
            session,
            generation: current.generation,
            iat: current.issued_at.seconds(),
            exp: current.issued_at.plus(self.expiry).seconds(),
        };
        self.signer.sign(&claims).map(RefreshToken)
    }

    /// Checks algorithm, signature and type, and then the time.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<RefreshClaims, TokenError> {
        let claims: RefreshClaims = self.signer.read(token)?;
        if claims.exp <= now.seconds() { Err(TokenError::Expired) } else { Ok(claims) }
    }
}
