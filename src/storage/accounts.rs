//! Accounts, by what is done to them: [`lookup`], [`create`], [`list`] and [`import`]. A change of an account
//! together with its sessions is a commit of [`super::ledger`].

pub mod create;
pub mod import;
pub mod list;
pub mod lookup;

use crate::domain::user::User;
use crate::security::password::PasswordHash;

/// An account with its password hash.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account.
    pub user: User,
    /// Hash of its password.
    pub password_hash: PasswordHash,
}
