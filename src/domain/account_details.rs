//! Fingerprints of account details that no rule needs, so that an actor notices when they change and
//! notifies the devices.

use super::account_change::AccountChange;

/// Fingerprints of name, address and password hash, and whether the address is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountDetails {
    pub(super) name: u32,
    pub(super) email: u32,
    pub(super) password: u32,
    pub(super) email_verified: bool,
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

/// FNV-1a, which is enough to notice a change.
fn mark(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |mark, byte| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
