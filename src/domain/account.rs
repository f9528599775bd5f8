//! What the rules need to know of an account, and the differences between two readings of one.

use super::account_change::AccountChange;
use super::account_details::AccountDetails;
use super::policy::OwnPolicy;
use super::role::Role;
use super::time::Timestamp;

/// What the rules need to know of the account, besides its role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Whether it is disabled: then no session opens, and none is live, because disabling ended them.
    pub disabled: bool,
    /// How many second factors the person has.
    pub factors: u32,
    /// When the credentials (password or second factors) last changed: a login that checked earlier ones
    /// opens no session.
    pub credentials_changed_at: Option<Timestamp>,
    /// The user's own policy, which takes precedence over the role's. Few users have one.
    pub policy: Option<Box<OwnPolicy>>,
    /// Details whose changes are sent to devices.
    pub details: AccountDetails,
}

impl Account {
    /// Applies the parts of a change that the rules need.
    pub(super) fn apply(&mut self, change: &AccountChange, credentials_changed_at: Option<Timestamp>) {
        if let Some(disabled) = change.disabled {
            self.disabled = disabled;
        }
        if let Some(factors) = change.factors {
            self.factors = factors;
        }
        if let Some(policy) = &change.policy {
            self.policy = policy.clone().map(Box::new);
        }
        self.credentials_changed_at = credentials_changed_at.or(self.credentials_changed_at);
        self.details.apply(change);
    }
}

/// The differences between two readings of an account, under the names of [`AccountChange::names`].
#[must_use]
pub fn changes(before: (Role, &Account), now: (Role, &Account)) -> Vec<&'static str> {
    let ((role_before, before), (role, now)) = (before, now);
    let (was, is) = (before.details, now.details);
    let credentials = before.credentials_changed_at != now.credentials_changed_at;
    // A login may rehash the password without changing the credentials; those change with the password or a
    // factor.
    let password = credentials && was.password != is.password;
    let factors = before.factors != now.factors || (credentials && !password);
    [
        (password, "password"),
        (was.email != is.email, "email"),
        (was.email_verified != is.email_verified, "emailVerified"),
        (was.name != is.name, "name"),
        (role_before != role, "role"),
        (before.policy != now.policy, "policy"),
        (factors, "factors"),
        (before.disabled != now.disabled, "disabled"),
    ]
    .into_iter()
    .filter_map(|(changed, name)| changed.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::password_hash::PasswordHash;
    use crate::domain::time::Timestamp;
    use crate::domain::user::Email;

    #[test]
    fn a_change_is_seen_under_its_own_names() {
        let account = Account {
            details: AccountDetails::of("Ada", "ada@example.com", "hash", false),
            ..Account::default()
        };
        let at = Some(Timestamp::from_millis(7));
        let change = AccountChange {
            name: Some("Ada King".to_owned()),
            email: Some(Email::parse("king@example.com").unwrap()),
            email_verified_at: Some(at),
            password: Some(PasswordHash::from_stored("another".to_owned())),
            disabled: Some(true),
            ..AccountChange::default()
        };
        let mut after = account.clone();
        after.apply(&change, at);
        let told = changes((Role::Starter, &account), (Role::Starter, &after));
        assert_eq!(told, change.names());
        assert_eq!(changes((Role::Starter, &after), (Role::Pro, &after)), ["role"]);
    }

    #[test]
    fn a_hash_that_is_made_anew_is_no_change_and_a_replaced_factor_is_one() {
        let account = |hash: &str, at: Option<i64>| Account {
            details: AccountDetails::of("Ada", "ada@example.com", hash, false),
            credentials_changed_at: at.map(Timestamp::from_millis),
            factors: 1,
            ..Account::default()
        };
        let told = |before: &Account, now: &Account| changes((Role::Pro, before), (Role::Pro, now));
        assert!(told(&account("one", None), &account("two", None)).is_empty());
        assert_eq!(told(&account("one", None), &account("one", Some(1))), ["factors"]);
        assert_eq!(told(&account("one", Some(1)), &account("two", Some(2))), ["password"]);
    }
}
