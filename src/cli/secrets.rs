//! `secrets rewrap`: seals stored secrets with the newest `ENCRYPTION_SECRET`, so that earlier ones can be
//! removed. Nodes may run meanwhile: each row is replaced only if it is still the one that was read.

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{remark, say, say_json};
use super::{CommandError, plural};
use crate::config::Config;
use crate::security::encryption::Encryption;
use crate::security::totp::{Place, TotpSecret};
use crate::storage::Store;
use crate::storage::sealed::SealedSecret;
use crate::telemetry::audit::AuditEvent;

/// Rows read at a time.
const PAGE: u64 = 500;

/// What to do with stored secrets.
#[derive(Clone, Debug, Subcommand)]
pub enum SecretsCommand {
    /// Seal every stored secret with the newest ENCRYPTION_SECRET. Exit code 1 if one cannot be opened with
    /// any of them.
    Rewrap(Rewrap),
}

/// How to report.
#[derive(Clone, Copy, Debug, Args)]
pub struct Rewrap {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default)]
struct Tally {
    rewrapped: usize,
    current: usize,
    changed_meanwhile: usize,
    not_opened: usize,
}

pub(super) async fn run(config: &Config, store: &Store, command: SecretsCommand) -> Result<(), CommandError> {
    let SecretsCommand::Rewrap(Rewrap { json }) = command;
    let keys = Encryption::new(&config.encryption).ok_or("ENCRYPTION_SECRET is not set")?;
    let tally = rewrap(store, &keys).await?;
    AuditEvent::SecretsRewrapped(tally.rewrapped).log_on_command_line();
    let owners = store.count_recovery_code_owners().await?;
    tell(&tally, owners, json)?;
    match tally.not_opened {
        0 => Ok(()),
        count => Err(format!(
            "{} cannot be opened: add the secret that sealed them to PREVIOUS_ENCRYPTION_SECRETS and run this again",
            plural(count, "secret")
        )
        .into()),
    }
}

async fn rewrap(store: &Store, keys: &Encryption) -> Result<Tally, CommandError> {
    let mut tally = Tally::default();
    let mut last: Option<SealedSecret> = None;
    loop {
        let page = store.page_sealed(last.as_ref(), PAGE).await?;
        let Some(end) = page.last().cloned() else { return Ok(tally) };
        for row in &page {
            let place = if row.is_pending { Place::Pending } else { Place::Confirmed };
            match TotpSecret::rewrap(keys, row.user, place, &row.sealed) {
                Ok(None) => tally.current += 1,
                Ok(Some(sealed)) if store.reseal(row, sealed.clone()).await? => tally.rewrapped += 1,
                Ok(Some(_)) => tally.changed_meanwhile += 1,
                Err(_) => tally.not_opened += 1,
            }
        }
        last = Some(end);
    }
}

fn tell(tally: &Tally, recovery_code_owners: u64, as_json: bool) -> Result<(), CommandError> {
    let Tally { rewrapped, current, changed_meanwhile, not_opened } = *tally;
    if as_json {
        return say_json(&json!({
            "rewrapped": rewrapped,
            "current": current,
            "changedMeanwhile": changed_meanwhile,
            "notOpened": not_opened,
            "peopleWithRecoveryCodes": recovery_code_owners,
        }));
    }
    say(&format!("{} rewrapped; {current} already sealed with the newest", plural(rewrapped, "secret")))?;
    if changed_meanwhile > 0 {
        remark(&format!("{changed_meanwhile} changed meanwhile; run this again"));
    }
    if recovery_code_owners > 0 {
        remark(&format!(
            "recovery codes are hashed with the secret that was the newest when they were given: without it in \
             PREVIOUS_ENCRYPTION_SECRETS they are void ({} may need new ones)",
            plural(usize::try_from(recovery_code_owners).unwrap_or(usize::MAX), "account")
        ));
    }
    Ok(())
}
