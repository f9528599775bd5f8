//! The `.env` file: variables missing from the process environment are taken from it literally: no `$` is
//! expanded.
//!
//! It must never show a line of it: what cannot be parsed may be a secret.

use std::path::{Path, PathBuf};

/// Why an existing file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// A line is not an assignment.
    #[error("{}: got something else in line {line}, wants NAME=VALUE, with quotes around a value that has blanks", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Loads the file into the process environment. A missing one is fine.
///
/// # Errors
/// [`EnvFileError`].
pub fn load(file: &Path) -> Result<(), EnvFileError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(EnvFileError::Unreadable { file: file.to_owned(), source }),
    };
    let bad_line = |line| EnvFileError::Line { file: file.to_owned(), line };
    let variables = parse(&text).map_err(bad_line)?;
    // Setting a variable is unsafe code; the `dotenvy` crate does it, while there is only one thread. It
    // expands `$`, but not in single quotes.
    let quoted: String =
        variables.iter().map(|(name, value)| format!("{name}={}\n", in_quotes(value))).collect();
    dotenvy::from_read(quoted.as_bytes()).map_err(|_| bad_line(1))
}

/// The value in single quotes, with what the crate would take for an escape placed outside of them.
fn in_quotes(value: &str) -> String {
    let escape = |letter| match letter {
        '\\' | '\'' => format!("'\\{letter}'"),
        letter => letter.to_string(),
    };
    format!("'{}'", value.chars().map(escape).collect::<String>())
}

/// Names and values in order, or the number of the first line that cannot be parsed.
fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let start = rest.trim_start_matches([' ', '\t', '\r']);
        if start.is_empty() || start.starts_with(['\n', '#']) {
            rest = start.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        let (variable, after) = assignment(start).ok_or(number)?;
        variables.push(variable);
        rest = after;
    }
    Ok(variables)
}

/// Parses `NAME=VALUE`, and returns the rest of the text too.
fn assignment(text: &str) -> Option<((String, String), &str)> {
    let text = match text.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) && !after.trim_start().starts_with('=') => {
            after.trim_start()
        }
        _ => text,
    };
    let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c))).unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix('=')?.trim_start_matches([' ', '\t']);
    let (value, rest) = match rest.chars().next() {
        Some('\'') => rest[1..].split_once('\'').map(|(value, rest)| (value.to_owned(), rest))?,
        Some('"') => double_quoted(&rest[1..])?,
        _ => return plain(name, rest),
    };
    let (end, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let end = end.trim();
    (is_name(name) && is_value(&value) && (end.is_empty() || end.starts_with('#')))
        .then(|| ((name.to_owned(), value), rest))
}

/// An unquoted value: up to the end of the line, or to a comment, with no whitespace inside.
fn plain<'a>(name: &str, rest: &'a str) -> Option<((String, String), &'a str)> {
    let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let comment = line
        .match_indices('#')
        .find(|(at, _)| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
    let value = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
    let is_one = !value.contains(char::is_whitespace) && is_value(value);
    (is_name(name) && is_one).then(|| ((name.to_owned(), value.to_owned()), rest))
}

/// The text before the closing quote, and the text after it. `\n`, `\"` and the like have their usual
/// meaning.
fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            letter => value.push(letter),
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// An environment variable cannot contain NUL.
fn is_value(value: &str) -> bool {
    !value.contains('\0')
}

#[cfg(test)]
mod tests;
