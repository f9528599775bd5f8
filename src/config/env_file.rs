//! The `.env` file: variables that the process was not given come from there.
//!
//! It must never show a line of it: what cannot be read may be a secret.

use std::path::{Path, PathBuf};

/// Why a file that is there gives no variables.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// A line is no assignment.
    #[error("{}: got {}, wants NAME=VALUE, with quotes around a value that has blanks", file.display(), place(*line))]
    Line {
        /// The file.
        file: PathBuf,
        /// Which line, from 1 on; none where it cannot be told.
        line: Option<usize>,
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

fn place(line: Option<usize>) -> String {
    line.map_or_else(|| "a line that is none".to_owned(), |line| format!("something else in line {line}"))
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
        Err(dotenvy::Error::LineParse(line, _)) => {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let number = text.lines().position(|found| line.lines().next() == Some(found));
            Err(EnvFileError::Line { file: file.to_owned(), line: number.map(|number| number + 1) })
        }
        Err(_) => Err(EnvFileError::Line { file: file.to_owned(), line: None }),
    }
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
        for content in ["# A comment\n\nJWT_ACCESS_SECRET hunter2\n", "# A\n# B\nhunter2", "\n\nA='hunter2\n"]
        {
            let told = told(content);
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
