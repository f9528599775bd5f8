//! Finds sessions that time has ended while their user had no actor here, and has the actors end them,
//! so that there is only one way a session ends. Also deletes accounts whose scheduled deletion is due,
//! sessions that ended long ago, old mails, and tickets that can no longer be used.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, WrapFuture};
use futures_util::StreamExt;

use super::messages::ActorError;
use super::operators::{OperatorError, Operators};
use super::registry::Registry;
use crate::domain::command::EndOverdue;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::security::ticket::RECORDED_AFTER_EXPIRY;
use crate::storage::StorageError;
use crate::storage::overdue::{Overdue, Search};

/// How often overdue sessions are searched for: the most by which the ending is late if the session's
/// node has died.
const SWEEP: Duration = Duration::from_millis(500);
/// The wait before the next search when there was more than one search reads.
const NEXT_PART: Duration = Duration::from_millis(20);
/// How often accounts whose scheduled deletion is due are searched for.
const DELETIONS: Duration = Duration::from_secs(10);
/// How often old sessions are deleted.
const RETENTION: Duration = Duration::from_secs(600);
/// How long mails are stored.
const MAILS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How long requests for codes are stored.
const MAIL_REQUESTS_KEPT: Duration = Duration::from_secs(86_400);
/// The principal that deletes accounts after their grace period, as named in audit lines.
const BY: &str = "days_of_grace";
/// Most accounts of one search for due deletions.
const DELETIONS_AT_ONCE: u64 = 1_000;
/// Most sessions of one search: few, so that no node takes more than it can end while others are idle.
const SESSIONS_AT_ONCE: u64 = 200;
/// Sessions that were found and have not ended are found again after this time: by this node or, if it
/// has died, by another. Well within the 5 s in which each must end.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long users whose sessions cannot be ended are left alone: that takes a change of their rows, or a
/// newer version that can read them.
const LONG_PAUSE: Duration = Duration::from_secs(60);
/// Most actors asked concurrently.
const CONCURRENCY: usize = 16;
/// Most sessions, or tickets, deleted by one statement.
const DELETED_AT_ONCE: u64 = 1_000;

/// Looks for overdue sessions, old ones, and spent tickets.
#[derive(Debug)]
pub struct Sweeper {
    registry: Registry,
    retention: Duration,
}

impl Sweeper {
    /// A sweeper that deletes sessions `retention` after they ended.
    #[must_use]
    pub fn new(registry: Registry, retention: Duration) -> Self {
        Self { registry, retention }
    }
}

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let registry = self.registry.clone();
        let sweeping = async move {
            loop {
                let pause = match sweep(&registry).await {
                    Ok(Found::Part) => NEXT_PART,
                    Ok(Found::All) => SWEEP,
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "sweep.failed");
                        SWEEP
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        let registry = self.registry.clone();
        let deleting = async move {
            loop {
                if let Err(error) = delete_due_accounts(&registry).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "deletion.failed");
                }
                tokio::time::sleep(DELETIONS).await;
            }
        };
        ctx.spawn(deleting.into_actor(self));
        let (registry, retention) = (self.registry.clone(), self.retention);
        let retaining = async move {
            loop {
                tokio::time::sleep(RETENTION).await;
                let sessions = delete_old_sessions(&registry, retention).await;
                let tickets = delete_spent_tickets(&registry).await;
                let mails = delete_old_mails(&registry).await;
                for (what, deleted) in [("sessions", sessions), ("spent_tickets", tickets), ("mails", mails)]
                {
                    if let Err(error) = deleted {
                        tracing::warn!(what, error = &error as &dyn std::error::Error, "retention.failed");
                    }
                }
            }
        };
        ctx.spawn(sweeping.into_actor(self));
        ctx.spawn(retaining.into_actor(self));
    }
}

/// The result of one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Everything that is due.
    All,
    /// As much as one search reads; there may be more.
    Part,
}

/// Ends what is overdue, also for residents: their actor may not know yet of a session that was opened
/// on a node which has died since.
pub(super) async fn sweep(registry: &Registry) -> Result<Found, StorageError> {
    let margin = registry.dependencies().policies.idle_margin();
    let now = registry.clock().now();
    let search = Search { now, margin, again_at: now.plus(AGAIN_AFTER), limit: SESSIONS_AT_ONCE };
    let Overdue { users, is_all } = registry.store().take_overdue(search).await?;
    let wake = |user: UserId| async move { (user, registry.ask(user, EndOverdue).await) };
    let results: Vec<_> =
        futures_util::stream::iter(users.into_iter().map(wake)).buffer_unordered(CONCURRENCY).collect().await;
    let failed: Vec<_> =
        results.into_iter().filter_map(|(user, result)| Some((user, result.err()?))).collect();
    if let Some((user, error)) = failed.first() {
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, user_id = %user, users = failed.len(), "sweep.users_failed");
    }
    let lasting = failed.into_iter().filter(|(_, error)| is_lasting(error)).map(|(user, _)| user);
    set_aside(registry, lasting.collect(), now.plus(LONG_PAUSE)).await?;
    Ok(if is_all { Found::All } else { Found::Part })
}

/// Otherwise their sessions could fill the next searches, while others are overdue too.
async fn set_aside(registry: &Registry, users: Vec<UserId>, until: Timestamp) -> Result<(), StorageError> {
    if users.is_empty() {
        return Ok(());
    }
    registry.store().postpone_overdue(users, until).await
}

/// Whether a retry would fail in the same way: a row that this version cannot read, or a session without
/// its user.
fn is_lasting(error: &ActorError) -> bool {
    matches!(error, ActorError::NoSuchUser | ActorError::Unavailable(StorageError::UnknownValue { .. }))
}

/// Deletes accounts whose scheduled deletion is due. A sign-in meanwhile keeps the account.
pub(super) async fn delete_due_accounts(registry: &Registry) -> Result<(), StorageError> {
    let due = registry.store().list_due_deletions(registry.clock().now(), DELETIONS_AT_ONCE).await?;
    let operators = Operators::in_service(registry, BY.to_owned());
    for user in due {
        match operators.delete_if_due(user).await {
            Ok(())
            | Err(OperatorError::NoSuchUser | OperatorError::ChangedMeanwhile | OperatorError::LastAdmin) => {
            }
            Err(error) => {
                tracing::warn!(user_id = %user, error = &error as &dyn std::error::Error, "deletion.account_failed");
            }
        }
    }
    Ok(())
}

/// Deletes ended sessions after their retention, a bounded number at a time until none is left.
pub(super) async fn delete_old_sessions(
    registry: &Registry,
    retention: Duration,
) -> Result<(), StorageError> {
    let before = registry.clock().now().minus(retention);
    while registry.store().delete_ended_sessions(before, DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    Ok(())
}

/// Deletes mails and requests for codes after their retention, a bounded number at a time until none is
/// left.
pub(super) async fn delete_old_mails(registry: &Registry) -> Result<(), StorageError> {
    let (store, now) = (registry.store(), registry.clock().now());
    while store.delete_old_mails(now.minus(MAILS_KEPT), DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    let before = now.minus(MAIL_REQUESTS_KEPT);
    while store.delete_old_mail_requests(before, now, DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    Ok(())
}

/// Deletes records of spent tickets that no node could accept any more in any case, a bounded number at
/// a time until none is left.
pub(super) async fn delete_spent_tickets(registry: &Registry) -> Result<(), StorageError> {
    let before = registry.clock().now().minus(RECORDED_AFTER_EXPIRY);
    while registry.store().delete_spent_tickets(before, DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    Ok(())
}
