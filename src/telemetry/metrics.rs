//! Every metric of the service, in one typed struct.
//!
//! No metric may have a label whose values callers choose: no raw path, no user, no session, no address.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

pub use super::labels::{CHANNELS, END_REASONS, LIMITS, MAIL_OUTCOMES, OPERATIONS, VERIFICATIONS};
use super::log_writer;
use super::spread::{SpreadHistogram, spread};

/// All metrics; a clone is a pointer to the same ones.
#[derive(Clone)]
pub struct Metrics(Arc<Meters>);

// One row per metric, so that its field, its name and its help, which is also its documentation, stay
// together.
macro_rules! meters {
    ($($field:ident: $kind:ty = $name:literal, $help:literal, $make:ident($($argument:expr),*);)*) => {
        /// The metrics themselves, reached through [`Metrics`].
        pub struct Meters {
            registry: Registry,
            $(#[doc = $help] pub $field: $kind,)*
        }

        impl Meters {
            fn register(registry: Registry) -> Result<Meters, Error> {
                $(let $field: $kind = add(&registry, $make(Opts::new($name, $help) $(, $argument)*)?)?;)*
                Ok(Meters { registry, $($field,)* })
            }

            /// Every metric.
            #[cfg(test)]
            const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

meters! {
    operations: IntCounterVec = "auth_operations_total",
        "Operations finished, by operation and status (success, failure).", counters(&["operation", "status"]);
    tokens_generated: IntCounterVec = "auth_tokens_generated_total",
        "Tokens signed, by type (access, refresh).", counters(&["type"]);
    second_factors: IntCounterVec = "auth_second_factors_total",
        "Second factors shown, by method and outcome.", counters(&["method", "outcome"]);
    rate_limited: IntCounterVec = "auth_rate_limited_total",
        "Requests refused by a rate limit, by limit.", counters(&["limit"]);
    sessions_ended: IntCounterVec = "auth_sessions_ended_total",
        "Sessions this node ended, by reason.", counters(&["reason"]);
    security_events: IntCounterVec = "auth_security_events_total",
        "Security-relevant events, as in the audit log, by event.", counters(&["event"]);
    verifications: IntCounterVec = "auth_verify_total",
        "Requests at /verify, by result (allowed, unauthenticated, redirected, forbidden, limited, invalid, unavailable).",
        counters(&["result"]);
    admin_requests: IntCounterVec = "auth_admin_requests_total",
        "Requests of operators and other services, by the scope they need and the status of the answer.",
        counters(&["scope", "status"]);
    http_duration: SpreadHistogram = "auth_http_request_duration_seconds",
        "Seconds from request to answer, by method, route pattern and status.",
        spread(SERVING, &["method", "route", "status"]);

    password_hash_duration: Histogram = "auth_password_hash_duration_seconds",
        "Seconds spent on hashing or checking one password.", histogram(HASHING);
    password_queue_depth: IntGauge = "auth_password_queue_depth",
        "Passwords waiting to be hashed now.", gauge();
    password_refused: IntCounter = "auth_password_refused_total",
        "Passwords refused because too many were waiting.", counter();

    passwords_refused: IntCounterVec = "auth_passwords_refused_total",
        "New passwords refused, by reason (too_short, too_common, too_guessable, breached).", counters(&["reason"]);
    breach_list_failures: IntCounter = "auth_password_breach_list_failures_total",
        "New passwords accepted because the list of breached ones did not answer in time.", counter();

    active_sessions: IntGauge = "auth_active_sessions",
        "Live sessions of the users resident on this node now.", gauge();
    resident_users: IntGauge = "auth_resident_users",
        "Users whose sessions this node holds in memory now.", gauge();
    user_actors: IntGauge = "auth_user_actors",
        "Resident users whose actor is running now.", gauge();
    activations: IntCounter = "auth_user_activations_total",
        "User actors started.", counter();
    passivations: IntCounter = "auth_user_passivations_total",
        "User actors stopped because they were idle or evicted from memory.", counter();
    actor_restarts: IntCounterVec = "auth_actor_restarts_total",
        "Actors restarted after a panic, by actor.", counters(&["actor"]);
    mailbox_wait: Histogram = "auth_mailbox_wait_seconds",
        "Seconds a message waited for its user actor.", histogram(WAITING);
    mailbox_refused: IntCounter = "auth_mailbox_refused_total",
        "Messages refused because one user actor's queue was full.", counter();

    connected_devices: IntGaugeVec = "auth_connected_devices",
        "Event connections open now, by transport (sse, websocket).", gauges(&["transport"]);
    devices_dropped: IntCounterVec = "auth_devices_dropped_total",
        "Event connections closed by the service, by reason.", counters(&["reason"]);

    outbox_depth: IntGauge = "auth_outbox_depth",
        "Events in the outbox not yet published.", gauge();
    outbox_oldest_age: Gauge = "auth_outbox_oldest_age_seconds",
        "Age of the oldest event in the outbox in seconds; 0 when empty.", decimal_gauge();
    events_published: IntCounterVec = "auth_events_published_total",
        "Events published, by channel.", counters(&["channel"]);
    events_failed: IntCounter = "auth_events_failed_total",
        "Failed attempts to publish an event; it stays in the outbox.", counter();

    mails: IntCounterVec = "auth_mails_total",
        "Tries to send a mail, by kind and outcome (sent, failed, expired, dropped; deferred: it is tried again).",
        counters(&["kind", "outcome"]);
    mail_queue_depth: IntGauge = "auth_mail_queue_depth",
        "Mails that wait to be sent, on all nodes.", gauge();
    mail_oldest_age: Gauge = "auth_mail_oldest_age_seconds",
        "Age of the oldest mail that waits in seconds; 0 with none.", decimal_gauge();
    codes: IntCounterVec = "auth_codes_total",
        "Codes of mails, by kind and outcome (asked, right, wrong).", counters(&["kind", "outcome"]);

    revocation_propagation: HistogramVec = "auth_revocation_propagation_seconds",
        "Seconds from the end of a session on another node to its refusal here, by path (redis, feed).",
        histograms(PROPAGATING, &["path"]);
    revocation_followers: IntGauge = "auth_revocation_followers",
        "Services that follow /revocations on this node now.", gauge();
    revocation_followers_dropped: IntCounter = "auth_revocation_followers_dropped_total",
        "Streams of /revocations ended because endings may have been missed or the reader was slow.", counter();
    revocations_told: IntCounter = "auth_revocations_sent_total",
        "Ended sessions sent on streams of /revocations.", counter();
    feed_looks: IntCounterVec = "auth_feed_looks_total",
        "Polls of the database's change feed, by status (success, failure).", counters(&["status"]);
    feed_rows: IntCounter = "auth_feed_rows_total",
        "Rows read from the change feed.", counter();
    feed_lag: Gauge = "auth_feed_lag_seconds",
        "Seconds since the last successful poll of the change feed.", decimal_gauge();
    feed_found: IntCounter = "auth_feed_found_total",
        "Changes learned from the feed before Redis reported them.", counter();

    activity_flush_batch: Histogram = "auth_activity_flush_batch_size",
        "Sessions whose activity one flush wrote.", histogram(BATCHES);
    activity_flush_failures: IntCounter = "auth_activity_flush_failures_total",
        "Activity flushes that failed and will be retried.", counter();
    activity_written_through: IntCounterVec = "auth_activity_written_through_total",
        "Reports of activity that waited until it was stored, by outcome (stored, over, failed).",
        counters(&["outcome"]);
    activity_pending: IntGauge = "auth_activity_pending",
        "Sessions whose activity is not yet written.", gauge();
    commit_conflicts: IntCounter = "auth_commit_conflicts_total",
        "Commits that lost a race and were decided again.", counter();
    commit_exhausted: IntCounter = "auth_commit_exhausted_total",
        "Commands abandoned after losing too many commit races.", counter();
    database_pool: IntGaugeVec = "auth_database_connections",
        "Database connections of this node, by state (in_use, idle).", gauges(&["state"]);
    requests_shed: IntCounter = "auth_requests_shed_total",
        "Requests refused because they would have waited too long for the database.", counter();
    database_statements: IntCounter = "auth_database_statements_total",
        "Statements sent to the database.", counter();

    log_lines_dropped: IntCounter = "auth_log_lines_dropped_total",
        "Log lines dropped because they could not be written.", counter();

    build_info: IntGaugeVec = "auth_build_info",
        "The running version in a label; always 1.", gauges(&["version"]);
}

const SERVING: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const HASHING: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0];
const WAITING: &[f64] = &[0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
const PROPAGATING: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const BATCHES: &[f64] = &[1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0];

impl Metrics {
    /// Registers every metric in a registry of its own, those with known labels at zero.
    pub fn new() -> Result<Metrics, Error> {
        let meters = Meters::register(Registry::new())?;
        meters.show_zeros();
        meters.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics(Arc::new(meters)))
    }

    /// The metrics as Prometheus text, for `/metrics`.
    #[must_use]
    pub fn render(&self) -> String {
        self.count_dropped_lines();
        let text = TextEncoder::new().encode_to_string(&self.0.registry.gather());
        text.unwrap_or_else(|error| {
            tracing::error!(error = %error, "metrics could not be written");
            String::new()
        })
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Deref for Metrics {
    type Target = Meters;

    fn deref(&self) -> &Meters {
        &self.0
    }
}

impl Meters {
    /// The log belongs to the process and may be older than these metrics, so it keeps the count itself.
    fn count_dropped_lines(&self) {
        static TURN: Mutex<()> = Mutex::new(());
        // Two scrapes at the same time must not both add what is missing.
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = log_writer::lines_dropped().saturating_sub(self.log_lines_dropped.get());
        self.log_lines_dropped.inc_by(missing);
    }

    /// A rate over a series that appears only with its first event misses that event.
    fn show_zeros(&self) {
        for (_, _, operation) in OPERATIONS {
            for status in ["success", "failure"] {
                self.operations.with_label_values(&[*operation, status]);
            }
        }
        show(&self.tokens_generated, &["access", "refresh"]);
        show(&self.sessions_ended, END_REASONS);
        show(&self.passwords_refused, &["too_short", "too_common", "too_guessable", "breached"]);
        show(&self.rate_limited, LIMITS);
        for method in ["totp", "recovery_code", "passkey"] {
            for outcome in ["success", "failure", "blocked"] {
                self.second_factors.with_label_values(&[method, outcome]).inc_by(0);
            }
        }
        show(&self.verifications, VERIFICATIONS);
        show(&self.events_published, CHANNELS);
        for kind in crate::domain::mail::MailKind::NAMES {
            for outcome in MAIL_OUTCOMES {
                self.mails.with_label_values(&[*kind, *outcome]);
            }
        }
        for purpose in crate::domain::mail::CodePurpose::ALL {
            for outcome in ["asked", "right", "wrong"] {
                self.codes.with_label_values(&[purpose.as_str(), outcome]);
            }
        }
        show(&self.feed_looks, &["success", "failure"]);
        show(&self.activity_written_through, &["stored", "over", "failed"]);
        show(&self.actor_restarts, &["user"]);
        show(&self.devices_dropped, &["slow"]);
        show(&self.security_events, &super::audit::NAMES);
        for (gauges, values) in
            [(&self.connected_devices, ["sse", "websocket"]), (&self.database_pool, ["in_use", "idle"])]
        {
            for value in values {
                gauges.with_label_values(&[value]).set(0);
            }
        }
        for path in ["redis", "feed"] {
            self.revocation_propagation.with_label_values(&[path]);
        }
    }
}

fn show(counters: &IntCounterVec, values: &[&str]) {
    for value in values {
        counters.with_label_values(&[*value]);
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(opts: Opts) -> Result<IntCounter, Error> {
    IntCounter::with_opts(opts)
}

fn counters(opts: Opts, labels: &[&str]) -> Result<IntCounterVec, Error> {
    IntCounterVec::new(opts, labels)
}

fn gauge(opts: Opts) -> Result<IntGauge, Error> {
    IntGauge::with_opts(opts)
}

fn decimal_gauge(opts: Opts) -> Result<Gauge, Error> {
    Gauge::with_opts(opts)
}

fn gauges(opts: Opts, labels: &[&str]) -> Result<IntGaugeVec, Error> {
    IntGaugeVec::new(opts, labels)
}

fn histogram(opts: Opts, buckets: &[f64]) -> Result<Histogram, Error> {
    Histogram::with_opts(HistogramOpts::from(opts).buckets(buckets.to_vec()))
}

fn histograms(opts: Opts, buckets: &[f64], labels: &[&str]) -> Result<HistogramVec, Error> {
    HistogramVec::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_labels_show_at_zero() {
        let text = Metrics::new().unwrap().render();
        for line in [
            "auth_operations_total{operation=\"login\",status=\"failure\"} 0",
            "auth_tokens_generated_total{type=\"refresh\"} 0",
            "auth_active_sessions 0",
            "auth_connected_devices{transport=\"sse\"} 0",
            "auth_events_published_total{channel=\"auth:user.login\"} 0",
            "auth_devices_dropped_total{reason=\"slow\"} 0",
            "auth_rate_limited_total{limit=\"messages\"} 0",
            "auth_revocation_propagation_seconds_count{path=\"feed\"} 0",
            "auth_password_hash_duration_seconds_bucket{le=\"0.005\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("auth_build_info{version=\""), "{text}");
    }

    /// Only what is labelled by a status begins with the first response.
    #[test]
    fn every_metric_shows_from_the_start() {
        let text = Metrics::new().unwrap().render();
        let is_absent = |name: &&str| !text.contains(&format!("# TYPE {name} "));
        let absent: Vec<_> = Meters::NAMES.iter().copied().filter(is_absent).collect();
        assert_eq!(absent, ["auth_admin_requests_total", "auth_http_request_duration_seconds"], "{text}");
    }

    #[test]
    fn clones_count_together_and_instances_apart() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.clone().activations.inc();
        assert_eq!((one.activations.get(), other.activations.get()), (1, 0));
    }

    #[test]
    fn names_say_counter_by_total_and_nothing_else_does() {
        let text = Metrics::new().unwrap().render();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        }
    }
}
