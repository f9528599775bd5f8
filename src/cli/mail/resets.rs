//! `mail resets`: mails people who have no password yet a code with which they set one, no faster than a mail
//! server likes.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use crate::cli::output::{remark, say};
use crate::cli::{CommandError, plural};
use crate::clock::{Clock, new_uuid};
use crate::config::{Config, Feature};
use crate::domain::mail::{CodePurpose, MailKind, MailTo, NewMail};
use crate::domain::user::User;
use crate::storage::Store;
use crate::storage::mail_requests::MailRequest;
use crate::telemetry::audit::AuditEvent;

/// Mails are kept this long, so nobody is mailed again within it.
const INVITED_WITHIN: Duration = Duration::from_secs(7 * 86_400);
const MINUTE: Duration = Duration::from_secs(60);

/// Whom to mail, and how fast.
#[derive(Clone, Copy, Debug, Args)]
pub struct Resets {
    /// Mails per minute.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    per_minute: u32,
    /// Stop after this many mails.
    #[arg(long)]
    limit: Option<usize>,
    /// Mail nobody; say how many would be mailed.
    #[arg(long)]
    dry_run: bool,
}

/// Leaves the mails for the nodes to send.
///
/// # Errors
/// When mail is off, or the database fails; what was mailed until then stays mailed.
pub(super) async fn run(config: &Config, store: &Store, resets: Resets) -> Result<(), CommandError> {
    if !config.has(Feature::Mail) {
        return Err("mail is off: set SMTP_URL, or ENCRYPTION_SECRET outside production".into());
    }
    let most = resets.limit.unwrap_or(usize::MAX);
    let (mut mailed, mut after) = (0, None);
    let mut pace = tokio::time::interval(MINUTE / resets.per_minute);
    'pages: loop {
        let since = Clock::System.now().minus(INVITED_WITHIN);
        let page = store.page_unset_passwords(after, since).await?;
        for user in &page.users {
            if mailed == most {
                break 'pages;
            }
            if !resets.dry_run {
                pace.tick().await;
                mail(store, user).await?;
            }
            mailed += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let count = plural(mailed, "mail");
    match resets.dry_run {
        true => say(&format!("{count} would be sent")),
        false => {
            say(&format!("{count} left for the nodes to send"))?;
            remark("run this again for those who were not reached: nobody is mailed twice within 7 days");
            Ok(())
        }
    }
}

async fn mail(store: &Store, user: &User) -> Result<(), CommandError> {
    let now = Clock::System.now();
    let (id, address) = (Uuid::new_v4(), user.email.as_str().to_owned());
    let purpose = CodePurpose::Invitation;
    let expires_at = now.plus(purpose.good_for());
    let mail = NewMail {
        id: new_uuid(),
        kind: MailKind::Invitation,
        to: MailTo::Address(address.clone(), Some(user.id)),
        locale: user.locale.clone(),
        values: serde_json::Map::new(),
        request: Some(id),
        useful_until: expires_at,
    };
    let request =
        MailRequest { id, purpose, address, user: Some(user.id), created_at: now, expires_at, payload: None };
    store.add_mail_request(request, vec![mail]).await?;
    AuditEvent::CodeMailed(user.id, MailKind::Invitation.as_str()).log_on_command_line();
    Ok(())
}
