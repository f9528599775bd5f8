//! Plain English in code and documents: turns of phrase that a reader of English stumbles over, with the
//! plain form beside each. Add to the list what a reviewer has to explain twice.

use std::path::Path;
use std::process::Command;

/// What is not written, and what to write instead. Words are compared in lower case, with single blanks
/// between them.
const PLAIN: &[(&str, &str)] = &[
    ("whoever", "the client, the caller, the node that …"),
    ("whomever", "the client, the caller, the node that …"),
    ("is told", "gets, hears, learns; or turn the sentence round: \"notifies\""),
    ("are told", "get, hear, learn; or turn the sentence round: \"notifies\""),
    ("was told", "got, heard, learned"),
    ("were told", "got, heard, learned"),
    ("so many are", "that many are, too many are"),
    ("so long is", "that long is"),
    ("at the most", "at most"),
    ("gives way", "yields"),
    ("give way", "yield"),
    ("a look", "a poll, a check, a read"),
    ("is looked at", "is checked, is read"),
    ("are looked at", "are checked, are read"),
    ("laid to rest", "deactivated"),
    ("as many as allowed", "limit reached"),
    ("is no more", "is gone"),
];

/// Text that is read: comments, messages, documents. Not data, vendored files or lock files.
const READ: [&str; 10] =
    ["*.rs", "*.md", "*.ts", "*.js", "*.py", "*.html", "*.json", "*.caddy", "*.yml", "*.css"];

fn files() -> Vec<String> {
    let listed = Command::new("git").arg("ls-files").args(READ).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "git ls-files failed");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let is_ours = |file: &&str| {
        !file.ends_with("house/english.rs")
            && !file.ends_with("package-lock.json")
            && !file.contains("swagger")
    };
    listed.lines().filter(is_ours).map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first phrase of the list in a line, as whole words.
fn found(line: &str) -> Option<(&'static str, &'static str)> {
    let line = line.to_lowercase();
    PLAIN.iter().copied().find(|(phrase, _)| {
        line.match_indices(phrase).any(|(at, _)| {
            let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let before = at.checked_sub(1).and_then(|before| line.as_bytes().get(before));
            !is_letter(before) && !is_letter(line.as_bytes().get(at + phrase.len()))
        })
    })
}

#[test]
fn text_is_in_plain_english() {
    let mut wrong = Vec::new();
    for file in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some((phrase, plain)) = found(line) {
                wrong.push(format!("{file}:{}: \"{phrase}\"; write: {plain}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn phrases_are_found_as_words() {
    assert!(found("Whoever comes first").is_some() && found("it is told.").is_some());
    assert!(found("it is toldable").is_none() && found("this told").is_none());
}
