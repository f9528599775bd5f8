//! Login tickets: a sign-in in progress. What has been presented and what is still required is signed and
//! given to the client, so that no node stores any of it, and no session exists that may do less than
//! others.
//!
//! A ticket is valid once, on any node: the first to store its key in the database has spent it
//! ([`LoginClaims::key`]). Its `typ` keeps it from being accepted as another kind of token.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tokens::{Signer, TokenError};
use crate::clock::new_uuid;
use crate::config::TokenConfig;
use crate::domain::ids::UserId;
use crate::domain::sign_in::{Shown, Step};
use crate::domain::time::Timestamp;

/// How long a ticket is valid.
pub const VALID_FOR: Duration = Duration::from_secs(600);
/// Clocks of two nodes may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// `typ` of a login ticket, so that no other token is accepted as one.
const TYP: &str = "login+jwt";

/// A signed login ticket. Never printed except in the answer it is made for.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct LoginTicket(String);

impl LoginTicket {
    /// The ticket, for the answer.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for LoginTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginTicket(hidden)")
    }
}

/// What the client requested at the first step, and gets with the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginOptions {
    /// Name of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Whether the refresh token is to be returned in the body.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refresh_token_in_body: bool,
    /// Whether a session whose cookie comes with the request is kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_session: bool,
    /// Whether the person wants to be remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remember: Option<bool>,
    /// Language of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it in this form")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The content of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginProgress {
    /// Who is signing in; `None` before a passkey has identified the user.
    #[serde(rename = "sub", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// What has been presented so far.
    pub shown: Shown,
    /// What is still required; `None` in a ticket that is to be answered with a passkey.
    pub asked: Option<Step>,
    /// The state of the user's credentials on which the ticket depends: any change of them invalidates
    /// it.
    pub credentials: String,
    /// Whether a second factor was set up during the sign-in, so that recovery codes come with the
    /// session.
    #[serde(default, skip_serializing_if = "is_false")]
    pub enrolled: bool,
    /// The mail whose code is required.
    #[serde(rename = "mail", default, skip_serializing_if = "Option::is_none")]
    pub mail_request: Option<Uuid>,
    /// Login's own options.
    pub options: LoginOptions,
}

/// The claims of a verified ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginClaims {
    /// The sign-in.
    #[serde(flatten)]
    pub progress: LoginProgress,
    /// The ticket's id.
    #[serde(rename = "jti")]
    pub id: Uuid,
    iat: i64,
    exp: i64,
}

impl LoginClaims {
    /// Until when the ticket is valid.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(1000))
    }

    /// The key under which the database records that it was spent. A ticket without a user yet is stored
    /// under its own id, which spreads them.
    #[must_use]
    pub fn key(&self) -> (UserId, Uuid) {
        (self.progress.user.unwrap_or(UserId::new(self.id)), self.id)
    }
}

/// Signs and verifies login tickets, with HS256 and the secret of the refresh tokens.
pub struct LoginTickets(Signer);

impl std::fmt::Debug for LoginTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginTickets")
    }
}

impl LoginTickets {
    /// Takes the secrets of the configuration.
    #[must_use]
    pub fn new(config: &TokenConfig) -> Self {
        Self(Signer::new(TYP, config, &["exp"]))
    }

    /// A ticket for the rest of a sign-in, valid for [`VALID_FOR`].
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the secret cannot sign, which cannot happen with HMAC.
    pub fn sign(&self, progress: LoginProgress, now: Timestamp) -> Result<LoginTicket, TokenError> {
        let exp = now.plus(VALID_FOR).seconds();
        let claims = LoginClaims { progress, id: new_uuid(), iat: now.seconds(), exp };
        self.0.sign(&claims).map(LoginTicket)
    }

    /// Checks algorithm, signature and type, then the time. Only the database knows whether it was spent,
    /// and whether the credentials are still the same.
    ///
    /// # Errors
    /// [`TokenError`]. A ticket from the future is not valid either: by the time it were, the record that
    /// it was spent may have been deleted.
    pub fn verify(&self, ticket: &str, now: Timestamp) -> Result<LoginClaims, TokenError> {
        let claims: LoginClaims = self.0.read(ticket)?;
        if claims.valid_until() <= now {
            return Err(TokenError::Expired);
        }
        let too_early = claims.valid_until() > now.plus(VALID_FOR + CLOCK_SKEW);
        if too_early { Err(TokenError::Invalid) } else { Ok(claims) }
    }
}

#[cfg(test)]
mod tests;
