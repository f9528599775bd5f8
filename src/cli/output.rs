//! What commands print: the result to standard output, as a table for people or as JSON for programs; what is
//! said beside it to standard error. A reader who goes away, as `head` does, ends the command in peace.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::CommandError;

/// A line of the result.
///
/// # Errors
/// When standard output cannot be written to.
pub(super) fn say(text: &str) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Nobody is there to be told that nobody is there.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        done => Ok(done?),
    }
}

/// Prints a remark, which is not part of the result, to standard error.
pub(super) fn remark(text: &str) {
    // Where standard error cannot be written to, the command goes on without its remarks.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The whole result as JSON.
///
/// # Errors
/// As [`say`].
pub(super) fn say_json(value: &impl Serialize) -> Result<(), CommandError> {
    say(&serde_json::to_string_pretty(value)?)
}

/// Rows under their titles, in columns as wide as their widest.
pub(super) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(str::to_owned);
    let mut widths = titles.each_ref().map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    [&titles].into_iter().chain(rows).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [["Ädä".to_owned(), "1".to_owned()], ["x".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "N"], &rows), "NAME  N\nÄdä   1\nx");
    }
}
