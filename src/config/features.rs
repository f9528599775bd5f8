//! Features: parts of the service that are off until they are configured.

use serde::Serialize;

use super::Config;

/// A feature that is off until it is configured. The routes of one that is off answer 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Mails: forgotten passwords, verified and changed addresses.
    Mail,
    /// No account is created before access to its mailbox has been proved.
    VerifiedEmail,
    /// Codes of authenticator apps.
    Totp,
    /// Passkeys.
    Passkeys,
    /// Longer sessions for people who ask for them at login.
    Remember,
    /// People delete their own accounts.
    AccountDeletion,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 6] =
        [Self::Mail, Self::VerifiedEmail, Self::Totp, Self::Passkeys, Self::Remember, Self::AccountDeletion];
}

impl Config {
    /// Whether it is on.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Mail => self.mail.is_on(),
            Feature::VerifiedEmail => self.mail.requires_verified_email,
            Feature::Totp => self.second_factors.totp,
            Feature::Passkeys => self.second_factors.passkeys.is_some(),
            Feature::Remember => {
                self.sessions.remember_timeout.is_some() || self.sessions.remember_lifetime.is_some()
            }
            Feature::AccountDeletion => self.sessions.account_deletion.is_some(),
        }
    }

    /// The features that are on.
    #[must_use]
    pub fn features(&self) -> Vec<Feature> {
        Feature::ALL.into_iter().filter(|feature| self.has(*feature)).collect()
    }
}
