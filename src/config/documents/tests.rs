//! The documents match the declarations: each is generated again and compared. `UPDATE_DOCUMENTS=1 cargo test
//! --lib documents` writes them.

use std::collections::HashMap;
use std::path::Path;

use super::super::Config;
use super::super::declared::SECTIONS;
use super::super::setting::{Preset, Setting};
use super::super::variables::{Section, variables_of};
use super::env_example;

/// Compares a file of the repository with what it should be, or updates it.
fn check(path: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "UPDATE_DOCUMENTS=1 cargo test --lib documents; {path:?}: {differs:?}");
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The text, with what is between the two marks replaced by `inner`.
fn replaced(text: &str, begin: &str, end: &str, inner: &str) -> String {
    let (head, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{begin} is not there"));
    let (_, tail) = rest.split_once(end).unwrap_or_else(|| panic!("{end} is not there"));
    format!("{head}{begin}{inner}{end}{tail}")
}

#[test]
fn the_example_of_a_file_is_up_to_date_and_gives_the_defaults() {
    check(".env.example", &env_example());

    let folder = tempfile::tempdir().unwrap();
    let data_dir = [("DATA_DIR".to_owned(), folder.path().display().to_string())];
    let lines = env_example();
    let given = lines.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let given = given.filter(|(name, _)| !name.contains(' ')).chain(data_dir.clone());
    assert_eq!(Config::parse(&given.collect()), Config::parse(&HashMap::from(data_dir)));
}

#[test]
fn the_tables_of_the_documentation_are_up_to_date() {
    let mut text = read("docs/configuration.md");
    for section in SECTIONS {
        let begin = format!("<!-- settings: {} -->\n", section.title);
        text = replaced(&text, &begin, "<!-- end of settings -->", &table(section));
    }
    check("docs/configuration.md", &text);
}

fn table(section: &Section) -> String {
    let head = "| variable | form | default | what | accepted |\n| --- | --- | --- | --- | --- |\n";
    section.settings.iter().fold(head.to_owned(), |table, setting| table + &row(setting))
}

fn row(setting: &Setting) -> String {
    let default = match setting.preset {
        Preset::Value(value) => format!("`{value}`"),
        Preset::Told(words) => words.to_owned(),
        Preset::Unset => if setting.stands_for.is_some() { "–" } else { "none" }.to_owned(),
    };
    let by_role = if setting.by_role { " Also by role." } else { "" };
    format!(
        "| `{}` | {} | {default} | {}{by_role} | {} |\n",
        setting.name,
        setting.form_name(),
        setting.help,
        setting.accepts()
    )
}

#[test]
fn the_compose_file_hands_on_every_setting_that_it_does_not_decide() {
    const BEGIN: &str =
        "      # Handed on where they are set; this list is made of the declarations in src/config.\n";
    const END: &str = "    expose:\n";
    let text = read("docker-compose.yml");
    let (decided, _) = text.split_once(BEGIN).unwrap();
    let is_decided = |setting: &&Setting| decided.contains(&format!("\n      {}:", setting.name));
    let settings = SECTIONS.iter().flat_map(|section| section.settings);
    let handed_on = settings.filter(|setting| !is_decided(setting) && setting.stands_for.is_none());
    let list = handed_on
        .flat_map(variables_of)
        .map(|variable| format!("      {}:\n", variable.name))
        .collect::<String>();
    check("docker-compose.yml", &replaced(&text, BEGIN, END, &list));
}
