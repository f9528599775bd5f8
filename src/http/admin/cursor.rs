//! The position where a page ended, as an opaque text for the next one: the time and the id of its last row.
//! A cursor of another list, or one that was tampered with, is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use uuid::Uuid;

use super::invalid;
use crate::domain::time::Timestamp;
use crate::http::extract::form::Parameters;
use crate::http::problem::Problem;

/// Time, id, and a tag that identifies the list.
const LENGTH: usize = 8 + 16 + 8;

/// The cursor after a row of that list.
pub(super) fn write(list: &str, time: Timestamp, id: Uuid) -> String {
    let mut bytes = [time.millis().to_be_bytes().as_slice(), id.as_bytes()].concat();
    let mark = mark(list, &bytes);
    bytes.extend(mark);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The row that a query's `cursor` names.
pub(super) fn read(list: &str, query: &Parameters) -> Result<Option<(Timestamp, Uuid)>, Problem> {
    let Some(text) = query.one("cursor")? else { return Ok(None) };
    parse(list, text).map(Some).ok_or_else(|| invalid("cursor"))
}

fn parse(list: &str, text: &str) -> Option<(Timestamp, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == LENGTH)?;
    let (key, given) = bytes.split_at(LENGTH - 8);
    let (time, id) = key.split_at(8);
    let time = Timestamp::from_millis(i64::from_be_bytes(time.try_into().ok()?));
    let id = Uuid::from_slice(id).ok()?;
    (given == mark(list, key)).then_some((time, id))
}

fn mark(list: &str, key: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher24::new();
    hasher.write(list.as_bytes());
    hasher.write(key);
    hasher.finish().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_and_as_it_was_written() {
        let (time, id) = (Timestamp::from_millis(1_700_000_000_123), Uuid::from_u128(7));
        let cursor = write("users", time, id);
        assert_eq!(parse("users", &cursor), Some((time, id)));
        assert_eq!(parse("sessions", &cursor), None);
        let mut changed = cursor.clone();
        changed.replace_range(3..4, if &cursor[3..4] == "A" { "B" } else { "A" });
        assert_eq!(parse("users", &changed), None);
        for nonsense in ["", "A", "====", "nonsense", &cursor[1..]] {
            assert_eq!(parse("users", nonsense), None, "{nonsense}");
        }
    }
}
