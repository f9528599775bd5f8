//! Sample values for mails: every template is rendered with them at start, so that none fails when it is
//! needed.

use serde_json::{Map, Value, json};

use crate::domain::mail::MailKind;

/// The values of a mail of that kind, besides those that all mails have; with `full`, the optional ones too.
#[must_use]
pub fn values(kind: MailKind, full: bool) -> Map<String, Value> {
    let code = json!({
        "code": "12345678",
        "minutes": 10,
        "hours": 24,
        "link": "https://app.example.com/reset-password#requestId=…&code=12345678",
    });
    let told = json!({
        "when": "2026-11-27 17:00 UTC",
        "device": if full { "Firefox on Linux" } else { "" },
        "ip": if full { "203.0.113.7" } else { "" },
    });
    let mut values = Map::new();
    let mut add = |part: Value| {
        if let Value::Object(part) = part {
            values.extend(part);
        }
    };
    match kind {
        MailKind::PasswordReset
        | MailKind::EmailVerification
        | MailKind::EmailChange
        | MailKind::Invitation => add(code),
        MailKind::EmailChangeTaken | MailKind::SignupExists => {}
        MailKind::PasswordChanged | MailKind::SessionTheft | MailKind::PasskeySuspicious => add(told),
        MailKind::FactorAdded | MailKind::FactorRemoved => {
            add(told);
            add(json!({"factor": if full { "totp" } else { "passkey" }}));
        }
        MailKind::EmailChangeNotice => {
            add(told);
            add(json!({"new_address": "a…@example.com"}));
        }
        MailKind::AccountDeletion => {
            add(told);
            add(json!({"delete_at": if full { "2026-12-27 17:00 UTC" } else { "" }}));
        }
    }
    values
}
