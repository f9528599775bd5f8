//! What the service tells about itself: log lines and metrics.
//!
//! It must never tell a token, a secret, an email or an address of a person.
//!
//! In reading order: [`logging`] sets up the log, [`metrics`] holds every metric in one typed struct.

pub mod logging;
pub mod metrics;
