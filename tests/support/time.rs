//! Waiting for conditions and reading timestamps. The only file of the tests that asks for the time.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

/// Time between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Checks until the condition holds and returns what it found; panics with the last state when `within` has
/// passed.
pub(crate) async fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let watch = Stopwatch::start();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(state) if watch.elapsed() >= within => {
                panic!("{what}: not within {within:?}; last seen: {state}")
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// How long something took.
#[derive(Clone)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The wall clock, as tokens count it: seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    auth_service::clock::Clock::System.now().seconds()
}

/// Parses a timestamp and asserts its format: RFC 3339, UTC, exactly three decimals, `Z`.
pub(crate) fn timestamp(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("a timestamp is text, got {value}"));
    let well_formed =
        text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.' && text.as_bytes()[10] == b'T';
    assert!(well_formed, "not RFC 3339 in UTC with milliseconds: {text}");
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// From the first timestamp to the second, in milliseconds.
pub(crate) fn milliseconds(from: &Value, to: &Value) -> i64 {
    (timestamp(to) - timestamp(from)).num_milliseconds()
}

/// The wall clock, as sessions count it: milliseconds since 1970. All nodes of a test share it.
pub(crate) fn unix_millis() -> i64 {
    auth_service::clock::Clock::System.now().millis()
}

/// The moment a timestamp names, in milliseconds since 1970.
pub(crate) fn millis_of(value: &Value) -> i64 {
    timestamp(value).timestamp_millis()
}

/// Waits until that time by the wall clock, such as a deadline.
pub(crate) async fn until(unix_millis_then: i64) {
    let left = unix_millis_then - unix_millis();
    tokio::time::sleep(Duration::from_millis(left.try_into().unwrap_or(0))).await;
}
