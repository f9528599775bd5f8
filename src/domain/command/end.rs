//! Ending sessions: the person's own, another device's, all others, or all.

use super::{Command, Decision, Replaces, SessionOver};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::SessionId;
use crate::domain::ledger::{Ledger, ending};
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;

/// The person signs out on this device.
#[derive(Clone, Copy, Debug)]
pub struct Logout {
    /// The session.
    pub session: SessionId,
}

impl Command for Logout {
    type Reply = Result<(), SessionOver>;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        EndOne { session: self.session, reason: EndReason::Logout }.decide(ledger, now, policy)
    }
}

/// The person ends one session. Ending the session that made the request is a logout in every respect.
#[derive(Clone, Copy, Debug)]
pub struct Terminate {
    /// The session to end.
    pub target: SessionId,
    /// The session that made the request.
    pub by: SessionId,
}

/// How the target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminated {
    /// Another session was ended.
    Other,
    /// The session that made the request was ended.
    Itself,
}

/// Why nothing was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminateRefusal {
    /// The session that made the request is itself over.
    AskerOver(SessionOver),
    /// The user has no such live session.
    NoSuchSession,
}

impl Command for Terminate {
    type Reply = Result<Terminated, TerminateRefusal>;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        if ledger.find(self.by).is_none() {
            let over = SessionOver::of(ledger, self.by);
            return Decision::unchanged(Err(TerminateRefusal::AskerOver(over)));
        }
        let Some(target) = ledger.find(self.target) else {
            return Decision::unchanged(Err(TerminateRefusal::NoSuchSession));
        };
        let (ended, terminated) = if self.target == self.by {
            (ending(target, EndReason::Logout, None, now), Terminated::Itself)
        } else {
            (ending(target, EndReason::Terminated, Some(self.by), now), Terminated::Other)
        };
        Decision { events: vec![LedgerEvent::Ended(ended)], reply: Ok(terminated) }
    }
}

/// The person ends every session except the one that made the request.
#[derive(Clone, Copy, Debug)]
pub struct TerminateOthers {
    /// The session that made the request, which stays.
    pub keep: SessionId,
}

impl Command for TerminateOthers {
    type Reply = Result<usize, SessionOver>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        if ledger.find(self.keep).is_none() {
            return Decision::unchanged(Err(SessionOver::of(ledger, self.keep)));
        }
        let mut events: Vec<_> = ledger
            .live()
            .iter()
            .filter(|session| session.id() != self.keep)
            .map(|session| ending(session, EndReason::Terminated, Some(self.keep), now))
            .map(LedgerEvent::Ended)
            .collect();
        let count = events.len();
        if count > 0 {
            events.push(LedgerEvent::BulkTerminated { count });
        }
        Decision { events, reply: Ok(count) }
    }
}

/// Ends one session of the user, for a reason other than the person's own request.
#[derive(Clone, Copy, Debug)]
pub struct EndOne {
    /// The session.
    pub session: SessionId,
    /// Why it ends.
    pub reason: EndReason,
}

impl Command for EndOne {
    type Reply = Result<(), SessionOver>;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        match ledger.find(self.session) {
            None => Decision::unchanged(Err(SessionOver::of(ledger, self.session))),
            Some(session) => Decision {
                events: vec![LedgerEvent::Ended(ending(session, self.reason, None, now))],
                reply: Ok(()),
            },
        }
    }
}

/// Another user signed in with the browser in which this session was opened: the refresh token sent with
/// that login ends it.
#[derive(Clone, Copy, Debug)]
pub struct EndReplaced(pub Replaces);

impl Command for EndReplaced {
    type Reply = ();
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<()> {
        let replaced = self.0.find(ledger, now, policy);
        let ended = replaced.map(|session| ending(session, EndReason::Replaced, None, now));
        Decision { events: ended.map(LedgerEvent::Ended).into_iter().collect(), reply: () }
    }
}

/// Ends every session of the user, for a reason other than the person's own request.
#[derive(Clone, Copy, Debug)]
pub struct EndAll {
    /// Why they end.
    pub reason: EndReason,
}

impl Command for EndAll {
    type Reply = usize;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<usize> {
        let end = |session| LedgerEvent::Ended(ending(session, self.reason, None, now));
        let events: Vec<_> = ledger.live().iter().map(end).collect();
        let reply = events.len();
        Decision { events, reply }
    }
}
