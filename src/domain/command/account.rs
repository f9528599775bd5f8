//! Changing an account together with its sessions: one decision, one commit.

use std::time::Duration;

use uuid::Uuid;

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

/// Changes an account; if a reason is given, all its sessions end with the change.
#[derive(Clone, Debug)]
pub struct ChangeAccount {
    /// What changes.
    pub change: AccountChange,
    /// Who changes it.
    pub by: ChangedBy,
    /// Why all sessions end; `None` if they do not.
    pub end_all: Option<EndReason>,
    /// When it changed, where that was earlier and elsewhere; now by default.
    pub changed_at: Option<Timestamp>,
}

impl ChangeAccount {
    /// A change by the person, with which no session ends.
    #[must_use]
    pub fn by_user(change: AccountChange) -> Self {
        Self { change, by: ChangedBy::User, end_all: None, changed_at: None }
    }
}

impl Command for ChangeAccount {
    /// How many sessions ended.
    type Reply = usize;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<usize> {
        let end = |reason| ledger.live().iter().map(move |session| ending(session, reason, None, now));
        let mut events: Vec<_> = self.end_all.into_iter().flat_map(end).map(LedgerEvent::Ended).collect();
        let ended = events.len();
        let mut changed = changed(ledger, self.change.clone(), self.by, now);
        if let (LedgerEvent::AccountChanged { at, .. }, Some(changed_at)) = (&mut changed, self.changed_at) {
            *at = changed_at;
        }
        events.push(changed);
        Decision { events, reply: ended }
    }
}

/// Sets the required new password during a sign-in. Every session ends: it may have been opened with a leaked
/// password.
#[derive(Clone, Debug)]
pub struct SetRequiredPassword {
    /// The new password.
    pub password: PasswordHash,
    /// When the credentials that the person presented were last changed.
    pub shown: Option<Timestamp>,
    /// Mails to send.
    pub mails: Vec<NewMail>,
}

/// The credentials have changed since they were presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated;

impl Command for SetRequiredPassword {
    /// When the credentials changed, which identifies the new ones.
    type Reply = Result<Option<Timestamp>, Outdated>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        let account = &ledger.account;
        if account.disabled || account.credentials_changed_at != self.shown {
            return Decision::unchanged(Err(Outdated));
        }
        let change = AccountChange {
            password: Some(self.password.clone()),
            password_change_required: Some(false),
            ..AccountChange::default()
        };
        let reason = EndReason::CredentialsChanged;
        let ended = ledger.live().iter().map(|session| ending(session, reason, None, now));
        let mut events: Vec<_> = ended.map(LedgerEvent::Ended).collect();
        let changed = changed(ledger, change, ChangedBy::User, now);
        let reply = match &changed {
            LedgerEvent::AccountChanged { credentials_changed_at, .. } => Ok(*credentials_changed_at),
            _ => Err(Outdated),
        };
        events.push(changed);
        events.extend(mailed(&self.mails));
        Decision { events, reply }
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
    /// When the credentials that the person has just presented were last changed.
    pub shown: Option<Timestamp>,
    /// Whether all other sessions end.
    pub end_others: bool,
    /// Mails to send.
    pub mails: Vec<NewMail>,
}

/// The password was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChanged {
    /// The session that stays, with the values for its new tokens.
    pub refreshed: Refreshed,
    /// How many other sessions ended.
    pub terminated: usize,
}

/// Why the password was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// The session is over.
    Over(SessionOver),
    /// The credentials that were presented are no longer current.
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

/// Applies the change that a mailed code authorises. A code requested before the credentials last
/// changed has no effect.
#[derive(Clone, Debug)]
pub struct ChangeByCode {
    /// What changes.
    pub change: AccountChange,
    /// When the code was requested.
    pub asked_at: Timestamp,
    /// The request whose code this commit spends. Only for changes of credentials, where a concurrent
    /// request must find the code void.
    pub spends: Option<Uuid>,
    /// Why all sessions end, if they do.
    pub end_all: Option<EndReason>,
    /// Mails to send.
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
        let mut changed = changed(ledger, self.change.clone(), ChangedBy::User, now);
        if let LedgerEvent::AccountChanged { credentials_changed_at: Some(at), .. } = &mut changed {
            // The clocks of nodes may differ, and the code must be void from now on in any case.
            *at = (*at).max(self.asked_at);
        }
        events.push(changed);
        events.extend(self.spends.map(|request| LedgerEvent::CodeSpent { request, at: now }));
        events.extend(mailed(&self.mails));
        Decision { events, reply: Ok(()) }
    }
}

/// Schedules the deletion of the account and ends all sessions.
#[derive(Clone, Debug)]
pub struct AskForDeletion {
    /// The session that made the request.
    pub by: SessionId,
    /// When the account will be deleted, unless the person signs in before then.
    pub delete_at: Timestamp,
    /// Mails to send.
    pub mails: Vec<NewMail>,
}

impl Command for AskForDeletion {
    type Reply = Result<(), SessionOver>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        if ledger.find(self.by).is_none() {
            return Decision::unchanged(Err(SessionOver::of(ledger, self.by)));
        }
        let end = |session| LedgerEvent::Ended(ending(session, EndReason::Terminated, Some(self.by), now));
        let mut events: Vec<_> = ledger.live().iter().map(end).collect();
        let change = AccountChange { delete_at: Some(Some(self.delete_at)), ..AccountChange::default() };
        events.push(changed(ledger, change, ChangedBy::User, now));
        events.extend(mailed(&self.mails));
        Decision { events, reply: Ok(()) }
    }
}

/// Deletes the account, and ends all sessions with it.
#[derive(Clone, Debug)]
pub struct DeleteAccount {
    /// The session that asks, if the person does; it must be live.
    pub by: Option<SessionId>,
    /// Mails to send.
    pub mails: Vec<NewMail>,
}

impl Command for DeleteAccount {
    type Reply = Result<(), SessionOver>;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        if let Some(by) = self.by.filter(|by| ledger.find(*by).is_none()) {
            return Decision::unchanged(Err(SessionOver::of(ledger, by)));
        }
        let end = |session| LedgerEvent::Ended(ending(session, EndReason::UserDeleted, None, now));
        let mut events: Vec<_> = ledger.live().iter().map(end).collect();
        events.push(LedgerEvent::AccountDeleted { at: now });
        events.extend(mailed(&self.mails));
        Decision { events, reply: Ok(()) }
    }
}

fn mailed(mails: &[NewMail]) -> impl Iterator<Item = LedgerEvent> {
    mails.iter().cloned().map(Box::new).map(LedgerEvent::Mailed)
}

/// The time of a change of credentials is always later than that of the previous change, whatever the
/// clock says, because logins compare it.
fn changed(ledger: &Ledger, change: AccountChange, by: ChangedBy, now: Timestamp) -> LedgerEvent {
    let after = |before: Timestamp| before.plus(Duration::from_millis(1)).max(now);
    let at = ledger.account.credentials_changed_at.map_or(now, after);
    let credentials_changed_at = change.changes_credentials().then_some(at);
    let change = AccountChange { was_verified: ledger.account.details.email_verified, ..change };
    LedgerEvent::AccountChanged { change: Box::new(change), by, credentials_changed_at, at: now }
}
