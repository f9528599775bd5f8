//! What changes in an account in the same commit as its sessions, and who changed it.

use serde::Serialize;

use super::password_hash::PasswordHash;
use super::policy::OwnPolicy;
use super::time::Timestamp;
use super::user::{Email, Role};

/// Who changed an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangedBy {
    /// The person.
    User,
    /// An operator, or a program with an operator's key.
    Operator,
}

/// The parts of an account that change; the rest stays as it is. An inner `Option` is a value that can
/// be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// A new password.
    pub password: Option<PasswordHash>,
    /// Whether the next login must set a new password.
    pub password_change_required: Option<bool>,
    /// When the person last proved that the address is theirs.
    pub email_verified_at: Option<Option<Timestamp>>,
    /// Whether the address was verified before: a later time alone is not reported as a change.
    pub was_verified: bool,
    /// A new address.
    pub email: Option<Email>,
    /// Display name.
    pub name: Option<String>,
    /// Language for mails.
    pub locale: Option<Option<String>>,
    /// Role.
    pub role: Option<Role>,
    /// The user's own session policy, which takes precedence over the role's.
    pub policy: Option<Option<OwnPolicy>>,
    /// How many second factors the person has.
    pub factors: Option<u32>,
    /// Whether it is disabled.
    pub disabled: Option<bool>,
    /// When it will be deleted.
    pub delete_at: Option<Option<Timestamp>>,
}

impl AccountChange {
    /// The names by which other services learn what changed.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let verified = self.email_verified_at.is_some_and(|at| at.is_some() != self.was_verified);
        [
            (self.password.is_some(), "password"),
            (self.email.is_some(), "email"),
            (verified, "emailVerified"),
            (self.name.is_some(), "name"),
            (self.role.is_some(), "role"),
            (self.policy.is_some(), "policy"),
            (self.factors.is_some(), "factors"),
            (self.disabled.is_some(), "disabled"),
        ]
        .into_iter()
        .filter_map(|(changed, name)| changed.then_some(name))
        .collect()
    }

    /// Whether a proof made with the previous credentials is no longer valid: a login that checked them
    /// opens no session.
    #[must_use]
    pub fn changes_credentials(&self) -> bool {
        self.password.is_some() || self.factors.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_still_verified_is_not_told_of() {
        for (verified_at, was_verified, told) in [
            (None, false, false),
            (Some(Some(Timestamp::default())), false, true),
            (Some(Some(Timestamp::default())), true, false),
            (Some(None), true, true),
        ] {
            let change =
                AccountChange { email_verified_at: verified_at, was_verified, ..AccountChange::default() };
            assert_eq!(change.names() == ["emailVerified"], told, "{verified_at:?} {was_verified}");
        }
    }
}
