//! `import …`: users of another application, with their password hashes. It may be stopped at any moment and
//! run again: who is there is left alone, or brought up to date where that is asked for.
//!
//! In reading order: `lines` reads files, `candidate` makes accounts of what they hold, `run` stores them,
//! `record` keeps the books.

mod candidate;
mod lines;
mod record;
mod run;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::CommandError;
use super::users::RoleName;
use crate::actors::operators::Operators;
use crate::config::Secret;
use crate::domain::user::Role;
use crate::io::Io;
use crate::storage::Store;
use crate::storage::accounts::import::MAX_ACCOUNTS;
use crate::storage::legacy::Legacy;
use lines::{Format, Line, Lines};
use run::Import;

/// What to import.
#[derive(Clone, Debug, Subcommand)]
pub enum ImportCommand {
    /// Users in a file: columns or members id, email, name, password (a bcrypt hash), role, createdAt,
    /// updatedAt and lastActivityAt, of which email, name and password must be there.
    Users {
        /// CSV with a header, or JSON objects, one a line; - is standard input.
        file: PathBuf,
        /// How it is written; told by its first character otherwise.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// How to do it.
        #[command(flatten)]
        how: ImportArguments,
    },
    /// Users in the PostgreSQL database of an application that uses Prisma.
    Prisma {
        /// Its address, as Prisma has it. It is only read from. Better in the variable, where no list of
        /// processes shows it.
        #[arg(long, value_name = "URL", env = "LEGACY_DATABASE_URL", hide_env_values = true)]
        from: String,
        /// Also tell how many live sessions stay behind: they cannot be imported.
        #[arg(long)]
        sessions: bool,
        /// How to do it.
        #[command(flatten)]
        how: ImportArguments,
    },
}

/// How to import.
#[derive(Clone, Debug, Args)]
pub struct ImportArguments {
    /// Change nothing; tell what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Bring users who are there up to date (name, address, password, role) where updatedAt is later than
    /// here. A new password ends their sessions.
    #[arg(long)]
    update: bool,
    /// Also import users without a bcrypt hash; they set a password by mail (`mail resets`).
    #[arg(long)]
    without_hash: bool,
    /// Mark the addresses of added users as verified, because the other application has verified them.
    #[arg(long)]
    verified: bool,
    /// Map a source role to one of ours (repeatable).
    #[arg(long, value_name = "OLD=ROLE", value_parser = parse_role)]
    map_role: Vec<(String, Role)>,
    /// Write who was refused, and why, as JSON lines.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write which ids have changed, as CSV (old_id,id): those that are no UUIDs get one, always the same.
    #[arg(long, value_name = "FILE")]
    id_map: Option<PathBuf>,
    /// Users of one transaction.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=MAX_ACCOUNTS as u64))]
    batch: u64,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_role(text: &str) -> Result<(String, Role), String> {
    let (old, new) = text.split_once('=').ok_or("want OLD=ROLE, for instance USER=STARTER")?;
    Ok((old.to_owned(), RoleName::from_str(new, true)?.into()))
}

pub(super) async fn run(
    operators: &Operators,
    store: &Store,
    io: Io,
    command: ImportCommand,
) -> Result<(), CommandError> {
    match command {
        ImportCommand::Users { file, format, how } => {
            let bar = bar(lines::size(&file), "{bar:40} {bytes}/{total_bytes} {msg} {eta}");
            let mut lines = Lines::open(&file, format, &bar)?;
            let mut import = Import::begin(operators, store, how, bar)?;
            while let Some(line) = lines.next()? {
                import.take(line).await?;
            }
            import.finish(None).await
        }
        ImportCommand::Prisma { from, sessions, how } => {
            let legacy = Legacy::open(&Secret::new(from), io).await?;
            let done = import_prisma(operators, store, &legacy, sessions, how).await;
            legacy.close().await;
            done
        }
    }
}

async fn import_prisma(
    operators: &Operators,
    store: &Store,
    legacy: &Legacy,
    sessions: bool,
    how: ImportArguments,
) -> Result<(), CommandError> {
    let mut users = legacy.users().await?;
    let sessions = if sessions { Some(legacy.live_sessions().await?) } else { None };
    let bar = bar(Some(legacy.count(&users).await?), "{bar:40} {pos}/{len} {msg} {eta}");
    let size = usize::try_from(how.batch)?;
    let mut import = Import::begin(operators, store, how, bar)?;
    let mut number = 0;
    loop {
        let page = legacy.page(&mut users, size).await?;
        if page.is_empty() {
            return import.finish(sessions).await;
        }
        import.bar.inc(page.len() as u64);
        for fields in page {
            number += 1;
            import.take(Line { number, fields: Ok(fields) }).await?;
        }
    }
}

/// Seen on a terminal alone.
fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let Some(length) = length else { return ProgressBar::new_spinner() };
    // The template is tried by every import on a terminal; where it were wrong the bar would be a plain one.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
