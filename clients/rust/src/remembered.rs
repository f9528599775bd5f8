//! Endings by session, in few bytes each, because there may be very many.

use std::collections::HashMap;

/// How many different reasons are distinguished.
const REASONS: usize = 1000;

/// A session's id.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Uuid([u8; 16]),
    Other(Box<str>),
}

struct Ending {
    /// When the session's last access token expires, in seconds; after that it may be forgotten.
    until: u32,
    /// Its index in `Remembered::reasons`.
    reason: u16,
}

pub(crate) struct Remembered {
    endings: HashMap<Key, Ending>,
    /// The reasons that were received. The first stands for those beyond the bound.
    reasons: Vec<String>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { endings: HashMap::default(), reasons: vec!["terminated".to_owned()] }
    }
}

impl Remembered {
    pub(crate) fn len(&self) -> usize {
        self.endings.len()
    }

    pub(crate) fn reason(&self, sid: &str) -> Option<&str> {
        let found = self.endings.get(&key(sid))?;
        self.reasons.get(usize::from(found.reason)).map(String::as_str)
    }

    /// Whether the ending is new. `until` is in ms.
    pub(crate) fn add(&mut self, sid: &str, reason: &str, until: i64) -> bool {
        let until = u32::try_from(until / 1000 + 1).unwrap_or(u32::MAX);
        let reason = self.place(reason);
        self.endings.insert(key(sid), Ending { until, reason }).is_none()
    }

    /// `now` is in ms.
    pub(crate) fn forget(&mut self, now: i64) {
        self.endings.retain(|_, ending| i64::from(ending.until) * 1000 >= now);
    }

    /// It is an ending whatever the reason is called.
    fn place(&mut self, reason: &str) -> u16 {
        let place = match self.reasons.iter().position(|known| known == reason) {
            Some(known) => known,
            None if self.reasons.len() < REASONS => {
                self.reasons.push(reason.to_owned());
                self.reasons.len() - 1
            }
            None => 0,
        };
        u16::try_from(place).unwrap_or_default()
    }
}

fn key(sid: &str) -> Key {
    uuid(sid.as_bytes()).map_or_else(|| Key::Other(sid.into()), Key::Uuid)
}

/// The bytes of a UUID in its usual form.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (place, &letter) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if letter != b'-' {
                return None;
            }
            continue;
        }
        let digit = match letter {
            b'0'..=b'9' => letter - b'0',
            b'a'..=b'f' => letter - b'a' + 10,
            _ => return None,
        };
        let byte: &mut u8 = bytes.get_mut(digits / 2)?;
        *byte = *byte << 4 | digit;
        digits += 1;
    }
    (digits == 32 && text.len() == 36).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_uuid_and_what_is_none_is_found_again() {
        let mut remembered = Remembered::default();
        let ids =
            ["0198c1a2-3b4d-7a10-9c2b-5d6e7f809112", "0198C1A2-3B4D-7A10-9C2B-5D6E7F809112", "laptop", ""];
        for (number, sid) in ids.iter().enumerate() {
            assert_eq!(remembered.reason(sid), None);
            assert!(remembered.add(sid, &number.to_string(), 1000));
            assert!(!remembered.add(sid, &number.to_string(), 1000));
            assert_eq!(remembered.reason(sid), Some(number.to_string().as_str()));
        }
        remembered.forget(10_000);
        assert_eq!(remembered.len(), 0);
    }

    #[test]
    fn reasons_are_bounded_and_an_ending_is_one_all_the_same() {
        let mut remembered = Remembered::default();
        for number in 0..2 * REASONS {
            remembered.add(&number.to_string(), &number.to_string(), 1000);
        }
        assert_eq!(remembered.reasons.len(), REASONS);
        assert_eq!(remembered.reason("7"), Some("7"));
        assert_eq!(remembered.reason("1999"), Some("terminated"));
    }
}
