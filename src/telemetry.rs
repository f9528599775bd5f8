//! What the service reports about itself: log lines, metrics and traces.
//!
//! It must never reveal a token, a secret, an email or an address of a person.
//!
//! In reading order: [`logging`] sets up the log, [`log_writer`] writes it, [`audit`] names the
//! security-relevant acts, [`pseudonyms`] stand in them for accounts and addresses, [`traces`] makes
//! spans if a collector is configured, [`serving`] puts the request's id and trace into every line,
//! [`metrics`] holds every metric in one typed struct, [`labels`] the values of their labels, and [`spread`]
//! is a kind of metric that many cores change at the same time.

pub mod audit;
pub mod labels;
pub mod log_writer;
pub mod logging;
pub mod metrics;
pub mod pseudonyms;
pub mod serving;
pub mod spread;
pub mod traces;
