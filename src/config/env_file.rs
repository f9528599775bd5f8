//! The `.env` file: variables that the process was not given come from there, as they stand: no `$` is
//! expanded.
//!
//! It must never show a line of it: what cannot be read may be a secret.

use std::path::{Path, PathBuf};

/// Why a file that is there gives no variables.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// A line is no assignment.
    #[error("{}: got something else in line {line}, wants NAME=VALUE, with quotes around a value that has blanks", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Which line, from 1 on.
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
    // Setting a variable is unsafe by itself; this crate does it while there is one thread. It expands `$`,
    // but not in single quotes.
    let quoted: String =
        variables.iter().map(|(name, value)| format!("{name}={}\n", in_quotes(value))).collect();
    dotenvy::from_read(quoted.as_bytes()).map_err(|_| bad_line(1))
}

/// In single quotes, with what the crate would take for an escape outside of them.
fn in_quotes(value: &str) -> String {
    let escape = |letter| match letter {
        '\\' | '\'' => format!("'\\{letter}'"),
        letter => letter.to_string(),
    };
    format!("'{}'", value.chars().map(escape).collect::<String>())
}

/// Names and values in their order, or the number of the first line with which nothing that follows makes
/// sense.
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

/// `NAME=VALUE` and the lines after it.
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

/// Without quotes: to the end of the line, or to a comment, with no blanks inside.
fn plain<'a>(name: &str, rest: &'a str) -> Option<((String, String), &'a str)> {
    let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let comment = line
        .match_indices('#')
        .find(|(at, _)| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
    let value = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
    let is_one = !value.contains(char::is_whitespace) && is_value(value);
    (is_name(name) && is_one).then(|| ((name.to_owned(), value.to_owned()), rest))
}

/// What stands before the closing quote, and what comes after it. `\n`, `\"` and the like mean what they
/// usually do.
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

/// No environment can hold a NUL.
fn is_value(value: &str) -> bool {
    !value.contains('\0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(line: &str) -> String {
        let mut variables = parse(line).unwrap();
        assert_eq!(variables.len(), 1, "{line}");
        variables.remove(0).1
    }

    #[test]
    fn values_are_taken_as_they_stand() {
        let secret = "k8s9dj3n4k5l6m7n8o9p$0q1r2s3t4u5v";
        for (line, value) in [
            (format!("A={secret}"), secret),
            (format!("A=\"{secret}\""), secret),
            (format!("A='{secret}'"), secret),
            (format!("export A = {secret}  # of 2026\r\n"), secret),
            ("A=${HOME}/$USER".to_owned(), "${HOME}/$USER"),
            (r"A=a\nb\$c".to_owned(), r"a\nb\$c"),
            (r"A='a\nb\'".to_owned(), r"a\nb\"),
            (r#"A="a\nb\\\"\$c\d""#.to_owned(), "a\nb\\\"$c\\d"),
            ("A='two\nlines' # and a comment\n".to_owned(), "two\nlines"),
            ("A=a#b".to_owned(), "a#b"),
            ("A=a'b\"c".to_owned(), "a'b\"c"),
            ("A= # nothing".to_owned(), ""),
            ("A=".to_owned(), ""),
            ("\u{feff}A=b=c".to_owned(), "b=c"),
        ] {
            assert_eq!(one(&line), value, "{line}");
        }
    }

    proptest! {
        /// Through the crate that sets them, too.
        #[test]
        fn any_value_in_quotes_comes_out_as_it_was(value in "[^\0]{0,40}") {
            let line = format!("A={}", in_quotes(&value));
            let read: Vec<_> = dotenvy::from_read_iter(line.as_bytes()).map(Result::unwrap).collect();
            prop_assert_eq!(&read, &[("A".to_owned(), value.clone())]);
            let doubly = format!("A=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""));
            prop_assert_eq!(one(&doubly), value);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(\\PC|[\n\r\t='\"$#\\\\]){0,80}") {
            let lines = text.matches('\n').count() + 1;
            if let Err(line) = parse(&text) {
                prop_assert!((1..=lines).contains(&line));
            }
        }
    }

    fn told(content: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        load(file.path()).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_line_is_told_by_its_number_alone() {
        for bad in [
            "JWT_ACCESS_SECRET hunter2\n",
            "hunter2",
            "A='hunter2\n",
            "A=\"hunter2\\\"\n",
            "A='hunter2' hunter2\n",
            "A=hunter2 hunter2\n",
            "A=hunter2\0\n",
            "9A=hunter2\n",
            "=hunter2\n",
            "A hunter2 # old\nB='1\n2'\n",
        ] {
            let content = format!("# A comment\n\n{bad}");
            let told = told(&content);
            assert!(told.contains("line 3, wants NAME=VALUE"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_missing_file_is_fine_and_one_that_cannot_be_read_is_not() {
        let folder = tempfile::tempdir().unwrap();
        load(&folder.path().join(".env")).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(matches!(error, EnvFileError::Unreadable { .. }), "{error}");
    }
}
