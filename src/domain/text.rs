//! Which characters of a text are visible: the rules for addresses, names and device names (UTS #39, UAX
//! #9).
//!
//! It must never refuse a joiner in an emoji, or in a word that needs one.

use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint};

/// Rendered as blank, though it is classified as a symbol.
const BRAILLE_BLANK: char = '\u{2800}';

/// Whether it is invisible, or changes the direction of the text around it.
#[must_use]
pub fn is_invisible(letter: char) -> bool {
    // No ASCII character is either, and most characters are ASCII.
    !letter.is_ascii()
        && (CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
            || CodePointSetData::new::<BidiControl>().contains(letter))
}

/// Whether a text can be shown as a name: some of it is visible, and no change of direction extends
/// beyond its end.
#[must_use]
pub fn is_presentable(text: &str) -> bool {
    let is_seen = |letter: char| {
        !letter.is_whitespace() && !letter.is_control() && letter != BRAILLE_BLANK && !is_invisible(letter)
    };
    text.chars().any(is_seen) && directions_are_closed(text)
}

/// Whether every embedding, override and isolate is closed, in order, and nothing is closed that was not
/// opened.
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
