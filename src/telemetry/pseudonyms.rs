//! Pseudonyms of accounts and addresses where neither may be stored: keyed hashes. Without the key they
//! only distinguish "the same" from "another".
//!
//! The key comes from the secret of refresh tokens, so all nodes agree. For the log there is a new key
//! each day, so that what somebody did on different days cannot be linked.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::hmac;

use crate::config::Secret;
use crate::domain::time::Timestamp;

const SECONDS_OF_DAY: i64 = 24 * 60 * 60;
/// Bytes of a hash that are used for a counter: enough that no two collide by chance.
const COUNTER_BYTES: usize = 16;

/// Makes pseudonyms.
pub struct Pseudonyms(hmac::Key);

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(hidden)")
    }
}

/// A pseudonym of an account or a network, for one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pseudonym(u64);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The key under which attempts are counted. It has the same length whatever it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterKey(u128);

impl fmt::Display for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl CounterKey {
    /// Half of it: enough for one process.
    #[must_use]
    pub fn short(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl Pseudonyms {
    /// Derives the key from that secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let tag = hmac::sign(&secret, b"auth-service: pseudonyms, 1");
        Self(hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref()))
    }

    /// The key of a counter of that kind.
    #[must_use]
    pub fn counter(&self, kind: &str, counted: &str) -> CounterKey {
        let mut key = [0; COUNTER_BYTES];
        let tag = hash(&self.0, &["counter", kind, counted]);
        key.iter_mut().zip(tag.as_ref()).for_each(|(place, byte)| *place = *byte);
        CounterKey(u128::from_be_bytes(key))
    }

    /// The pseudonym of the account with that address.
    #[must_use]
    pub fn account(&self, email: &str, now: Timestamp) -> Pseudonym {
        self.of_day("account", email, now)
    }

    /// The pseudonym of the client's network: the /24 or /48 that its address is in.
    #[must_use]
    pub fn network(&self, address: IpAddr, now: Timestamp) -> Pseudonym {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
        };
        self.of_day("network", &network, now)
    }

    fn of_day(&self, kind: &str, of: &str, now: Timestamp) -> Pseudonym {
        let day = now.seconds().div_euclid(SECONDS_OF_DAY).to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, hash(&self.0, &["day", &day]).as_ref());
        let mut number = [0; 8];
        let tag = hash(&key, &[kind, of]);
        number.iter_mut().zip(tag.as_ref()).for_each(|(place, byte)| *place = *byte);
        Pseudonym(u64::from_be_bytes(number))
    }
}

fn hash(key: &hmac::Key, parts: &[&str]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        // With their lengths, so that no two lists of parts are alike.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn made_with(secret: &str) -> Pseudonyms {
        Pseudonyms::new(&Secret::new(secret.to_owned()))
    }

    #[test]
    fn the_same_is_told_from_another_within_a_day_and_by_all_nodes() {
        let (one, two) = (made_with("a"), made_with("a"));
        let ada = one.account("ada@example.com", NOON);
        assert_eq!(two.account("ada@example.com", NOON), ada);
        assert_ne!(one.account("bob@example.com", NOON), ada);
        let tomorrow = NOON.plus(std::time::Duration::from_secs(86_400));
        assert_ne!(one.account("ada@example.com", tomorrow), ada);
        assert_ne!(made_with("b").account("ada@example.com", NOON), ada);
    }

    #[test]
    fn an_address_stands_for_its_network() {
        let made = made_with("a");
        let network = |address: &str| made.network(address.parse().unwrap(), NOON);
        assert_eq!(network("203.0.113.7"), network("203.0.113.200"));
        assert_eq!(network("::ffff:203.0.113.7"), network("203.0.113.9"));
        assert_ne!(network("203.0.113.7"), network("203.0.114.7"));
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:ffff::1"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
    }

    #[test]
    fn a_counters_key_is_as_long_whatever_it_is_of() {
        let made = made_with("a");
        for counted in ["", "a", &"x".repeat(16_000)] {
            assert_eq!(made.counter("login", counted).to_string().len(), 32);
        }
        assert_ne!(made.counter("login", "a"), made.counter("signup", "a"));
        assert_ne!(made.counter("logina", ""), made.counter("login", "a"));
    }
}
