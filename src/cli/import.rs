//! `import …`: users of another application, with their password hashes. It may be stopped at any moment and
//! run again: who is there is left alone, or brought up to date where that is asked for.
//!
//! In reading order: `lines` reads files, `candidate` makes accounts of what they hold, `record` keeps the
//! books.

mod candidate;
mod lines;
mod record;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

use super::CommandError;
use super::users::RoleName;
use crate::actors::operators::{OperatorError, Operators};
use crate::clock::Clock;
use crate::config::Secret;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::io::Io;
use crate::storage::Store;
use crate::storage::accounts::{Account, ImportOptions, ImportOutcome, MAX_ACCOUNTS};
use crate::storage::legacy::Legacy;
use candidate::{Candidate, Reading, Refusal};
use lines::{Format, Line, Lines};
use record::{Ending, Record};

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

/// One run.
struct Import<'a> {
    operators: &'a Operators,
    store: &'a Store,
    how: ImportArguments,
    bar: ProgressBar,
    record: Record,
    /// Waiting for a batch to be full, with their lines.
    waiting: Vec<(u64, Candidate)>,
    /// Who would be there by now, in a dry run: nothing is stored that could tell.
    imagined: Imagined,
    now: Timestamp,
    began: Instant,
}

#[derive(Default)]
struct Imagined {
    ids: HashSet<Uuid>,
    emails: HashMap<String, UserId>,
}

impl<'a> Import<'a> {
    fn begin(
        operators: &'a Operators,
        store: &'a Store,
        how: ImportArguments,
        bar: ProgressBar,
    ) -> Result<Self, CommandError> {
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self {
            record: Record::open(how.report.as_deref(), how.id_map.as_deref())?,
            operators,
            store,
            how,
            bar,
            waiting: Vec::new(),
            imagined: Imagined::default(),
            now: Clock::System.now(),
            began: Instant::now(),
        })
    }

    async fn take(&mut self, Line { number, fields }: Line) -> Result<(), CommandError> {
        self.record.tally.read += 1;
        let fields = match fields {
            Ok(fields) => fields,
            Err(why) => return self.refuse(number, None, None, &why),
        };
        let ImportArguments { map_role, verified, without_hash, .. } = &self.how;
        let how = Reading { roles: map_role, verified: *verified, without_hash: *without_hash };
        match Candidate::read(&fields, how, self.now) {
            Ok(candidate) => self.waiting.push((number, candidate)),
            Err(Refusal { field, why }) => {
                return self.refuse(number, fields.get("id").map(String::as_str), Some(field), &why);
            }
        }
        if self.waiting.len() as u64 >= self.how.batch { self.store_waiting().await } else { Ok(()) }
    }

    fn refuse(
        &mut self,
        line: u64,
        id: Option<&str>,
        field: Option<&str>,
        why: &str,
    ) -> Result<(), CommandError> {
        self.record.tally.refused += 1;
        self.record.tell(line, id, field, why)
    }

    async fn store_waiting(&mut self) -> Result<(), CommandError> {
        let batch = std::mem::take(&mut self.waiting);
        let adding = ImportOptions { update: self.how.update, dry_run: self.how.dry_run };
        let accounts: Vec<_> = batch.iter().map(|(_, candidate)| candidate.account.clone()).collect();
        let taken_over = self.take_over_passwords(&accounts, adding).await?;
        let outcomes = self.store.add_accounts(accounts, adding).await?;
        for ((line, candidate), outcome) in batch.iter().zip(outcomes) {
            let is_updated = taken_over.contains(&candidate.account.user.id.uuid());
            let outcome = match outcome {
                ImportOutcome::Present if is_updated => ImportOutcome::Updated,
                outcome if self.how.dry_run => self.imagined.add(candidate, outcome),
                outcome => outcome,
            };
            self.note(*line, candidate, outcome)?;
        }
        let tally = &self.record.tally;
        self.bar.set_message(format!("{} added, {} refused", tally.added, tally.refused));
        Ok(())
    }

    /// Brings those up to date whose password changes, each with the end of its sessions in one commit; all
    /// others are a matter of one statement. Their ids.
    async fn take_over_passwords(
        &self,
        accounts: &[Account],
        adding: ImportOptions,
    ) -> Result<HashSet<Uuid>, CommandError> {
        let mut taken_over = HashSet::new();
        if !adding.update || adding.dry_run {
            return Ok(taken_over);
        }
        let trying = ImportOptions { dry_run: true, ..adding };
        let outcomes = self.store.add_accounts(accounts.to_vec(), trying).await?;
        let newer = accounts.iter().zip(outcomes).filter(|(_, outcome)| *outcome == ImportOutcome::Updated);
        let newer = newer.map(|(account, _)| account.clone()).collect();
        for account in self.store.with_another_password(newer).await? {
            match self.operators.take_over(&account).await {
                Ok(true) => drop(taken_over.insert(account.user.id.uuid())),
                // Deleted or changed here, or its address taken, meanwhile: it is reported as any other is.
                Ok(false) | Err(OperatorError::NoSuchUser) => {}
                Err(OperatorError::Storage(error)) if error.is_duplicate() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(taken_over)
    }

    fn note(&mut self, line: u64, candidate: &Candidate, outcome: ImportOutcome) -> Result<(), CommandError> {
        let old_id = candidate.old_id.as_deref();
        let tally = &mut self.record.tally;
        let mut id = candidate.account.user.id;
        match outcome {
            ImportOutcome::Added => {
                tally.added += 1;
                tally.without_password += u64::from(!candidate.account.password_hash.is_some());
            }
            ImportOutcome::Updated => tally.updated += 1,
            ImportOutcome::Present => tally.present += 1,
            ImportOutcome::PresentAs(other) => {
                tally.present += 1;
                id = other;
                // Without an id of its own it is the same person: there is nothing to tell of.
                if old_id.is_some() {
                    tally.present_under_another_id += 1;
                    let why = format!("the address belongs to {other}: this one was not added");
                    self.record.tell(line, old_id, Some("email"), &why)?;
                }
            }
            ImportOutcome::AddressTaken(other) => {
                let why = format!("the new address belongs to {other}: this one was not brought up to date");
                self.refuse(line, old_id, Some("email"), &why)?;
            }
        }
        self.record.map(old_id, id)
    }

    async fn finish(
        mut self,
        sessions: Option<crate::storage::legacy::LegacySessions>,
    ) -> Result<(), CommandError> {
        if !self.waiting.is_empty() {
            self.store_waiting().await?;
        }
        self.bar.finish_and_clear();
        self.record.finish(&Ending {
            took: self.began.elapsed(),
            dry_run: self.how.dry_run,
            json: self.how.json,
            sessions,
        })
    }
}

impl Imagined {
    fn add(&mut self, candidate: &Candidate, outcome: ImportOutcome) -> ImportOutcome {
        let user = &candidate.account.user;
        if outcome != ImportOutcome::Added {
            return outcome;
        }
        if !self.ids.insert(user.id.uuid()) {
            return ImportOutcome::Present;
        }
        match self.emails.get(user.email.as_str()) {
            Some(other) => ImportOutcome::PresentAs(*other),
            None => {
                self.emails.insert(user.email.as_str().to_owned(), user.id);
                ImportOutcome::Added
            }
        }
    }
}
