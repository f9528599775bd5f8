//! One run of an import: batches are read, decided on, stored and reported.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use uuid::Uuid;

use super::ImportArguments;
use super::candidate::{Candidate, Reading, Refusal};
use super::lines::Line;
use super::record::{Ending, Record};
use crate::actors::operators::{OperatorError, Operators};
use crate::cli::CommandError;
use crate::clock::Clock;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::storage::Store;
use crate::storage::accounts::Account;
use crate::storage::accounts::import::{ImportOptions, ImportOutcome};
use crate::storage::legacy::LegacySessions;
use crate::telemetry::audit::AuditEvent;

/// One run.
pub(super) struct Import<'a> {
    operators: &'a Operators,
    store: &'a Store,
    how: ImportArguments,
    pub(super) bar: ProgressBar,
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
    pub(super) fn begin(
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

    pub(super) async fn take(&mut self, Line { number, fields }: Line) -> Result<(), CommandError> {
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
        let mut outcomes = self.store.add_accounts(accounts.clone(), adding).await?;
        if !adding.dry_run {
            self.take_over_newer(&accounts, &mut outcomes).await?;
        }
        for ((line, candidate), outcome) in batch.iter().zip(outcomes) {
            let outcome = match self.how.dry_run {
                true => self.imagined.add(candidate, outcome),
                false => outcome,
            };
            self.note(*line, candidate, outcome)?;
        }
        let tally = &self.record.tally;
        self.bar.set_message(format!("{} added, {} refused", tally.added, tally.refused));
        Ok(())
    }

    /// Brings those up to date that changed later than here, each in one commit with the end of its sessions
    /// if the password is another one.
    async fn take_over_newer(
        &self,
        accounts: &[Account],
        outcomes: &mut [ImportOutcome],
    ) -> Result<(), CommandError> {
        let newer =
            || accounts.iter().zip(&*outcomes).filter(|(_, outcome)| **outcome == ImportOutcome::Newer);
        let newer = newer().map(|(account, _)| account.clone()).collect();
        let others = self.store.with_another_password(newer).await?;
        let others: HashSet<_> = others.iter().map(|account| account.user.id).collect();
        for (account, outcome) in accounts.iter().zip(outcomes) {
            if *outcome != ImportOutcome::Newer {
                continue;
            }
            let with_password = others.contains(&account.user.id);
            match self.operators.take_over(account, with_password).await {
                Ok(true) => {}
                // Deleted or changed here meanwhile.
                Ok(false) | Err(OperatorError::NoSuchUser) => *outcome = ImportOutcome::Present,
                Err(OperatorError::Storage(error)) if error.is_duplicate() => {
                    let owner = self.store.lookup_account(account.user.email.as_str().to_owned()).await?;
                    *outcome = owner
                        .map_or(ImportOutcome::Present, |owner| ImportOutcome::AddressTaken(owner.user.id));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
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
            ImportOutcome::Newer => tally.updated += 1,
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

    pub(super) async fn finish(mut self, sessions: Option<LegacySessions>) -> Result<(), CommandError> {
        if !self.waiting.is_empty() {
            self.store_waiting().await?;
        }
        self.bar.finish_and_clear();
        let tally = &self.record.tally;
        if !self.how.dry_run && tally.added + tally.updated > 0 {
            AuditEvent::Imported(tally.added, tally.updated).log_on_command_line();
        }
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
