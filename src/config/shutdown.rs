//! How long an orderly shutdown may take.
//!
//! It must never spend the whole time on draining: requests and the outbox need some of it.

use std::time::Duration;

use super::Environment;
use super::setting::{Form, Preset, Setting, Unit};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "SHUTDOWN_DRAIN_SECONDS",
        Form::Decimal(Unit::Seconds, 0.0, 600.0),
        Preset::Told("`2` in production, else `0`"),
        "How long the port stays open after the signal, while `/health/ready` is 503.",
    )
    .note("less than `SHUTDOWN_TIMEOUT_SECONDS`"),
    Setting::new(
        "SHUTDOWN_TIMEOUT_SECONDS",
        Form::Decimal(Unit::Seconds, 0.1, 3600.0),
        Preset::Value("15"),
        "How long after the signal the process is gone.",
    ),
];

/// The two clocks of a shutdown, both started by the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// The port stays open for this long, so that load balancers can notice.
    pub drain: Duration,
    /// The process has ended after this long.
    pub timeout: Duration,
}

impl ShutdownConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let default = Duration::from_secs(if environment.is_production() { 2 } else { 0 });
        let drain = source.decimal_or("SHUTDOWN_DRAIN_SECONDS", default);
        let timeout = source.decimal("SHUTDOWN_TIMEOUT_SECONDS");
        if drain >= timeout {
            let wants = format!("less than SHUTDOWN_TIMEOUT_SECONDS ({})", Unit::Seconds.show(timeout));
            source.refuse("SHUTDOWN_DRAIN_SECONDS", &Unit::Seconds.show(drain), wants);
        }
        ShutdownConfig { drain, timeout }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, production, refused};
    use super::*;

    #[test]
    fn production_drains() {
        assert_eq!(parse(&[]).shutdown.drain, Duration::ZERO);
        assert_eq!(parse(&production(&[])).shutdown.drain, Duration::from_secs(2));
    }

    #[test]
    fn the_drain_leaves_time() {
        let vars = [("SHUTDOWN_DRAIN_SECONDS", "5"), ("SHUTDOWN_TIMEOUT_SECONDS", "5")];
        assert_eq!(refused(&vars), ["SHUTDOWN_DRAIN_SECONDS"]);
    }
}
