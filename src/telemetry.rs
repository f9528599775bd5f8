//! What the service tells about itself: log lines and metrics.
//!
//! It must never tell a token, a secret, an email or an address of a person.
//!
//! In reading order: [`logging`] sets up the log, [`audit`] names the acts that somebody may have to answer for,
//! [`request_id`] puts the request's id into every line, [`metrics`] holds every metric in one typed struct.

pub mod audit;
pub mod logging;
pub mod metrics;
pub mod request_id;
