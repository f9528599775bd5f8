//! Roles.

use serde::{Deserialize, Serialize};

/// What a person has paid for or is allowed to do; new users are [`Role::Starter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// Given at sign-up.
    #[default]
    Starter,
    /// A paying user.
    Pro,
    /// A user of a company with a contract.
    Enterprise,
    /// An operator.
    Admin,
}

impl Role {
    /// Every role, in ascending order.
    pub const ALL: [Self; 4] = [Self::Starter, Self::Pro, Self::Enterprise, Self::Admin];

    /// The name used in tokens, answers and rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starter => "STARTER",
            Self::Pro => "PRO",
            Self::Enterprise => "ENTERPRISE",
            Self::Admin => "ADMIN",
        }
    }

    /// The role with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}
