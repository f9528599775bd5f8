//! What hashing a password may cost, and how many may wait for it.
//!
//! It must never let production run with a cheap hash in silence.

use super::Environment;
use super::http::cores;
use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "BCRYPT_COST",
        Form::Number(4, 31),
        Preset::Value("12"),
        "bcrypt's work factor. A password hashed at another cost is hashed again at its next login.",
    )
    .note("under 10 in production is warned about"),
    Setting::new(
        "PASSWORD_QUEUE",
        Form::Number(1, 100_000),
        Preset::Told("as many as are hashed in about 10 s, 64 to 4096"),
        "Passwords that may wait to be hashed. One more is answered 503.",
    ),
    Setting::new(
        "PASSWORD_WORKERS",
        Form::Number(1, 1024),
        Preset::Told("one per processor"),
        "Passwords hashed at the same time.",
    ),
];

/// The lowest work factor that goes without a warning in production (OWASP Password Storage Cheat Sheet).
const SAFE_COST: u32 = 10;

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
        let bcrypt_cost = source.integer("BCRYPT_COST");
        if environment.is_production() && bcrypt_cost < SAFE_COST {
            source.warn(format!(
                "BCRYPT_COST is {bcrypt_cost}; under {SAFE_COST} a stolen hash is soon guessed"
            ));
        }
        let workers = source.integer_or("PASSWORD_WORKERS", cores());
        let queue = source.integer_or("PASSWORD_QUEUE", queue_of(bcrypt_cost, workers));
        PasswordConfig { bcrypt_cost, queue, workers }
    }
}

/// As many as are done in about ten seconds, which is as long as anybody waits for a login; a hash of cost 12 takes
/// about a quarter of a second. At least 64.
fn queue_of(cost: u32, workers: usize) -> usize {
    let in_ten_seconds = (40_usize << 12) >> cost.min(31);
    workers.saturating_mul(in_ten_seconds).clamp(64, 4_096)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, production, refused};

    #[test]
    fn the_queue_is_as_long_as_people_wait() {
        let queue = |cost| parse(&[("BCRYPT_COST", cost), ("PASSWORD_WORKERS", "2")]).password.queue;
        assert_eq!((queue("12"), queue("10"), queue("4"), queue("31")), (80, 320, 4_096, 64));
    }

    #[test]
    fn the_cost_has_bounds_and_a_cheap_one_is_told_in_production() {
        assert_eq!(parse(&[("BCRYPT_COST", "4")]).password.bcrypt_cost, 4);
        assert_eq!(parse(&[("BCRYPT_COST", "31")]).password.bcrypt_cost, 31);
        assert_eq!(refused(&[("BCRYPT_COST", "3")]), ["BCRYPT_COST"]);
        assert_eq!(refused(&[("BCRYPT_COST", "32")]), ["BCRYPT_COST"]);
        let warned = |cost| {
            let warnings = parse(&production(&[("BCRYPT_COST", cost)])).warnings;
            warnings.iter().any(|warning| warning.contains("BCRYPT_COST"))
        };
        assert_eq!((warned("9"), warned("10")), (true, false));
    }
}
