//! Rotating a refresh token, and noticing when an old one comes back (RFC 9700, section 4.14.2).

use super::{Command, Decision, Logout, SessionOver};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::SessionId;
use crate::domain::ledger::{Ledger, ending};
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;

/// Asks for new tokens with a refresh token of that generation.
#[derive(Clone, Copy, Debug)]
pub struct RotateRefresh {
    /// The session.
    pub session: SessionId,
    /// Generation of the token that was shown.
    pub generation: u32,
}

/// New tokens may be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The session with the generation that is current now.
    pub session: Session,
    /// The user's role, for the access token.
    pub role: Role,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshRefusal {
    /// The session is over.
    Over(SessionOver),
    /// A generation that was never made.
    Unknown,
    /// An old token came back; the session has been ended for it.
    Reused,
}

impl Command for RotateRefresh {
    type Reply = Result<Refreshed, RefreshRefusal>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        let Some(session) = ledger.find(self.session) else {
            return Decision::unchanged(Err(RefreshRefusal::Over(SessionOver::of(ledger, self.session))));
        };
        let current = session.refresh.generation;
        if self.generation == current {
            return rotate(session, ledger.role, now, policy);
        }
        if self.generation == 0 || self.generation > current {
            return Decision::unchanged(Err(RefreshRefusal::Unknown));
        }
        if session.refresh.accepts(self.generation, now, policy.refresh_reuse_grace) {
            return Decision::unchanged(Ok(Refreshed { session: session.clone(), role: ledger.role }));
        }
        Decision {
            events: vec![LedgerEvent::Ended(ending(session, EndReason::RefreshTokenReused, None, now))],
            reply: Err(RefreshRefusal::Reused),
        }
    }
}

/// The person signs out with a refresh token of that generation, having no usable access token: judged as at a refresh, and
/// nothing is rotated.
#[derive(Clone, Copy, Debug)]
pub struct LogoutByRefresh {
    /// The session.
    pub session: SessionId,
    /// Generation of the token that was shown.
    pub generation: u32,
}

impl Command for LogoutByRefresh {
    type Reply = Result<(), RefreshRefusal>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        let Self { session, generation } = *self;
        let judged = RotateRefresh { session, generation }.decide(ledger, now, policy);
        match judged.reply {
            Ok(_) => {
                let Decision { events, reply } = Logout { session }.decide(ledger, now, policy);
                Decision { events, reply: reply.map_err(RefreshRefusal::Over) }
            }
            Err(refusal) => Decision { events: judged.events, reply: Err(refusal) },
        }
    }
}

fn rotate(
    session: &Session,
    role: Role,
    now: Timestamp,
    policy: &Policy,
) -> Decision<Result<Refreshed, RefreshRefusal>> {
    // Within the grace the replaced token is answered with a fresh access token too, and nothing is stored then.
    let tokens_expire_at = now.plus(policy.refresh_reuse_grace).plus(policy.access_expiry);
    let refresh = session.refresh.next(now);
    let rotated = Session {
        refresh,
        tokens_expire_at: tokens_expire_at.max(session.tokens_expire_at),
        ..session.clone()
    };
    Decision {
        events: vec![LedgerEvent::Rotated {
            session: session.id(),
            generation: refresh.generation,
            at: now,
            tokens_expire_at: rotated.tokens_expire_at,
        }],
        reply: Ok(Refreshed { session: rotated, role }),
    }
}
