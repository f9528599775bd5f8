//! What the commands about one account share: finding it, and changing its sessions by the same rules and the same
//! transaction as its actor. The compare-and-set on the version keeps the two apart, and running nodes learn of it
//! from the feed of changes.

use std::time::Duration;

use uuid::Uuid;

use super::CommandError;
use crate::clock::{Clock, new_uuid};
use crate::config::Config;
use crate::domain::command::{Command, decide};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::reason::EndReason;
use crate::domain::user::{Email, User};
use crate::events::announcement::Announcer;
use crate::storage::ledger::{Commit, CommitOutcome, RowLock};
use crate::storage::{StorageError, Store};
use crate::telemetry::audit::{AuditEvent, Cause};

/// How often a change is tried. With the user's row locked nodes are in the way only where activity keeps a session from ending
/// as idle.
const TRIES: usize = 20;

/// The account with that address or id.
pub(super) async fn find(store: &Store, who: &str) -> Result<User, CommandError> {
    let found = match Uuid::try_parse(who) {
        Ok(id) => store.lookup_user(UserId::new(id)).await?,
        Err(_) => store.lookup_credentials(Email::lookup_key(who)).await?.map(|found| found.user),
    };
    found.ok_or_else(|| "no account with this address or id".into())
}

/// Its sessions, without those whose time is up though nobody has ended them yet.
pub(super) async fn live_sessions(
    config: &Config,
    store: &Store,
    user: &User,
) -> Result<Ledger, CommandError> {
    let mut ledger = store.load_ledger(user.id).await?.ok_or("the account was just deleted")?;
    let policies = crate::app::policies(config, store.is_shared());
    let due = ledger.due(Clock::System.now(), &policies.of(ledger.role, ledger.account.policy.as_deref()));
    due.into_iter().for_each(|ending| ledger.apply(&LedgerEvent::Ended(ending)));
    Ok(ledger)
}

/// Decides on the stored sessions, and stores it with `store_commit`. Where nodes may serve the user's row is locked from the
/// first: who disables an account must not lose to whoever is busy with it. Where nothing happens nothing is stored, unless the
/// account itself is to change with it.
pub(super) async fn execute<C: Command>(
    config: &Config,
    store: &Store,
    user: &User,
    command: &C,
    account_changes: bool,
    store_commit: impl AsyncFn(Commit, Option<RowLock>) -> Result<CommitOutcome, StorageError>,
) -> Result<C::Reply, CommandError> {
    let policies = crate::app::policies(config, store.is_shared());
    for _ in 0..TRIES {
        let loaded = if store.is_shared() {
            store.load_ledger_locked(user.id).await?.map(|(ledger, lock)| (ledger, Some(lock)))
        } else {
            store.load_ledger(user.id).await?.map(|ledger| (ledger, None))
        };
        let (ledger, lock) = loaded.ok_or("the account was just deleted")?;
        let now = Clock::System.now();
        let decision =
            decide(command, &ledger, now, &policies.of(ledger.role, ledger.account.policy.as_deref()));
        if decision.events.is_empty() && !account_changes {
            return Ok(decision.reply);
        }
        let announcer = Announcer { service: &config.service_name, user: user.id, now, new_id: new_uuid };
        let endings = decision.events.iter().filter_map(LedgerEvent::ending);
        // Whatever the reason, it is the operator who did it.
        let done =
            endings.filter(|ending| ending.reason != EndReason::UserDeleted && !ending.reason.is_of_time());
        let acts: Vec<_> =
            done.map(|ending| AuditEvent::Ended(user.id, *ending, Cause::CommandLine)).collect();
        let commit = Commit {
            user: user.id,
            decided_on: ledger.version,
            announcements: announcer.announce(&decision.events),
            events: decision.events,
            last_activity_at: ledger.last_activity_at,
            now,
            wanted_for: Duration::MAX,
        };
        if let CommitOutcome::Committed(_) = store_commit(commit, lock).await? {
            acts.into_iter().for_each(AuditEvent::log);
            return Ok(decision.reply);
        }
    }
    Err("nothing was changed: the sessions of the account kept changing".into())
}
