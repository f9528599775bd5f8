//! How long an orderly end may take.
//!
//! It must never spend the whole time on draining: requests and the outbox need some of it.

use std::time::Duration;

use super::Environment;
use super::source::{Listing, Source, Unit};

/// The two clocks of a shutdown, both started by the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// The port stays open so long, so that balancers can notice.
    pub drain: Duration,
    /// The process is gone after so long.
    pub timeout: Duration,
}

impl ShutdownConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let default = if environment.is_production() { 2.0 } else { 0.0 };
        let drain = source.decimal("SHUTDOWN_DRAIN_SECONDS", Unit::Seconds, default, 0.0..=600.0);
        let timeout = source.decimal("SHUTDOWN_TIMEOUT_SECONDS", Unit::Seconds, 15.0, 0.1..=3600.0);
        if drain >= timeout {
            let wants = format!("less than SHUTDOWN_TIMEOUT_SECONDS ({})", Unit::Seconds.show(timeout));
            source.refuse("SHUTDOWN_DRAIN_SECONDS", &Unit::Seconds.show(drain), wants);
        }
        ShutdownConfig { drain, timeout }
    }

    pub(super) fn list(&self, listing: &mut Listing) {
        listing.push(("SHUTDOWN_DRAIN_SECONDS", Unit::Seconds.show(self.drain)));
        listing.push(("SHUTDOWN_TIMEOUT_SECONDS", Unit::Seconds.show(self.timeout)));
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
