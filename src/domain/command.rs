//! What may happen to a user's sessions. Each command decides on a ledger, a time and a policy, and nothing
//! else.
//!
//! Time comes first: [`decide`] ends every overdue session before the command sees the ledger, so no
//! command can act for a session that is already over, or evict one to make room.

mod account;
mod end;
mod open;
mod reauthenticate;
mod refresh;
mod theft_notice;

pub use account::{
    AskForDeletion, ChangeAccount, ChangeByCode, ChangePassword, ChangeRefusal, CodeVoid, DeleteAccount,
    Outdated, PasswordChanged, SetRequiredPassword,
};
pub use end::{
    EndAll, EndOne, EndReplaced, Logout, Terminate, TerminateOthers, TerminateRefusal, Terminated,
};
pub use open::{Open, OpenRefusal, Opened, Replaces};
pub use reauthenticate::{
    ListLive, LiveSessions, NoteProof, Proof, ReadProof, Reauthenticate, ReauthenticateRefusal,
};
pub use refresh::{LogoutByRefresh, RefreshRefusal, Refreshed, RotateRefresh};
pub use theft_notice::{Notice, WithTheftNotice};

use super::event::LedgerEvent;
use super::ids::SessionId;
use super::ledger::Ledger;
use super::policy::Policy;
use super::reason::EndReason;
use super::time::Timestamp;

/// What a command decides on a ledger: the events to store, and the reply to send once they are stored.
#[must_use = "a decision that is not committed has not happened"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<R> {
    /// In the order in which they happen; empty when nothing changes.
    pub events: Vec<LedgerEvent>,
    /// The reply to the caller.
    pub reply: R,
}

impl<R> Decision<R> {
    pub(crate) fn unchanged(reply: R) -> Self {
        Self { events: Vec::new(), reply }
    }
}

/// Something that may be done to a user's sessions.
pub trait Command {
    /// The reply to the caller.
    type Reply;

    /// Whether executing it again, after a failure that left the outcome unknown, changes nothing further.
    const REPEATABLE: bool;

    /// Its name in traces: the type name without its path.
    #[must_use]
    fn name() -> &'static str {
        std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default()
    }

    /// Decides on a ledger in which nothing is overdue.
    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply>;
}

/// A session that is not, or no longer, live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOver {
    /// The session.
    pub session: SessionId,
    /// Why it ended, if the ledger still remembers.
    pub reason: Option<EndReason>,
}

impl SessionOver {
    fn of(ledger: &Ledger, session: SessionId) -> Self {
        Self { session, reason: ledger.remembered_ending(session).map(|ended| ended.reason) }
    }
}

/// Ends what is overdue, then lets the command decide on the rest.
pub fn decide<C: Command>(
    command: &C,
    ledger: &Ledger,
    now: Timestamp,
    policy: &Policy,
) -> Decision<C::Reply> {
    let overdue: Vec<_> = ledger.due(now, policy).into_iter().map(LedgerEvent::Ended).collect();
    if overdue.is_empty() {
        return command.decide(ledger, now, policy);
    }
    let mut current = ledger.clone();
    overdue.iter().for_each(|event| current.apply(event));
    let decision = command.decide(&current, now, policy);
    Decision { events: overdue.into_iter().chain(decision.events).collect(), reply: decision.reply }
}

/// Ends what is overdue and nothing else: for the actor's timer, and for a request after its session's
/// deadline.
#[derive(Clone, Copy, Debug)]
pub struct EndOverdue;

impl Command for EndOverdue {
    type Reply = ();
    const REPEATABLE: bool = true;

    fn decide(&self, _: &Ledger, _: Timestamp, _: &Policy) -> Decision<()> {
        Decision::unchanged(())
    }
}
