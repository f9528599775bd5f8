//! What an operator changes of an account itself, in one commit with what follows of it for its sessions.

use super::password_hash::PasswordHash;
use super::policy::OwnPolicy;
use super::time::Timestamp;
use super::user::{Email, Role};

/// Changes of an account; what is not there stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OperatorChange {
    /// Display name.
    pub name: Option<String>,
    /// Address.
    pub email: Option<Email>,
    /// Password. What was proved with the one before counts no more.
    pub password: Option<PasswordHash>,
    /// Role.
    pub role: Option<Role>,
    /// Since when it is disabled; none enables it.
    pub disabled_at: Option<Option<Timestamp>>,
    /// Whether the next login must set a new password.
    pub password_change_required: Option<bool>,
    /// The user's own policy; none takes it away.
    pub policy: Option<Option<OwnPolicy>>,
    /// When it was changed, where that was elsewhere and earlier; otherwise now.
    pub changed_at: Option<Timestamp>,
    /// It is deleted: name, address and password are forgotten.
    pub deleted: bool,
}

impl OperatorChange {
    /// The account is deleted.
    #[must_use]
    pub fn deletion() -> Self {
        Self { deleted: true, ..Self::default() }
    }

    /// What changes, in the words of the event `user.updated`.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let changes = [
            ("password", self.password.is_some()),
            ("email", self.email.is_some()),
            ("name", self.name.is_some()),
            ("role", self.role.is_some()),
            ("policy", self.policy.is_some()),
            ("disabled", self.disabled_at.is_some()),
        ];
        changes.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect()
    }
}
