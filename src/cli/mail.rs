//! `mail …`: trying the mail server out, and looking after mails that were not sent.

mod resets;

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::output::{remark, say, say_json, table};
use super::{CommandError, plural};
use crate::clock::{Clock, new_uuid};
use crate::config::Config;
use crate::io::Io;
use crate::mail::message::Letter;
use crate::mail::{Post, SendError};
use crate::storage::Store;
use crate::storage::mails::operators::ListedMail;
use crate::telemetry::audit::AuditEvent;

use resets::Resets;

/// What to do with mails.
#[derive(Clone, Debug, Subcommand)]
pub enum MailCommand {
    /// Send a mail to an address right now, and say what the mail server said.
    Test {
        /// The address.
        address: String,
    },
    /// What needs the database.
    #[command(flatten)]
    Stored(StoredMailCommand),
}

/// What to do with mails in the database.
#[derive(Clone, Debug, Subcommand)]
pub enum StoredMailCommand {
    /// List mails, the newest first. Addresses are not shown.
    List(List),
    /// Try mails again that were given up: those of these ids, or all. Mails that are out of date stay given
    /// up.
    Retry {
        /// Ids, as listed.
        ids: Vec<Uuid>,
    },
    /// Mail everybody who has no password yet a code to set one, at a steady rate: people imported without a
    /// hash.
    Resets(Resets),
}

/// Which mails to list.
#[derive(Clone, Copy, Debug, Args)]
pub struct List {
    /// Only those that were given up.
    #[arg(long)]
    failed: bool,
    /// Maximum number of mails to list.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    limit: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Sends a mail to that address, past the table: what is tried is the server.
///
/// # Errors
/// When it was not sent.
pub(super) async fn test(config: &Config, io: Io, address: String) -> Result<(), CommandError> {
    let post =
        Post::new(config)?.ok_or("mail is off: set SMTP_URL, or ENCRYPTION_SECRET outside production")?;
    let service = &config.service_name;
    let letter = Letter {
        id: new_uuid(),
        kind: "test",
        to: address.clone(),
        subject: format!("A test from {service}"),
        text: format!("{service} can send mail to this address.\n"),
        html: "<p>This service can send mail to this address.</p>\n".to_owned(),
    };
    let now = Clock::System.now();
    let message = post.message(&letter, now).ok_or("mail cannot be sent to this address")?;
    let sent = io.run(async move { post.send(&message, now, std::future::ready(true)).await }).await?;
    match sent {
        Ok(()) if config.mail.to_files => say("the mail is a file in DATA_DIR/mails"),
        Ok(()) => say("the mail server has taken it"),
        Err(SendError::Refused(class)) => Err(format!("the mail server refused it: {class}").into()),
        Err(SendError::NotYet(class) | SendError::Unknown(class)) => {
            Err(format!("it was not sent: {class}").into())
        }
        Err(SendError::NotNoted) => Err("it was not sent".into()),
    }
}

pub(super) async fn run(
    config: &Config,
    store: &Store,
    command: StoredMailCommand,
) -> Result<(), CommandError> {
    match command {
        StoredMailCommand::Resets(resets) => resets::run(config, store, resets).await,
        StoredMailCommand::List(List { failed, limit, json }) => {
            let mails = store.list_mails(failed, limit).await?;
            if mails.len() as u64 == limit {
                remark("there may be more: --limit");
            }
            list(&mails, json)
        }
        StoredMailCommand::Retry { ids } => {
            let wanted = ids.len() as u64;
            let retried = store.retry_mails(ids, Clock::System.now()).await?;
            if retried > 0 {
                AuditEvent::MailsRetried(retried).log_on_command_line();
            }
            say(&format!("{} tried again", plural(usize::try_from(retried).unwrap_or(usize::MAX), "mail")))?;
            if retried < wanted {
                remark("the others are out of date, were sent, wait already, or are unknown");
            }
            Ok(())
        }
    }
}

fn list(mails: &[ListedMail], as_json: bool) -> Result<(), CommandError> {
    if as_json {
        let row = |mail: &ListedMail| {
            json!({
                "id": mail.id,
                "kind": mail.kind,
                "userId": mail.user,
                "createdAt": mail.created_at,
                "attempts": mail.attempts,
                "nextAt": mail.next_at,
                "outcome": mail.outcome,
                "error": mail.error,
            })
        };
        return say_json(&mails.iter().map(row).collect::<Vec<_>>());
    }
    let row = |mail: &ListedMail| {
        let state = match (&mail.outcome, mail.next_at) {
            (Some(outcome), _) => outcome.clone(),
            (None, Some(next_at)) => format!("next {next_at}"),
            (None, None) => String::new(),
        };
        [
            mail.id.to_string(),
            mail.kind.clone(),
            mail.created_at.to_string(),
            mail.attempts.to_string(),
            state,
            mail.error.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = mails.iter().map(row).collect();
    say(&table(["ID", "KIND", "WRITTEN", "TRIES", "STATE", "ERROR"], &rows))
}
