//! Rotating a refresh token, and detecting the reuse of an old one (RFC 9700, section 4.14.2).

use super::{Command, Decision, Logout, SessionOver};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::SessionId;
use crate::domain::ledger::{Ledger, ending, idle_ending_at};
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;

/// Requests new tokens with a refresh token of that generation.
#[derive(Clone, Copy, Debug)]
pub struct RotateRefresh {
    /// The session.
    pub session: SessionId,
    /// Generation of the token that was presented.
    pub generation: u32,
}

/// New tokens may be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The session with the generation that is now current.
    pub session: Session,
    /// The user's role, for the access token.
    pub role: Role,
}

/// Why no tokens are issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshRefusal {
    /// The session is over.
    Over(SessionOver),
    /// A generation that was never issued, or that a change of credentials has made void.
    Unknown,
    /// An old token was used again; the session has been ended because of it.
    Reused,
}

impl Command for RotateRefresh {
    type Reply = Result<Refreshed, RefreshRefusal>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        let Some(session) = ledger.find(self.session) else {
            return Decision::unchanged(Err(RefreshRefusal::Over(SessionOver::of(ledger, self.session))));
        };
        let refresh = session.refresh;
        if refresh.is_void(self.generation) {
            return Decision::unchanged(Err(RefreshRefusal::Unknown));
        }
        if self.generation == refresh.generation {
            return rotate(session, ledger.role, now, policy);
        }
        if refresh.accepts(self.generation, now, policy.refresh_reuse_grace) {
            return reissue(session, ledger.role, now, policy);
        }
        end(session, EndReason::RefreshTokenReused, RefreshRefusal::Reused, now)
    }
}

/// The person signs out with a refresh token of that generation, having no usable access token. It is
/// judged as at a refresh, but nothing is rotated.
#[derive(Clone, Copy, Debug)]
pub struct LogoutByRefresh {
    /// The session.
    pub session: SessionId,
    /// Generation of the token that was presented.
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

/// A session that is over by the times of the policy in force ends now, even if it was not over by the
/// times it was opened with.
fn rotate(
    session: &Session,
    role: Role,
    now: Timestamp,
    policy: &Policy,
) -> Decision<Result<Refreshed, RefreshRefusal>> {
    let session = renewed(session, now, policy);
    let over = |reason| RefreshRefusal::Over(SessionOver { session: session.id(), reason: Some(reason) });
    if session.times.expires_at <= now {
        return end(&session, EndReason::Expired, over(EndReason::Expired), now);
    }
    if idle_ending_at(&session, policy) <= now {
        return end(&session, EndReason::IdleTimeout, over(EndReason::IdleTimeout), now);
    }
    Decision {
        events: vec![LedgerEvent::Rotated { session: session.clone() }],
        reply: Ok(Refreshed { session, role }),
    }
}

/// The answer that carried the current token may have been lost, so the token is sent again and nothing
/// is rotated. All that is stored, once in a while, is that access tokens stay valid for longer.
fn reissue(
    session: &Session,
    role: Role,
    now: Timestamp,
    policy: &Policy,
) -> Decision<Result<Refreshed, RefreshRefusal>> {
    if session.tokens_expire_at >= now.plus(policy.access_expiry) {
        return Decision::unchanged(Ok(Refreshed { session: session.clone(), role }));
    }
    let session = Session { tokens_expire_at: tokens_expire_at(session, now, policy), ..session.clone() };
    let event = LedgerEvent::Reissued { session: session.id(), tokens_expire_at: session.tokens_expire_at };
    Decision { events: vec![event], reply: Ok(Refreshed { session, role }) }
}

fn end(
    session: &Session,
    reason: EndReason,
    refusal: RefreshRefusal,
    now: Timestamp,
) -> Decision<Result<Refreshed, RefreshRefusal>> {
    let events = vec![LedgerEvent::Ended(ending(session, reason, None, now))];
    Decision { events, reply: Err(refusal) }
}

/// The session with its next refresh token, and the times of the policy in force.
pub(super) fn renewed(session: &Session, now: Timestamp, policy: &Policy) -> Session {
    Session {
        refresh: session.refresh.next(now),
        times: policy.times(session.profile.created_at, session.profile.remember),
        tokens_expire_at: tokens_expire_at(session, now, policy),
        ..session.clone()
    }
}

/// The replaced token is answered with a fresh access token too, and within the grace that stores nothing.
fn tokens_expire_at(session: &Session, now: Timestamp, policy: &Policy) -> Timestamp {
    now.plus(policy.refresh_reuse_grace).plus(policy.access_expiry).max(session.tokens_expire_at)
}
