//! Second factors as clients see them. No secret, no key.

use serde::Serialize;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::storage::passkeys::Passkey;
use crate::storage::totp::TotpFactor;

/// An authenticator app.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TotpView {
    added_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

impl From<TotpFactor> for TotpView {
    fn from(totp: TotpFactor) -> Self {
        Self { added_at: totp.added_at, last_used_at: totp.last_used_at }
    }
}

/// A passkey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PasskeyView<'a> {
    id: Uuid,
    name: &'a str,
    added_at: Timestamp,
    last_used_at: Option<Timestamp>,
    synced: bool,
    transports: &'a [String],
}

impl<'a> From<&'a Passkey> for PasskeyView<'a> {
    fn from(passkey: &'a Passkey) -> Self {
        Self {
            id: passkey.id,
            name: &passkey.name,
            added_at: passkey.added_at,
            last_used_at: passkey.last_used_at,
            synced: passkey.backup_eligible,
            transports: &passkey.transports,
        }
    }
}
