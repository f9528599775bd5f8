//! Links between documents lead to a file, and to a heading of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "*.md"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "git ls-files failed");
    String::from_utf8(listed.stdout).unwrap().lines().map(|file| root().join(file)).collect()
}

/// The text without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The names under which headings are found, as GitHub makes them.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    titles
        .map(|title| title.trim().to_lowercase().chars().filter(|c| kept(*c)).collect::<String>())
        .map(|title| title.replace(' ', "-"))
        .collect()
}

/// The target of each link, without a title.
fn targets(text: &str) -> Vec<&str> {
    let after = text.match_indices("](").map(|(at, open)| &text[at + open.len()..]);
    after.filter_map(|rest| rest.split([')', ' ']).next()).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = prose(&std::fs::read_to_string(&document).unwrap());
        for target in targets(&text) {
            if target.contains(':') {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { document.clone() } else { document.with_file_name(path) };
            let is_there = match heading {
                "" => file.exists(),
                _ => {
                    std::fs::read_to_string(&file).is_ok_and(|text| headings(&prose(&text)).contains(heading))
                }
            };
            if !is_there {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
