//! Login tickets: a sign-in that is under way. What has been shown and what is still asked is signed and
//! given to the client, so that no node keeps anything of it, and no session exists that may do less than
//! others.
//!
//! A ticket is good once, on any node: the first to store its key in the database has spent it
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

/// How long a ticket is good.
pub const VALID_FOR: Duration = Duration::from_secs(600);
/// Clocks of two nodes may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// `typ` of a login ticket: no other token passes for one.
const TYP: &str = "login+jwt";

/// A signed login ticket. Never printed but into the answer it is made for.
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

/// What the client asked for at the first step, and gets with the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginOptions {
    /// Name of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// Whether the refresh token is to come in the body.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refresh_token_in_body: bool,
    /// Whether a session whose cookie comes along stays.
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

/// What a ticket is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginProgress {
    /// Whose sign-in; none before a passkey has said so.
    #[serde(rename = "sub", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// What has been shown so far.
    pub shown: Shown,
    /// What is still asked; none of a ticket that a passkey is to answer.
    pub asked: Option<Step>,
    /// The state of the user's credentials that the ticket stands on: any change of them ends it.
    pub credentials: String,
    /// A second factor was set up on the way: recovery codes come with the session.
    #[serde(default, skip_serializing_if = "is_false")]
    pub enrolled: bool,
    /// The mail whose code is asked for.
    #[serde(rename = "mail", default, skip_serializing_if = "Option::is_none")]
    pub mail_request: Option<Uuid>,
    /// Login's own options.
    pub options: LoginOptions,
}

/// What a verified ticket says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginClaims {
    /// The sign-in.
    #[serde(flatten)]
    pub progress: LoginProgress,
    /// Which ticket.
    #[serde(rename = "jti")]
    pub id: Uuid,
    iat: i64,
    exp: i64,
}

impl LoginClaims {
    /// Until when the ticket is good.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(1000))
    }

    /// Where the database notes that it was spent. A ticket of nobody yet is kept under its own id, which
    /// spreads them.
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
    /// With the secrets of the configuration.
    #[must_use]
    pub fn new(config: &TokenConfig) -> Self {
        Self(Signer::new(TYP, config, &["exp"]))
    }

    /// A ticket for what is left of a sign-in, good for [`VALID_FOR`].
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when the secret cannot sign, which HMAC cannot bring about.
    pub fn sign(&self, progress: LoginProgress, now: Timestamp) -> Result<LoginTicket, TokenError> {
        let exp = now.plus(VALID_FOR).seconds();
        let claims = LoginClaims { progress, id: new_uuid(), iat: now.seconds(), exp };
        self.0.sign(&claims).map(LoginTicket)
    }

    /// Checks algorithm, signature and type, then the time. Whether it was spent, and whether the credentials
    /// are still the same, only the database knows.
    ///
    /// # Errors
    /// [`TokenError`]. A ticket from the future is not valid either: when it is, it may be forgotten that it
    /// was spent.
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
