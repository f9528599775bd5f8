//! Reads the CBOR of authenticators (CTAP2 canonical form, RFC 8949): definite lengths, maps without
//! duplicate keys, and no deeper than what an attestation object needs. It must never read beyond its
//! input, or build anything of unbounded size.

/// Deepest nesting of maps and arrays; an attestation statement with certificates needs three.
const MAX_DEPTH: usize = 8;

/// One data item; byte strings and texts are slices of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Item<'a>>),
    Map(Vec<(Item<'a>, Item<'a>)>),
    /// false, true, null and anything else without data that is read here.
    Simple(u8),
}

impl<'a> Item<'a> {
    /// Reads the input as one item; nothing may come after it.
    pub(super) fn read(input: &'a [u8]) -> Option<Self> {
        let (item, rest) = Self::read_first(input)?;
        rest.is_empty().then_some(item)
    }

    /// The first item of the input, and what comes after it.
    pub(super) fn read_first(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut reader = Reader(input);
        let item = reader.item(MAX_DEPTH)?;
        Some((item, reader.0))
    }

    /// The value of an integer key of a map.
    pub(super) fn at(&self, key: i64) -> Option<&Self> {
        self.find(&Item::Integer(key))
    }

    /// The value of a text key of a map.
    pub(super) fn named(&self, key: &str) -> Option<&Self> {
        self.find(&Item::Text(key))
    }

    fn find(&self, key: &Item<'_>) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(found, _)| found == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn item(&mut self, depth: usize) -> Option<Item<'a>> {
        let depth = depth.checked_sub(1)?;
        let head = self.byte()?;
        let (major, low) = (head >> 5, head & 0x1f);
        let argument = self.argument(low)?;
        match major {
            0 => i64::try_from(argument).ok().map(Item::Integer),
            1 => i64::try_from(argument).ok().map(|value| Item::Integer(-1 - value)),
            2 => self.take(argument).map(Item::Bytes),
            3 => std::str::from_utf8(self.take(argument)?).ok().map(Item::Text),
            4 => (0..self.count(argument)?).map(|_| self.item(depth)).collect::<Option<_>>().map(Item::Array),
            5 => self.map(argument, depth),
            7 => (low <= 24).then(|| Item::Simple(u8::try_from(argument).unwrap_or(u8::MAX))),
            // Tags are not allowed.
            _ => None,
        }
    }

    fn map(&mut self, length: u64, depth: usize) -> Option<Item<'a>> {
        let mut entries: Vec<(Item<'a>, Item<'a>)> = Vec::new();
        for _ in 0..self.count(length)? {
            let key = self.item(depth)?;
            if entries.iter().any(|(found, _)| *found == key) {
                return None;
            }
            entries.push((key, self.item(depth)?));
        }
        Some(Item::Map(entries))
    }

    /// An item takes at least a byte, so a count that exceeds the remaining bytes is refused.
    fn count(&self, announced: u64) -> Option<usize> {
        usize::try_from(announced).ok().filter(|count| *count <= self.0.len())
    }

    fn argument(&mut self, low: u8) -> Option<u64> {
        let bytes = match low {
            0..=23 => return Some(u64::from(low)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let bytes = self.take(bytes)?;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_as_rfc_8949_writes_them() {
        for (bytes, item) in [
            (&[0x00][..], Item::Integer(0)),
            (&[0x18, 0x18], Item::Integer(24)),
            (&[0x1a, 0x00, 0x0f, 0x42, 0x40], Item::Integer(1_000_000)),
            (&[0x26], Item::Integer(-7)),
            (&[0x39, 0x01, 0x00], Item::Integer(-257)),
            (&[0x43, 1, 2, 3], Item::Bytes(&[1, 2, 3])),
            (&[0x64, b'n', b'o', b'n', b'e'], Item::Text("none")),
            (&[0xf5], Item::Simple(21)),
            (&[0x82, 0x01, 0x20], Item::Array(vec![Item::Integer(1), Item::Integer(-1)])),
            (&[0xa1, 0x01, 0x02], Item::Map(vec![(Item::Integer(1), Item::Integer(2))])),
            (&[0xa0], Item::Map(vec![])),
        ] {
            assert_eq!(Item::read(bytes), Some(item), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_cut_short_too_deep_doubled_or_of_no_definite_length_is_refused() {
        let deep = [0x81; 64];
        for bytes in [
            &[][..],
            &[0x18],
            &[0x42, 1],
            &[0x9f, 0xff],
            &[0x5f, 0xff],
            &[0xa1, 0x01],
            &[0xa2, 0x01, 0x02, 0x01, 0x03],
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xc0, 0x00],
            &[0x61, 0xff],
            &[0x00, 0x00],
            &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &deep,
        ] {
            assert_eq!(Item::read(bytes), None, "{bytes:x?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            if let Some((_, rest)) = Item::read_first(&bytes) {
                proptest::prop_assert!(rest.len() < bytes.len());
            }
        }
    }
}
