//! The `.env` file: variables that the process was not given come from there.
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
    match dotenvy::from_path(file) {
        Ok(()) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(dotenvy::Error::Io(source)) => Err(EnvFileError::Unreadable { file: file.to_owned(), source }),
        Err(_) => {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            Err(EnvFileError::Line { file: file.to_owned(), line: first_bad_line(&text) })
        }
    }
}

/// The first line with which nothing that follows makes sense any more. The parser's own error tells no number.
fn first_bad_line(text: &str) -> usize {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let makes_sense = |count: &usize| {
        let head = lines[..*count].concat();
        dotenvy::from_read_iter(head.as_bytes()).all(|line| line.is_ok())
    };
    (0..lines.len()).rev().find(makes_sense).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "A=hunter2 hunter2\n",
            "A=hun\\ter2hunter2\nB=1\n",
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
