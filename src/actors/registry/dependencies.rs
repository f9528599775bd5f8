//! The dependencies of the actors, and access to them.

use std::sync::Arc;
use std::time::Duration;

use super::Registry;
use crate::actors::activity::ActivityBuffer;
use crate::actors::alarms::Alarms;
use crate::actors::api_keys::ApiKeys;
use crate::actors::freshness::Freshness;
use crate::actors::sighting::Sightings;
use crate::actors::snapshot::Snapshot;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::domain::ledger::Ledger;
use crate::domain::policy::{Policies, Policy};
use crate::domain::user::Role;
use crate::security::peer_key::PeerKey;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;

/// The dependencies of the actors.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// The session policies.
    pub policies: Policies,
    /// Signs messages to the other nodes.
    pub peer_key: Arc<PeerKey>,
    /// The bus to other services and other nodes.
    pub bus: Bus,
    /// How many lanes the outbox has; at least one.
    pub outbox_lanes: u32,
    /// `SERVICE_NAME`, named in events.
    pub service_name: Arc<str>,
    /// Whether the service sends mail.
    pub mails: bool,
    /// Shortest time between two activity events of one session.
    pub activity_event_interval: Duration,
    /// How long this node trusts what it has in memory; `None` if one process has the database to itself.
    pub max_staleness: Option<Duration>,
    /// How long a user's actor stays without work; its user stays longer.
    pub rest_after: Duration,
    /// The metrics.
    pub metrics: Metrics,
}

impl Registry {
    /// The policy for users with that role.
    #[must_use]
    pub fn policy(&self, role: Role) -> Policy {
        self.0.dependencies.policies.for_role(role).clone()
    }

    /// The policy for the user of that ledger.
    #[must_use]
    pub fn policy_of(&self, ledger: &Ledger) -> Policy {
        self.0.dependencies.policies.of(ledger.role, ledger.account.policy.as_deref())
    }

    /// How many live sessions the user of that snapshot may have.
    #[must_use]
    pub fn max_sessions(&self, snapshot: &Snapshot) -> usize {
        let own = snapshot.account.policy.as_ref().and_then(|policy| policy.max_sessions);
        own.map_or_else(|| self.policy_ref(snapshot.role).max_sessions, |most| most as usize)
    }

    /// Activity that is not stored yet.
    #[must_use]
    pub fn activity(&self) -> &ActivityBuffer {
        &self.0.activity
    }

    /// Sightings of refresh tokens that are not stored yet.
    pub(in crate::actors) fn sightings(&self) -> &Sightings {
        &self.0.sightings
    }

    /// How old this node's knowledge of other nodes is.
    #[must_use]
    pub fn freshness(&self) -> &Freshness {
        &self.0.freshness
    }

    /// The API keys this node knows.
    #[must_use]
    pub fn api_keys(&self) -> &ApiKeys {
        &self.0.api_keys
    }

    /// The dependencies of the actors.
    #[must_use]
    pub fn dependencies(&self) -> &Dependencies {
        &self.0.dependencies
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.dependencies.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.dependencies.clock
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.dependencies.metrics
    }

    pub(in crate::actors) fn service_name(&self) -> &str {
        &self.0.dependencies.service_name
    }

    /// Wakes the mailer: a mail was stored.
    pub fn signal_mail(&self) {
        self.0.mail_signal.notify_one();
    }

    pub(in crate::actors) fn mail_signal(&self) -> &tokio::sync::Notify {
        &self.0.mail_signal
    }

    /// The timers of the registry's actors.
    pub(in crate::actors) fn alarms(&self) -> &Alarms {
        &self.0.alarms
    }
}
