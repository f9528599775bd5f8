//! Numbers for operators: each node counts its own, and reports them to the others while anybody watches
//! on any node.
//!
//! Bound: a minute of samples, one a second.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::registry::Registry;
use crate::clock::Moment;
use crate::domain::time::Timestamp;
use crate::storage::StorageError;
use crate::storage::stats::NodeNumbers;

/// How often a node takes a sample, and reports.
const PERIOD: Duration = Duration::from_secs(1);
/// The samples of one minute, and the one before.
const SAMPLES: usize = 61;
/// How long the first watcher waits for the reports of the other nodes.
const FIRST_REPORTS: Duration = Duration::from_millis(1_300);

/// The service's numbers.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Live sessions.
    pub live_sessions: i64,
    /// Users who have a live session.
    pub live_users: i64,
    /// Accounts.
    pub users: i64,
    /// Logins of the last minute; sign-ups are logins.
    pub logins1m: i64,
    /// Failed logins of the last minute.
    pub failures1m: i64,
    /// Connected devices.
    pub devices_connected: i64,
    /// Nodes that serve.
    pub nodes: usize,
    /// The time of these numbers.
    pub at: Timestamp,
}

/// What this node counts, and the latest numbers of all nodes.
#[derive(Debug)]
pub struct Stats {
    node: Uuid,
    /// Logins and failures since the start, one sample per second.
    samples: Mutex<VecDeque<(u64, u64)>>,
    /// Shared by all watchers of this node.
    last: tokio::sync::Mutex<Option<(Moment, Numbers)>>,
}

impl Default for Stats {
    fn default() -> Self {
        let (samples, last) = (Mutex::default(), tokio::sync::Mutex::new(None));
        Self { node: Uuid::new_v4(), samples, last }
    }
}

impl Stats {
    /// Takes samples for as long as the service lives, and reports while anybody watches.
    pub async fn run(&self, registry: &Registry) {
        loop {
            self.sample(registry);
            let now = registry.clock().now();
            if registry.store().is_shared()
                && let Ok(true) = registry.store().stats_are_watched(now).await
            {
                self.report(registry, now).await;
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// The numbers of all nodes, read at most once a second for all watchers here.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn read(&self, registry: &Registry) -> Result<Numbers, StorageError> {
        let mut last = self.last.lock().await;
        if let Some((at, numbers)) = &*last
            && Moment::now().since(*at) < PERIOD.mul_f64(0.9)
        {
            return Ok(*numbers);
        }
        let store = registry.store();
        if store.watch_stats(registry.clock().now()).await? && store.is_shared() {
            tokio::time::sleep(FIRST_REPORTS).await;
        }
        let now = registry.clock().now();
        self.report(registry, now).await;
        let totals = store.totals(now).await?;
        let (nodes, sum) = store.sum_stats(now).await?;
        let numbers = Numbers {
            live_sessions: totals.live_sessions,
            live_users: totals.live_users,
            users: totals.users,
            logins1m: sum.logins,
            failures1m: sum.failures,
            devices_connected: sum.devices,
            nodes,
            at: now,
        };
        *last = Some((Moment::now(), numbers));
        Ok(numbers)
    }

    async fn report(&self, registry: &Registry, now: Timestamp) {
        let reported = registry.store().report_stats(self.node, self.numbers(registry), now).await;
        if let Err(error) = reported {
            tracing::warn!(error = &error as &dyn std::error::Error, "stats.not_reported");
        }
    }

    fn sample(&self, registry: &Registry) {
        let sample = counted(registry);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back(sample);
        let excess = samples.len().saturating_sub(SAMPLES);
        samples.drain(..excess);
    }

    fn numbers(&self, registry: &Registry) -> NodeNumbers {
        let (logins, failures) = counted(registry);
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        // A node that is younger than a minute has counted from zero.
        let first = if samples.len() < SAMPLES { None } else { samples.front().copied() };
        let (logins_then, failures_then) = first.unwrap_or_default();
        let devices = &registry.metrics().connected_devices;
        let of = |transport| devices.with_label_values(&[transport]).get();
        NodeNumbers {
            logins: i64::try_from(logins.saturating_sub(logins_then)).unwrap_or(i64::MAX),
            failures: i64::try_from(failures.saturating_sub(failures_then)).unwrap_or(i64::MAX),
            devices: of("sse") + of("websocket"),
        }
    }
}

/// Logins and failures since the start.
fn counted(registry: &Registry) -> (u64, u64) {
    let of = |event| registry.metrics().security_events.with_label_values(&[event]).get();
    (of("login.succeeded") + of("account.created"), of("login.failed"))
}
