//! Fingerprints of account details that no rule needs, so that an actor notices when they change and tells
//! the devices.

use super::account_change::AccountChange;
use super::ledger::Account;
use super::user::Role;

/// Fingerprints of name, address and password hash, and whether the address is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountDetails {
    name: u32,
    email: u32,
    password: u32,
    email_verified: bool,
}

impl AccountDetails {
    /// The details of a stored account.
    #[must_use]
    pub fn of(name: &str, email: &str, password_hash: &str, email_verified: bool) -> Self {
        Self { name: mark(name), email: mark(email), password: mark(password_hash), email_verified }
    }

    /// Applies a change.
    pub(super) fn apply(&mut self, change: &AccountChange) {
        if let Some(name) = &change.name {
            self.name = mark(name);
        }
        if let Some(email) = &change.email {
            self.email = mark(email.as_str());
        }
        if let Some(password) = &change.password {
            self.password = mark(password.expose());
        }
        if let Some(verified_at) = change.email_verified_at {
            self.email_verified = verified_at.is_some();
        }
    }
}

/// What differs between two readings of an account, under the names of [`AccountChange::names`].
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

/// FNV-1a, which is enough to notice a change.
fn mark(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |mark, byte| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193))
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
