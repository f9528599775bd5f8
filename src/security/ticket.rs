//! Tickets for opening a live connection, for browsers, which cannot set headers. A ticket is signed, so
//! that nothing is stored when one is issued; its use is recorded, so that it is valid only once, in the
//! one store that it names itself.

use std::time::Duration;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tokens::{Signer, TokenError};
use crate::clock::new_uuid;
use crate::config::TokenConfig;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// How long a ticket is valid.
pub const GOOD_FOR: Duration = Duration::from_secs(30);
/// Clocks of two nodes may differ by this much, and a ticket is still valid once and on both.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// How long after its expiry a ticket's use must be remembered: the clock of the node that checks it may be
/// that far behind, and the clock of the one that forgets it that far ahead.
pub const RECORDED_AFTER_EXPIRY: Duration = Duration::from_secs(60);
/// Most used tickets that a node remembers by itself, so that refusing one that is presented again costs
/// nothing.
const REMEMBERED: usize = 10_000;
/// `typ` of a ticket, so that no other token is accepted as one.
const TYP: &str = "ticket+jwt";

/// A signed ticket. Never printed except in the answer it is made for.
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

/// Where the use of a ticket is recorded. Chosen when it is issued, because it must be one store for all
/// nodes, even if one of them is cut off from Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpentIn {
    /// Redis, where the record expires by itself.
    Redis,
    /// The database, if there is no Redis or it is unreachable.
    Database,
}

/// The claims of a verified ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaims {
    /// The user.
    #[serde(rename = "sub")]
    pub user: UserId,
    /// The session that the connection is for.
    #[serde(rename = "sid")]
    pub session: SessionId,
    /// The ticket's id.
    #[serde(rename = "jti")]
    pub id: Uuid,
    /// Where its use is recorded.
    pub spent_in: SpentIn,
    /// In ms, not in seconds as `exp`: a second is a thirtieth of its life.
    #[serde(rename = "good_until")]
    valid_until: i64,
}

impl TicketClaims {
    /// Until when the ticket is valid.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        Timestamp::from_millis(self.valid_until)
    }
}

/// Signs and verifies tickets, with HS256 and the secret of the refresh tokens.
pub struct Tickets {
    signer: Signer,
    used: Cache<Uuid, ()>,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

impl Tickets {
    /// Takes the secret of the configuration.
    #[must_use]
    pub fn new(config: &TokenConfig) -> Self {
        Self { signer: Signer::new(TYP, config, &["sub"]), used: Cache::new(REMEMBERED) }
    }

    /// A ticket for a connection of that session.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the secret cannot sign, which cannot happen with HMAC.
    pub fn sign(
        &self,
        user: UserId,
        session: SessionId,
        spent_in: SpentIn,
        now: Timestamp,
    ) -> Result<Ticket, TokenError> {
        let valid_until = now.plus(GOOD_FOR).millis();
        let claims = TicketClaims { user, session, id: new_uuid(), spent_in, valid_until };
        self.signer.sign(&claims).map(Ticket)
    }

    /// Checks algorithm, signature and type, then the time, and whether this node has seen it used.
    ///
    /// # Errors
    /// [`TokenError`]. One that seems to have been issued in the future is not valid either: by the time
    /// it were, the record that it was used may have been deleted.
    pub fn verify(&self, ticket: &str, now: Timestamp) -> Result<TicketClaims, TokenError> {
        let claims: TicketClaims = self.signer.read(ticket)?;
        if claims.valid_until() <= now {
            return Err(TokenError::Expired);
        }
        let too_early = claims.valid_until() > now.plus(GOOD_FOR + CLOCK_SKEW);
        if too_early || self.used.get(&claims.id).is_some() { Err(TokenError::Invalid) } else { Ok(claims) }
    }

    /// Remembers that a ticket was used, as long as there is room. Nothing relies on this: the record is
    /// in the store that the ticket names.
    pub fn remember_used(&self, ticket: &TicketClaims) {
        self.used.insert(ticket.id, ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const MILLISECOND: Duration = Duration::from_millis(1);

    fn tickets() -> Tickets {
        let secret = ("JWT_REFRESH_SECRET".to_owned(), "0123456789abcdef0123456789abcdef".to_owned());
        let access = ("JWT_ACCESS_SECRET".to_owned(), "fedcba9876543210fedcba9876543210".to_owned());
        Tickets::new(&Config::parse(&[secret, access].into()).unwrap().tokens)
    }

    fn sign(tickets: &Tickets) -> Ticket {
        tickets.sign(UserId::new(new_uuid()), SessionId::new(new_uuid()), SpentIn::Redis, NOW).unwrap()
    }

    #[test]
    fn a_ticket_has_its_time() {
        let tickets = tickets();
        let ticket = sign(&tickets);
        let verify = |now| tickets.verify(ticket.expose(), now).map(|claims| claims.valid_until());
        let end = NOW.plus(GOOD_FOR);
        for now in [NOW.minus(CLOCK_SKEW), NOW, end.minus(MILLISECOND)] {
            assert_eq!(verify(now), Ok(end));
        }
        assert_eq!(verify(end), Err(TokenError::Expired));
        assert_eq!(verify(NOW.minus(CLOCK_SKEW + MILLISECOND)), Err(TokenError::Invalid));
    }

    #[test]
    fn a_used_one_is_remembered_and_others_are_not() {
        let tickets = tickets();
        let (used, other) = (sign(&tickets), sign(&tickets));
        tickets.remember_used(&tickets.verify(used.expose(), NOW).unwrap());
        assert_eq!(tickets.verify(used.expose(), NOW), Err(TokenError::Invalid));
        tickets.verify(other.expose(), NOW).unwrap();
    }
}
