//! `.env` as other tools write it.

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
    /// Also through the crate that sets the variables.
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
