//! Tickets to open a live connection with, for browsers, which cannot set headers. A ticket is signed, so that nothing
//! is kept when one is given; that it is good once is noted when it is used, in the one place that it names itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tokens::{Signer, TokenError};
use crate::clock::new_uuid;
use crate::config::TokenConfig;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// How long a ticket is good.
pub const GOOD_FOR: Duration = Duration::from_secs(30);
/// `typ` of a ticket: no other token passes for one.
const TYP: &str = "ticket+jwt";

/// A signed ticket. Never printed but into the answer it is made for.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Ticket(String);

impl Ticket {
    /// The ticket, for the answer.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(hidden)")
    }
}

/// Where it is noted that a ticket was used. Chosen when it is given, because it must be one place for all nodes, also where
/// one of them is cut off from Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpentIn {
    /// Redis, which forgets it by itself.
    Redis,
    /// The database, where there is no Redis or it is away.
    Database,
}

/// What a verified ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaims {
    /// Whose.
    #[serde(rename = "sub")]
    pub user: UserId,
    /// For a connection of which session.
    #[serde(rename = "sid")]
    pub session: SessionId,
    /// Which ticket.
    #[serde(rename = "jti")]
    pub id: Uuid,
    /// Where it can be spent.
    pub spent_in: SpentIn,
    /// In ms, where `exp` has seconds: one of those is a thirtieth of its life.
    good_until: i64,
}

impl TicketClaims {
    /// Until when the ticket is good.
    #[must_use]
    pub fn good_until(&self) -> Timestamp {
        Timestamp::from_millis(self.good_until)
    }
}

/// Signs and verifies tickets, with HS256 and the secret of the refresh tokens.
pub struct Tickets(Signer);

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    /// With the secret of the configuration.
    #[must_use]
    pub fn new(config: &TokenConfig) -> Self {
        Self(Signer::new(TYP, &config.refresh_secret, &["sub"]))
    }

    /// A ticket for a connection of that session.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] when the secret cannot sign, which HMAC cannot bring about.
    pub fn sign(
        &self,
        user: UserId,
        session: SessionId,
        spent_in: SpentIn,
        now: Timestamp,
    ) -> Result<Ticket, TokenError> {
        let good_until = now.plus(GOOD_FOR).millis();
        let claims = TicketClaims { user, session, id: new_uuid(), spent_in, good_until };
        self.0.sign(&claims).map(Ticket)
    }

    /// Checks algorithm, signature and type, and then the time.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, ticket: &str, now: Timestamp) -> Result<TicketClaims, TokenError> {
        let claims: TicketClaims = self.0.read(ticket)?;
        if claims.good_until() <= now { Err(TokenError::Expired) } else { Ok(claims) }
    }
}
