//! What operators do to accounts, on the command line and over HTTP, under the same rules and in the
//! same kind of transaction as a user's actor. The compare-and-set on the version keeps the two from
//! interfering. The node that executes it applies it immediately; the others learn of it from the feed
//! of changes.

mod account;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::actors::registry::Registry;
use crate::clock::{Clock, new_uuid};
use crate::domain::account_change::ChangedBy;
use crate::domain::command::{Command, Decision, DeleteAccount, EndAll, EndOne, SessionOver, decide};
use crate::domain::event::{Ending, LedgerEvent};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::mail::{MailKind, MailTo, NOTICE_GOOD_FOR, NewMail, readable};
use crate::domain::policy::Policies;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};
use crate::events::announcement::Announcer;
use crate::storage::factors::{FactorChange, FactorOutcome, Keep};
use crate::storage::ledger::{Commit, CommitOutcome};
use crate::storage::{StorageError, Store};
use crate::telemetry::audit::{AuditEvent, COMMAND_LINE, Cause};

pub use account::{Edit, Edited, entity_tag};

/// How often a change is attempted. The user's row is locked from the first read, so other nodes
/// interfere only where activity keeps a session from ending as idle; where one process has the database
/// to itself, its own actor interferes.
const TRIES: usize = 20;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no such account, or no longer one.
    #[error("no account with this address or id")]
    NoSuchUser,
    /// The user has no such live session.
    #[error("the user has no live session with this id")]
    NoSuchSession(SessionOver),
    /// The account has changed since the operator last saw it.
    #[error("the account has changed meanwhile")]
    ChangedMeanwhile,
    /// The last administrator cannot go.
    #[error("this is the last administrator")]
    LastAdmin,
    /// Other changes came first, on every attempt.
    #[error("nothing was changed: the sessions of the account kept changing")]
    Contended,
    /// The database could not do it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Does what an operator asks for.
#[derive(Clone, Debug)]
pub struct Operators {
    store: Store,
    clock: Clock,
    policies: Policies,
    service_name: Arc<str>,
    /// The actors of this process, where it serves.
    registry: Option<Registry>,
    /// The principal, as named in audit lines.
    by: String,
    /// Whether the service sends mail.
    mails: bool,
}

/// What was done.
struct Done<C: Command> {
    /// The command, as it was planned for the account that was found.
    command: C,
    reply: C::Reply,
    /// Sessions that ended by it, those that were merely overdue left out.
    ended: usize,
}

impl Operators {
    /// For the command line: nobody serves in this process.
    #[must_use]
    pub fn by_command(store: Store, policies: Policies, service_name: &str, mails: bool) -> Self {
        let (service_name, by) = (service_name.into(), COMMAND_LINE.to_owned());
        Self { store, clock: Clock::System, policies, service_name, registry: None, by, mails }
    }

    /// For a request by that principal.
    #[must_use]
    pub fn in_service(registry: &Registry, by: String) -> Self {
        let dependencies = registry.dependencies();
        Self {
            store: dependencies.store.clone(),
            clock: dependencies.clock.clone(),
            policies: dependencies.policies.clone(),
            service_name: Arc::clone(&dependencies.service_name),
            registry: Some(registry.clone()),
            by,
            mails: dependencies.mails,
        }
    }

    /// Ends one session.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn end_session(
        &self,
        user: UserId,
        session: SessionId,
        reason: EndReason,
    ) -> Result<(), OperatorError> {
        let done = self.execute(user, |_| Ok(EndOne { session, reason })).await?;
        done.reply.map_err(OperatorError::NoSuchSession)
    }

    /// Ends all sessions; returns how many there were.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn end_sessions(&self, user: UserId, reason: EndReason) -> Result<usize, OperatorError> {
        Ok(self.execute(user, |_| Ok(EndAll { reason })).await?.reply)
    }

    /// Deletes an account; returns how many sessions ended with it.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn delete(&self, user: UserId, expected: Option<&str>) -> Result<usize, OperatorError> {
        self.delete_if(user, None, Vec::new(), |found| check(found, expected)).await
    }

    /// Deletes an account at its owner's request and mails the owner.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn delete_own(
        &self,
        user: UserId,
        by: SessionId,
        mail: Option<NewMail>,
    ) -> Result<(), OperatorError> {
        self.delete_if(user, Some(by), mail.into_iter().collect(), |_| Ok(())).await.map(drop)
    }

    /// Deletes an account whose grace period is over, unless its owner has signed in since.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn delete_if_due(&self, user: UserId) -> Result<(), OperatorError> {
        let found = self.find(user).await?;
        if found.role == Role::Admin && self.store.count_enabled(Role::Admin).await? == 0 {
            return Err(OperatorError::LastAdmin);
        }
        let due = |found: &User| match found.delete_at {
            Some(at) if at <= self.clock.now() => Ok(()),
            _ => Err(OperatorError::ChangedMeanwhile),
        };
        self.delete_if(user, None, Vec::new(), due).await.map(drop)
    }

    async fn delete_if(
        &self,
        user: UserId,
        by: Option<SessionId>,
        mails: Vec<NewMail>,
        may: impl Fn(&User) -> Result<(), OperatorError>,
    ) -> Result<usize, OperatorError> {
        let plan = |found: &User| {
            may(found)?;
            Ok(DeleteAccount { by, mails: mails.clone() })
        };
        let done = self.execute(user, plan).await?;
        done.reply.map_err(OperatorError::NoSuchSession)?;
        self.audit(AuditEvent::Deleted(user));
        Ok(done.ended)
    }

    /// Removes all second factors and ends all sessions; returns whether there was a factor, and how
    /// many sessions ended.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn remove_factors(&self, user: UserId) -> Result<(bool, usize), OperatorError> {
        let now = self.clock.now();
        let announcer = Announcer::new(&self.service_name, user, now);
        let announcements = announcer.factors_changed(ChangedBy::Operator);
        let mails = self.removal_notice(user, now).into_iter().collect();
        let change = FactorChange { user, now, shown: None, keep: Keep::Nothing, announcements, mails };
        // In the events the endings come first; a session that was opened in between ends as well.
        let ended = self.end_sessions(user, EndReason::Terminated).await?;
        let FactorOutcome::Changed(changed) = self.store.delete_factors(change).await? else {
            return Ok((false, ended));
        };
        self.audit(AuditEvent::FactorRemoved(user, "all"));
        if let Some(registry) = &self.registry {
            registry.factors_changed(user, changed.version, ChangedBy::Operator);
        }
        Ok((true, ended + self.end_sessions(user, EndReason::Terminated).await?))
    }

    /// The mail about factors that an operator removed. It does not contain the operator's device or address.
    fn removal_notice(&self, user: UserId, now: Timestamp) -> Option<NewMail> {
        let values = json!({"factor": "all", "when": readable(now), "device": "", "ip": ""});
        let Value::Object(values) = values else { return None };
        self.mails.then(|| NewMail {
            id: new_uuid(),
            kind: MailKind::FactorRemoved,
            to: MailTo::User(user),
            locale: None,
            values,
            request: None,
            useful_until: now.plus(NOTICE_GOOD_FOR),
        })
    }

    /// The account as it is now, or would be without what is overdue.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn find(&self, user: UserId) -> Result<User, OperatorError> {
        self.store.lookup_user(user).await?.ok_or(OperatorError::NoSuchUser)
    }

    /// Decides on the stored account and its sessions, and stores the decision. Where other nodes may
    /// serve, the user's row is locked from the start: disabling an account must not lose the race
    /// against a busy user. If nothing changes, nothing is stored.
    async fn execute<C: Command>(
        &self,
        user: UserId,
        plan: impl Fn(&User) -> Result<C, OperatorError>,
    ) -> Result<Done<C>, OperatorError> {
        for _ in 0..TRIES {
            let loaded = self.store.load_account(user).await?;
            let (found, ledger, lock) = loaded.ok_or(OperatorError::NoSuchUser)?;
            let command = plan(&found)?;
            let now = self.clock.now();
            let policy = self.policies.of(ledger.role, ledger.account.policy.as_deref());
            let Decision { events, reply } = decide(&command, &ledger, now, &policy);
            if events.is_empty() {
                return Ok(Done { command, reply, ended: 0 });
            }
            let endings: Vec<_> = events.iter().filter_map(LedgerEvent::ending).copied().collect();
            let commit = Commit::of(&ledger, events, &self.service_name, now);
            let bus = self.registry.as_ref().map(|registry| &registry.dependencies().bus);
            let announcements = bus
                .map(|bus| bus.announcements_for_watchers(self.store.keeps_events(), &commit.announcements))
                .unwrap_or_default();
            if let CommitOutcome::Committed(version) = self.store.commit(commit, lock).await? {
                self.committed(user, version, &endings);
                if let Some(bus) = bus {
                    bus.notify_watchers(announcements);
                }
                let ended = endings.iter().filter(|ending| !ending.reason.is_timeout()).count();
                return Ok(Done { command, reply, ended });
            }
        }
        Err(OperatorError::Contended)
    }

    fn audit(&self, event: AuditEvent<'_>) {
        if let Some(registry) = &self.registry {
            event.count(registry.metrics());
        }
        event.log_by(&self.by);
    }

    fn committed(&self, user: UserId, version: i64, endings: &[Ending]) {
        // Whatever the reason, the operator caused the ending. For a deletion, the deletion itself is
        // audited.
        let acts = endings.iter().filter(|it| it.reason != EndReason::UserDeleted && !it.reason.is_timeout());
        acts.for_each(|ending| self.audit(AuditEvent::Ended(user, *ending, Cause::Operator)));
        if let Some(registry) = &self.registry {
            registry.committed_outside_actor(user, version, endings, self.clock.now());
        }
    }
}

fn check(found: &User, expected: Option<&str>) -> Result<(), OperatorError> {
    match expected {
        Some(tag) if tag != entity_tag(found) => Err(OperatorError::ChangedMeanwhile),
        _ => Ok(()),
    }
}
