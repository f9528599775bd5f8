//! Changing an account together with its sessions: one decision, one commit.

use std::time::Duration;

use super::refresh::{Refreshed, renewed};
use super::{Command, Decision, SessionOver};
use crate::domain::account_change::{AccountChange, ChangedBy};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::{SessionId, SessionToken};
use crate::domain::ledger::{Ledger, ending};
use crate::domain::mail::NewMail;
use crate::domain::password_hash::PasswordHash;
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// Changes an account; with a reason all its sessions end with the change. A reset of the password is one of these.
#[derive(Clone, Debug)]
pub struct ChangeAccount {
    /// What changes.
    pub change: AccountChange,
    /// Who changes it.
    pub by: ChangedBy,
    /// Why all sessions end, if they do.
    pub end_all: Option<EndReason>,
}

impl Command for ChangeAccount {
    /// How many sessions ended.
    type Reply = usize;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<usize> {
        let end = |reason| ledger.live().iter().map(move |session| ending(session, reason, None, now));
        let mut events: Vec<_> = self.end_all.into_iter().flat_map(end).map(LedgerEvent::Ended).collect();
        let ended = events.len();
        events.push(changed(ledger, self.change.clone(), self.by, now));
        Decision { events, reply: ended }
    }
}

/// The person sets a new password in a session that stays, with new tokens.
#[derive(Clone, Debug)]
pub struct ChangePassword {
    /// The session that stays.
    pub session: SessionId,
    /// Its session token from then on.
    pub token: SessionToken,
    /// The new password.
    pub password: PasswordHash,
    /// When the credentials that the person has just shown were last changed.
    pub shown: Option<Timestamp>,
    /// Whether all other sessions end.
    pub end_others: bool,
    /// What the person is mailed.
    pub mails: Vec<NewMail>,
}

/// The password was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChanged {
    /// The session that stays, and what its tokens say.
    pub refreshed: Refreshed,
    /// How many other sessions ended.
    pub terminated: usize,
}

/// Why the password was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// The session is over.
    Over(SessionOver),
    /// The credentials that were shown are not the current ones any more.
    Outdated,
}

impl Command for ChangePassword {
    type Reply = Result<PasswordChanged, ChangeRefusal>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        let Some(kept) = ledger.find(self.session) else {
            return Decision::unchanged(Err(ChangeRefusal::Over(SessionOver::of(ledger, self.session))));
        };
        if ledger.account.credentials_changed_at != self.shown {
            return Decision::unchanged(Err(ChangeRefusal::Outdated));
        }
        let others = ledger.live().iter().filter(|session| self.end_others && session.id() != self.session);
        let mut events: Vec<_> = others
            .map(|session| ending(session, EndReason::CredentialsChanged, None, now))
            .map(LedgerEvent::Ended)
            .collect();
        let terminated = events.len();
        let session = renewed(kept, now, policy);
        let refresh = session.refresh;
        let session = Session {
            token: self.token,
            // Refresh tokens from before the change are void, not merely replaced.
            refresh: crate::domain::session::Refresh { floor: refresh.generation, ..refresh },
            ..session
        };
        let change = AccountChange {
            password: Some(self.password.clone()),
            password_change_required: Some(false),
            ..AccountChange::default()
        };
        events.push(LedgerEvent::Renewed { session: session.clone(), announced: false });
        events.push(changed(ledger, change, ChangedBy::User, now));
        events.extend(mailed(&self.mails));
        let refreshed = Refreshed { session, role: ledger.role };
        Decision { events, reply: Ok(PasswordChanged { refreshed, terminated }) }
    }
}

/// What a code that was mailed changes. A code that was asked for before the credentials last changed changes nothing.
#[derive(Clone, Debug)]
pub struct ChangeByCode {
    /// What changes.
    pub change: AccountChange,
    /// When the code was asked for.
    pub asked_at: Timestamp,
    /// Why all sessions end, if they do.
    pub end_all: Option<EndReason>,
    /// What the person is mailed.
    pub mails: Vec<NewMail>,
}

/// The code is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeVoid;

impl Command for ChangeByCode {
    type Reply = Result<(), CodeVoid>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        let account = &ledger.account;
        if account.disabled || account.credentials_changed_at.is_some_and(|at| at >= self.asked_at) {
            return Decision::unchanged(Err(CodeVoid));
        }
        let end = |reason| ledger.live().iter().map(move |session| ending(session, reason, None, now));
        let mut events: Vec<_> = self.end_all.into_iter().flat_map(end).map(LedgerEvent::Ended).collect();
        events.push(changed(ledger, self.change.clone(), ChangedBy::User, now));
        events.extend(mailed(&self.mails));
        Decision { events, reply: Ok(()) }
    }
}

fn mailed(mails: &[NewMail]) -> impl Iterator<Item = LedgerEvent> {
    mails.iter().cloned().map(Box::new).map(LedgerEvent::Mailed)
}

/// The time of a change of credentials is later than that of the one before, whatever the clock says: logins compare it.
fn changed(ledger: &Ledger, change: AccountChange, by: ChangedBy, now: Timestamp) -> LedgerEvent {
    let after = |before: Timestamp| before.plus(Duration::from_millis(1)).max(now);
    let at = ledger.account.credentials_changed_at.map_or(now, after);
    let credentials_changed_at = change.changes_credentials().then_some(at);
    LedgerEvent::AccountChanged { change: Box::new(change), by, credentials_changed_at, at: now }
}
