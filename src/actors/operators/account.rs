//! Changing an account as an operator: only what differs from what is stored, and only if the account is
//! as the operator last saw it.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

use super::{Done, OperatorError, Operators, check};
use crate::domain::account_change::{AccountChange, ChangedBy};
use crate::domain::command::{ChangeAccount, Command, Decision};
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::policy::{OwnPolicy, Policy};
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};
use crate::storage::accounts::Account;
use crate::telemetry::audit::AuditEvent;

/// The desired state of an account; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Display name.
    pub name: Option<String>,
    /// Role.
    pub role: Option<Role>,
    /// Whether it is disabled: then its sessions end.
    pub disabled: Option<bool>,
    /// Whether the next login must set a new password.
    pub password_change_required: Option<bool>,
    /// The user's own policy, complete; an inner `None` removes it.
    pub policy: Option<Option<OwnPolicy>>,
}

/// The result of an edit.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The account as it is now.
    pub user: User,
    /// Whether anything changed.
    pub is_changed: bool,
    /// How many sessions ended with it.
    pub ended: usize,
}

/// Changes an account that is not yet as it should be.
struct ChangeIfAny(Option<ChangeAccount>);

impl Command for ChangeIfAny {
    /// How many sessions ended.
    type Reply = usize;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<usize> {
        match &self.0 {
            Some(change) => change.decide(ledger, now, policy),
            None => Decision::unchanged(0),
        }
    }
}

impl Operators {
    /// Changes an account; `expected` is its [`entity_tag`] as the operator last saw it.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn edit(
        &self,
        user: UserId,
        edit: &Edit,
        expected: Option<&str>,
    ) -> Result<Edited, OperatorError> {
        let plan = |found: &User| {
            check(found, expected)?;
            Ok(ChangeIfAny(edit.difference(found).map(|change| ChangeAccount {
                end_all: change.disabled.filter(|disabled| *disabled).map(|_| EndReason::Terminated),
                change,
                by: ChangedBy::Operator,
                changed_at: None,
            })))
        };
        let Done { command: ChangeIfAny(changed), reply: ended, .. } = self.execute(user, plan).await?;
        if let Some(changed) = &changed {
            self.record(user, &changed.change);
        }
        Ok(Edited { user: self.find(user).await?, is_changed: changed.is_some(), ended })
    }

    /// Takes over an account from elsewhere, if it was changed there later than here. With the password, if
    /// that is another one, all sessions end in the same commit. A new address is verified only if it is
    /// verified there. Returns whether it was later.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn take_over(&self, account: &Account, with_password: bool) -> Result<bool, OperatorError> {
        let theirs = &account.user;
        let plan = |found: &User| {
            let is_later = found.updated_at < theirs.updated_at;
            Ok(ChangeIfAny(is_later.then(|| ChangeAccount {
                change: difference(found, account, with_password),
                by: ChangedBy::Operator,
                end_all: with_password.then_some(EndReason::CredentialsChanged),
                changed_at: Some(theirs.updated_at),
            })))
        };
        let Done { command: ChangeIfAny(changed), .. } = self.execute(theirs.id, plan).await?;
        if let Some(changed) = &changed {
            self.record(theirs.id, &changed.change);
        }
        Ok(changed.is_some())
    }

    fn record(&self, user: UserId, change: &AccountChange) {
        if change.password.is_some() {
            self.audit(AuditEvent::PasswordChanged(user));
        }
        if change.email.is_some() {
            self.audit(AuditEvent::EmailChanged(user));
        }
        if let Some(role) = change.role {
            self.audit(AuditEvent::RoleChanged(user, role));
        }
        match change.disabled {
            Some(true) => self.audit(AuditEvent::Disabled(user)),
            Some(false) => self.audit(AuditEvent::Enabled(user)),
            None => {}
        }
        if change.name.is_some() || change.policy.is_some() || change.password_change_required.is_some() {
            self.audit(AuditEvent::AccountChanged(user));
        }
    }
}

/// The parts of an account from elsewhere that differ from the account here.
fn difference(found: &User, account: &Account, with_password: bool) -> AccountChange {
    let Account { user: theirs, password_hash } = account;
    let email = Some(&theirs.email).filter(|email| **email != found.email);
    let is_verified_anew = found.email_verified_at.is_some() != theirs.email_verified_at.is_some();
    AccountChange {
        name: Some(&theirs.name).filter(|name| **name != found.name).cloned(),
        email_verified_at: email.filter(|_| is_verified_anew).map(|_| theirs.email_verified_at),
        email: email.cloned(),
        role: Some(theirs.role).filter(|role| *role != found.role),
        password: with_password.then(|| password_hash.clone()),
        ..AccountChange::default()
    }
}

impl Edit {
    /// The parts that differ from the account; `None` if there are none.
    fn difference(&self, found: &User) -> Option<AccountChange> {
        let required = self.password_change_required;
        let change = AccountChange {
            name: self.name.clone().filter(|name| *name != found.name),
            role: self.role.filter(|role| *role != found.role),
            disabled: self.disabled.filter(|disabled| *disabled != found.disabled_at.is_some()),
            password_change_required: required.filter(|required| *required != found.password_change_required),
            policy: self.policy.clone().filter(|policy| *policy != found.policy),
            ..AccountChange::default()
        };
        (change != AccountChange::default()).then_some(change)
    }
}

/// Identifies the state of the account: it changes as soon as anything that an operator sees changes,
/// except the latest activity, which changes all the time and which no operator edits.
#[must_use]
pub fn entity_tag(user: &User) -> String {
    let seen = format!(
        "{:?}",
        (
            (user.id, &user.name, user.email.as_str(), user.role, user.created_at, user.updated_at),
            (user.disabled_at, user.email_verified_at, &user.locale, user.credentials_changed_at),
            (user.factors, user.password_change_required, &user.policy, user.delete_at),
        )
    );
    let mut hasher = SipHasher24::new();
    hasher.write(seen.as_bytes());
    format!("\"{:032x}\"", hasher.finish128().as_u128())
}
