//! What hashing a password may cost, and how many may wait for it.
//!
//! It must never let production run with a cost that a graphics card laughs at.

use super::Environment;
use super::http::cores;
use super::source::{Listing, Source};

/// The password pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordConfig {
    /// bcrypt's work factor, as a power of two.
    pub bcrypt_cost: u32,
    /// How many may wait for a worker; one more is refused.
    pub queue: usize,
    /// How many are hashed at once.
    pub workers: usize,
}

impl PasswordConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let lowest = if environment.is_production() { 10 } else { 4 };
        PasswordConfig {
            bcrypt_cost: source.integer("BCRYPT_COST", 12, lowest..=31),
            queue: source.integer("PASSWORD_QUEUE", 64, 1..=100_000),
            workers: source.integer("PASSWORD_WORKERS", cores(), 1..=1024),
        }
    }

    pub(super) fn list(&self, listing: &mut Listing) {
        listing.push(("BCRYPT_COST", self.bcrypt_cost.to_string()));
        listing.push(("PASSWORD_QUEUE", self.queue.to_string()));
        listing.push(("PASSWORD_WORKERS", self.workers.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, production, refused};

    #[test]
    fn the_lowest_cost_depends_on_the_environment() {
        assert_eq!(parse(&[("BCRYPT_COST", "4")]).password.bcrypt_cost, 4);
        assert_eq!(parse(&[("BCRYPT_COST", "31")]).password.bcrypt_cost, 31);
        assert_eq!(refused(&[("BCRYPT_COST", "3")]), ["BCRYPT_COST"]);
        assert_eq!(refused(&[("BCRYPT_COST", "32")]), ["BCRYPT_COST"]);
        assert_eq!(parse(&production(&[("BCRYPT_COST", "10")])).password.bcrypt_cost, 10);
        assert_eq!(refused(&production(&[("BCRYPT_COST", "9")])), ["BCRYPT_COST"]);
    }
}
