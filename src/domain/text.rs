//! What of a text can be seen: the rules for addresses, names and names of devices (UTS #39, UAX #9).
//!
//! It must never refuse a joiner in an emoji or in a word that is written with one.

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};

/// Shown as nothing, though it counts as a symbol.
const BRAILLE_BLANK: char = '\u{2800}';

/// Whether it shows nothing, or changes the direction of what stands around it.
#[must_use]
pub fn is_invisible(letter: char) -> bool {
    // No letter of ASCII is either, and most are.
    !letter.is_ascii()
        && (CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
            || CodePointSetData::new::<BidiControl>().contains(letter))
}

/// Whether a text can be shown as a name: something of it is seen, and no change of direction reaches beyond
/// its end.
#[must_use]
pub fn is_presentable(text: &str) -> bool {
    let is_seen = |letter: char| {
        !letter.is_whitespace() && !letter.is_control() && letter != BRAILLE_BLANK && !is_invisible(letter)
    };
    text.chars().any(is_seen) && directions_are_closed(text)
}

/// Whether each embedding, override and isolate ends, in order, and nothing ends that did not begin.
fn directions_are_closed(text: &str) -> bool {
    let mut open = Vec::new();
    text.chars().all(|letter| match letter {
        '\u{202a}' | '\u{202b}' | '\u{202d}' | '\u{202e}' => {
            open.push('\u{202c}');
            true
        }
        '\u{2066}'..='\u{2068}' => {
            open.push('\u{2069}');
            true
        }
        '\u{202c}' | '\u{2069}' => open.pop() == Some(letter),
        _ => true,
    }) && open.is_empty()
}

#[cfg(test)]
mod tests;
