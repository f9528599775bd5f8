//! A point in time with the precision used everywhere here: one millisecond, UTC. It never reads the clock.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde::{Serialize, Serializer};

/// Milliseconds since the Unix epoch, UTC. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From a system time, rounded down.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(millis_of(since)),
            Err(before) => Self(0_i64.saturating_sub(millis_of(before.duration()))),
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: the unit of a JWT's numeric dates (RFC 7519, section 2).
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads RFC 3339, what PostgreSQL writes (`2026-11-23 18:00:30.993`, with or without an offset; without
    /// one it is UTC), a date alone, or a whole number of milliseconds since the epoch.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(millis) = text.parse() {
            return Some(Self(millis));
        }
        let with_offset = DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"));
        let without = || {
            let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
                .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"));
            time.or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(NaiveDateTime::from)).ok()
        };
        let millis = match with_offset {
            Ok(time) => time.timestamp_millis(),
            Err(_) => without()?.and_utc().timestamp_millis(),
        };
        Some(Self(millis))
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)))
    }

    /// This much earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(duration)))
    }

    /// How long until `later`; zero if that is in the past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Length of a time as text.
const LENGTH: usize = "1970-01-01T00:00:00.000Z".len();
/// The last millisecond of the year 9999, which is where RFC 3339 ends.
const LATEST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// RFC 3339 with milliseconds and `Z`; a time outside 1970 to 9999 is written as the nearest one
    /// inside.
    ///
    /// Digit by digit: each answer to a session check contains five times, and a formatter took 1.5 % of
    /// it for them.
    fn write(self, buffer: &mut [u8; LENGTH]) -> &str {
        *buffer = *b"0000-00-00T00:00:00.000Z";
        let millis = self.0.clamp(0, LATEST).unsigned_abs();
        let (days, of_day) = ((millis / DAY) as u32, (millis % DAY) as u32);
        let (year, month, day) = date_of(days);
        two_digits(buffer, 0, year / 100);
        two_digits(buffer, 2, year % 100);
        two_digits(buffer, 5, month);
        two_digits(buffer, 8, day);
        let seconds = of_day / 1000;
        two_digits(buffer, 11, seconds / 3600);
        two_digits(buffer, 14, seconds / 60 % 60);
        two_digits(buffer, 17, seconds % 60);
        let rest = of_day % 1000;
        buffer[20] = b'0' + (rest / 100) as u8;
        two_digits(buffer, 21, rest % 100);
        std::str::from_utf8(buffer).unwrap_or_default()
    }
}

/// Milliseconds of a day.
const DAY: u64 = 24 * 3600 * 1000;

/// Year, month and day of that many days after 1970-01-01, by the method of Howard Hinnant's
/// `civil_from_days`: years begin in March, so that a leap day is a year's last.
fn date_of(days: u32) -> (u32, u32, u32) {
    const DAYS_OF_400_YEARS: u32 = 146_097;
    let days = days + 719_468;
    let (of_400, era) = (days % DAYS_OF_400_YEARS, days / DAYS_OF_400_YEARS);
    let year = (of_400 - of_400 / 1_460 + of_400 / 36_524 - of_400 / 146_096) / 365;
    let of_year = of_400 - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, is_next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + is_next_year, month, day)
}

/// Writes a number below 100.
fn two_digits(buffer: &mut [u8; LENGTH], at: usize, number: u32) {
    buffer[at] = b'0' + (number / 10) as u8;
    buffer[at + 1] = b'0' + (number % 10) as u8;
}

/// RFC 3339 with milliseconds and `Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; LENGTH]))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; LENGTH]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_with_milliseconds_and_z() {
        assert_eq!(Timestamp::from_millis(1_700_000_000_005).to_string(), "2023-11-14T22:13:20.005Z");
    }

    proptest::proptest! {
        #[test]
        fn is_written_as_others_write_it(millis in 0..=LATEST) {
            let expected = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis as u64));
            proptest::prop_assert_eq!(Timestamp::from_millis(millis).to_string(), expected.to_string());
        }
    }

    #[test]
    fn is_read_in_each_form() {
        for text in [
            "2023-11-14T22:13:20.005Z",
            "2023-11-14T23:13:20.005+01:00",
            "2023-11-14 22:13:20.005",
            "2023-11-14 22:13:20.005+00",
            "2023-11-14T22:13:20.005",
            "1700000000005",
        ] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_millis(1_700_000_000_005)), "{text}");
        }
        assert_eq!(Timestamp::parse("2023-11-14"), Some(Timestamp::from_millis(1_699_920_000_000)));
        for text in ["", "yesterday", "2023-11-14 25:00:00", "14.11.2023"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_written_as_the_nearest() {
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_time_of_the_system_is_rounded_down() {
        assert_eq!(Timestamp::of(UNIX_EPOCH + Duration::from_micros(1_999)).millis(), 1);
        assert_eq!(Timestamp::of(UNIX_EPOCH - Duration::from_millis(2)).millis(), -2);
    }

    #[test]
    fn arithmetic_saturates() {
        let late = Timestamp::from_millis(i64::MAX);
        assert_eq!(late.plus(Duration::MAX), late);
        assert_eq!(late.until(Timestamp::default()), Duration::ZERO);
    }
}
