//! Every file says what it is for, and none grows beyond what can be read in one go.

use super::sources::sources;

/// Most lines of a file of the program.
const MOST_LINES: usize = 350;

#[test]
fn every_file_begins_with_its_purpose() {
    let silent: Vec<_> = sources(&["src", "entity", "migration", "tests"])
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources(&["src"])
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {long:?}");
}

/// Comments keep to the width of the code, so that both can be read side by side with a change.
#[test]
fn comments_are_as_wide_as_code_at_most() {
    const WIDTH: usize = 110;
    let mut wide = Vec::new();
    for file in sources(&["src", "entity", "migration", "tests", "clients/rust", "examples", "benches"]) {
        for (number, line) in file.text.lines().enumerate() {
            // A link or a table cannot be broken.
            let is_comment =
                line.trim_start().starts_with("//") && !line.contains("](") && !line.contains('|');
            if is_comment && line.chars().count() > WIDTH {
                wide.push(format!("{}:{}", file.path.display(), number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "comments wider than {WIDTH} characters: {wide:?}");
}
