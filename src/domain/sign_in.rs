//! The steps between authentication and an open session, in their fixed order. Pure: what the account
//! requires and what has been presented are arguments.
//!
//! It must never let a step be skipped: a session is opened only when [`next_step`] returns none.
//! Choosing sessions to end comes last and is decided with the ledger, by [`super::command::Open`].

use serde::{Deserialize, Serialize};

use super::authentication::Methods;

/// What a person may have to do before a session is opened, in the order in which it is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Present a second factor.
    SecondFactor,
    /// Set up a second factor, because the role requires one.
    Enrolment,
    /// Prove that the account's mailbox is theirs.
    EmailVerification,
    /// Choose a new password.
    PasswordChange,
    /// Choose which sessions end to make room.
    SessionChoice,
}

/// A factor beyond the password, and how it was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// A code of an authenticator app.
    Totp,
    /// A recovery code.
    RecoveryCode,
    /// A passkey that never leaves its device. It verified the person, so it counts as two factors by
    /// itself.
    DevicePasskey,
    /// A passkey that is synchronised between devices; it counts as two factors as well.
    SyncedPasskey,
}

impl Factor {
    /// Its authentication methods (RFC 8176).
    #[must_use]
    pub const fn methods(self) -> Methods {
        match self {
            Self::Totp => Methods::OTP,
            Self::RecoveryCode => Methods::RECOVERY_CODE,
            Self::DevicePasskey => Methods::HARDWARE_KEY.with(Methods::USER_VERIFIED),
            Self::SyncedPasskey => Methods::SOFTWARE_KEY.with(Methods::USER_VERIFIED),
        }
    }

    /// Whether it proves possession and verifies the person at the same time.
    #[must_use]
    pub const fn is_passkey(self) -> bool {
        matches!(self, Self::DevicePasskey | Self::SyncedPasskey)
    }
}

/// What has been presented so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The password.
    pub password: bool,
    /// A second factor, or a passkey.
    pub factor: Option<Factor>,
}

impl Shown {
    /// The password and nothing else.
    pub const PASSWORD: Self = Self { password: true, factor: None };

    /// The same, with this factor as well.
    #[must_use]
    pub const fn and(self, factor: Factor) -> Self {
        Self { factor: Some(factor), ..self }
    }

    /// The methods to claim for a session opened with it (RFC 8176).
    #[must_use]
    pub fn methods(self) -> Methods {
        let none = Methods::from_bits(0).unwrap_or(Methods::PASSWORD);
        let password = if self.password { Methods::PASSWORD } else { none };
        let factor = self.factor.map_or(none, Factor::methods);
        let both = if self.is_two_factors() { Methods::MULTIPLE_FACTORS } else { none };
        password.with(factor).with(both)
    }

    /// Whether it amounts to two factors.
    #[must_use]
    pub const fn is_two_factors(self) -> bool {
        match self.factor {
            Some(factor) => self.password || factor.is_passkey(),
            None => false,
        }
    }

    /// Whether it identifies the person: a recovery code or an app's code alone does not.
    #[must_use]
    pub const fn identifies(self) -> bool {
        self.password || self.is_two_factors()
    }
}

/// What an account requires of a person who signs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The account has a second factor.
    pub has_second_factor: bool,
    /// Its role requires one.
    pub must_have_second_factor: bool,
    /// Its mailbox must be verified and has not been.
    pub verify_email: bool,
    /// Its password must be changed.
    pub change_password: bool,
}

/// The first step that is left; `None` when only the session limit may still prevent the session.
#[must_use]
pub fn next_step(requirements: Requirements, shown: Shown) -> Option<Step> {
    let Requirements { has_second_factor, must_have_second_factor, verify_email, change_password } =
        requirements;
    let two_factors = shown.is_two_factors();
    match () {
        () if has_second_factor && !two_factors => Some(Step::SecondFactor),
        () if must_have_second_factor && !has_second_factor && !two_factors => Some(Step::Enrolment),
        () if verify_email => Some(Step::EmailVerification),
        () if change_password => Some(Step::PasswordChange),
        () => None,
    }
}

#[cfg(test)]
mod tests;
