//! How far a follower has read, and the text that it sends to continue from there, at any node.

use crate::domain::time::Timestamp;

/// Most open transactions that a text lists; with more it begins at the oldest of them, and some endings
/// are repeated.
const LISTED: usize = 100;
/// Longest text, in bytes.
const LENGTH: usize = 2_500;

/// A position: everything that was committed by then has been reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A snapshot of PostgreSQL.
    Snapshot {
        /// The first transaction id that was not assigned yet.
        ends_at: i64,
        /// Transactions with lower ids that were in progress.
        in_progress: Vec<i64>,
        /// When it was taken.
        time: Timestamp,
    },
    /// A time, on SQLite.
    Time(Timestamp),
}

impl Place {
    pub(super) fn time(&self) -> Timestamp {
        match self {
            Self::Snapshot { time, .. } | Self::Time(time) => *time,
        }
    }

    /// Parses the output of [`Place::to_text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number: &i64| *number >= 0);
        if text.len() > LENGTH {
            return None;
        }
        let mut parts = text.split('.');
        let (kind, time) = (parts.next()?, Timestamp::from_millis(number(parts.next()?)?));
        let place = match kind {
            "t" => Self::Time(time),
            "p" => {
                let ends_at = number(parts.next()?)?;
                let in_progress = parts.by_ref().map(number).collect::<Option<Vec<_>>>()?;
                Self::Snapshot { ends_at, in_progress, time }
            }
            _ => return None,
        };
        parts.next().is_none().then_some(place)
    }

    /// A text without blanks or line ends.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Time(time) => format!("t.{}", time.millis()),
            Self::Snapshot { ends_at, in_progress, time } if in_progress.len() > LISTED => {
                let begins_at = in_progress.iter().min().unwrap_or(ends_at);
                format!("p.{}.{begins_at}", time.millis())
            }
            Self::Snapshot { ends_at, in_progress, time } => {
                let open: String = in_progress.iter().map(|id| format!(".{id}")).collect();
                format!("p.{}.{ends_at}{open}", time.millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let time = Timestamp::from_millis(1_700_000_000_123);
        let places = [
            Place::Time(time),
            Place::Snapshot { ends_at: 812, in_progress: vec![], time },
            Place::Snapshot { ends_at: 812, in_progress: vec![7, 811], time },
        ];
        for place in places {
            assert_eq!(Place::parse(&place.to_text()), Some(place));
        }
        let many = Place::Snapshot { ends_at: 5_000, in_progress: (40..4_000).collect(), time };
        let begins = Place::Snapshot { ends_at: 40, in_progress: vec![], time };
        assert_eq!(Place::parse(&many.to_text()), Some(begins));
    }

    #[test]
    fn anything_else_is_none() {
        let long = format!("p.1.2{}", ".3".repeat(3_000));
        for text in
            ["", ".", "t", "t.", "t.x", "t.1.2", "t.-1", "p.1", "p.1.2.", "p.1.2.x", "q.1.2", "t.1\n", &long]
        {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
