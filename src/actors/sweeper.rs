//! Finds sessions that time has ended while their user had no actor here, and has the actors end them: there is one
//! way a session ends. Also deletes sessions that ended long ago, old mails, and tickets that nobody could use any more.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, WrapFuture};
use futures_util::StreamExt;

use super::messages::ActorError;
use super::registry::Registry;
use crate::domain::command::EndOverdue;
use crate::domain::ids::UserId;
use crate::security::ticket::KNOWN_AFTER;
use crate::storage::StorageError;

/// How often overdue sessions are looked for: so late, at most, do they end whose node has died.
const SWEEP: Duration = Duration::from_millis(500);
/// How often old sessions are deleted.
const RETENTION: Duration = Duration::from_secs(600);
/// How long mails are kept.
const MAILS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How long requests for codes are kept once they are of no use: with the time they are good less than a day.
const MAIL_REQUESTS_KEPT: Duration = Duration::from_secs(23 * 3600);
/// Most users woken by one look, of each kind of deadline.
const USERS_AT_ONCE: u64 = 1_000;
/// Most actors asked at the same time.
const CONCURRENCY: usize = 16;
/// Most sessions, or tickets, deleted by one statement round.
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
                if let Err(error) = sweep(&registry).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "sweep.failed");
                }
                tokio::time::sleep(SWEEP).await;
            }
        };
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

/// One look for overdue sessions. Also of users who are here: their actor may not know yet of a session that was
/// opened on a node which has died since.
pub(super) async fn sweep(registry: &Registry) -> Result<(), StorageError> {
    let idle_timeout = registry.dependencies().policies.shortest_time_to_idle_ending();
    let now = registry.clock().now();
    let overdue = registry.store().list_overdue_users(now, idle_timeout, USERS_AT_ONCE).await?;
    let wake = |user: UserId| async move { registry.ask(user, EndOverdue).await };
    let results: Vec<_> = futures_util::stream::iter(overdue.into_iter().map(wake))
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    for error in results.into_iter().filter_map(Result::err) {
        if !matches!(error, ActorError::NoSuchUser) {
            tracing::warn!(error = &error as &dyn std::error::Error, "sweep.user_failed");
        }
    }
    Ok(())
}

/// Deletes ended sessions past retention, a bounded number at a time until none is left.
pub(super) async fn delete_old_sessions(
    registry: &Registry,
    retention: Duration,
) -> Result<(), StorageError> {
    let before = registry.clock().now().minus(retention);
    while registry.store().delete_ended_sessions(before, DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    Ok(())
}

/// Deletes mails and requests for codes that are past their time, a bounded number at a time until none is left.
pub(super) async fn delete_old_mails(registry: &Registry) -> Result<(), StorageError> {
    let (store, now) = (registry.store(), registry.clock().now());
    while store.delete_old_mails(now.minus(MAILS_KEPT), DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    let before = now.minus(MAIL_REQUESTS_KEPT);
    while store.delete_old_mail_requests(before, now, DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    Ok(())
}

/// Deletes spent tickets that nobody can take for good any more, a bounded number at a time until none is left.
pub(super) async fn delete_spent_tickets(registry: &Registry) -> Result<(), StorageError> {
    let before = registry.clock().now().minus(KNOWN_AFTER);
    while registry.store().delete_spent_tickets(before, DELETED_AT_ONCE).await? == DELETED_AT_ONCE {}
    Ok(())
}
