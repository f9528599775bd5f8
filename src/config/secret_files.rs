//! Settings from files: for each secret, `NAME_FILE` names a file, as Docker and Kubernetes mount them.
//!
//! It must never show the content of such a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use super::ConfigError;
use super::source::quoted;
use super::variables::{Kind, Variables};

/// Most bytes that are read; a list of secrets is far smaller.
const MOST: u64 = 64 * 1024;

/// Sets each setting to the content of the file named for it, and returns the errors.
pub(super) fn load(declared: &Variables, vars: &mut HashMap<String, String>) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for variable in declared.iter().filter(|variable| variable.kind == Kind::File) {
        let given = |name: &str| vars.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(path) = given(variable.name) else { continue };
        let name = variable.setting.name;
        let wants = format!("a text file with the value of {name}, which can be read");
        let refusal = |got: String| ConfigError::new(variable.name, got, wants.clone());
        if given(name).is_some() {
            let wants = format!("either this or {name}, not both");
            errors.push(ConfigError::new(variable.name, quoted(path), wants));
            continue;
        }
        match read(path) {
            Ok(content) if content.trim().is_empty() => {
                errors.push(refusal(format!("{}, which is empty", quoted(path))));
            }
            Ok(content) => {
                vars.insert(name.to_owned(), content);
            }
            Err(error) => errors.push(refusal(format!("{} ({error})", quoted(path)))),
        }
    }
    errors
}

/// The file's content without one trailing line end, which editors and `echo` add.
fn read(path: &str) -> io::Result<String> {
    let mut content = String::new();
    let read = File::open(path)?.take(MOST + 1).read_to_string(&mut content)?;
    if read as u64 > MOST {
        return Err(io::Error::other(format!("over {MOST} bytes")));
    }
    let length = content.strip_suffix('\n').map_or(content.len(), |line| line.trim_end_matches('\r').len());
    content.truncate(length);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{ACCESS_SECRET, errors, parse, refused};

    fn file(content: impl AsRef<[u8]>) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    #[test]
    fn one_line_end_is_dropped_and_nothing_else() {
        for (content, secret) in [
            (format!("{ACCESS_SECRET}\n"), ACCESS_SECRET.to_owned()),
            (format!("{ACCESS_SECRET}\r\n"), ACCESS_SECRET.to_owned()),
            (ACCESS_SECRET.to_owned(), ACCESS_SECRET.to_owned()),
            (format!("{ACCESS_SECRET}\n\n"), format!("{ACCESS_SECRET}\n")),
            (format!(" {ACCESS_SECRET} \n"), format!(" {ACCESS_SECRET} ")),
        ] {
            let (_file, path) = file(&content);
            let config = parse(&[("JWT_ACCESS_SECRET_FILE", &path)]);
            assert_eq!(config.tokens.access_secret.expose(), secret, "{content:?}");
        }
    }

    #[test]
    fn addresses_come_from_files_too() {
        let (_database, database) = file("postgres://u:hunter2@h/d\n");
        let (_redis, redis) = file("redis://:hunter2@h\n");
        let config = parse(&[("DATABASE_URL_FILE", &database), ("REDIS_URL_FILE", &redis)]);
        assert_eq!(config.redis.unwrap().urls[0].expose(), "redis://:hunter2@h");
        let (_file, path) = file("mysql://u:hunter2@h/d");
        let told = errors(&[("DATABASE_URL_FILE", &path)]).to_string();
        assert!(
            told.starts_with("DATABASE_URL: got a secret of 21 bytes") && !told.contains("hunter2"),
            "{told}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_by_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere").to_str().unwrap().to_owned();
        let (_empty, empty) = file("\n");
        let (_bytes, bytes) = file([0xff, 0xfe]);
        let (_long, long) = file("x".repeat(70_000));
        for path in [&nowhere, &empty, &bytes, &long, &folder.path().to_str().unwrap().to_owned()] {
            assert_eq!(refused(&[("REDIS_URL_FILE", path)]), ["REDIS_URL_FILE"], "{path}");
        }
        let both = errors(&[("REDIS_URL", "redis://h"), ("REDIS_URL_FILE", &nowhere)]).to_string();
        assert!(both.contains("wants either this or REDIS_URL, not both"), "{both}");
        let (_unused, unused) = file("redis://h");
        assert!(parse(&[("REDIS_URL", " "), ("REDIS_URL_FILE", &unused)]).redis.is_some());
    }
}
