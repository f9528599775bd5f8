//! What is generated from the declarations for people to read: the example of a `.env` file, and, by a test,
//! the tables of docs/configuration.md and the compose file's list.
//!
//! It must never contain an effective value, only what is declared.

#[cfg(test)]
mod tests;

use super::declared::SECTIONS;
use super::setting::Setting;
use super::variables::Section;

/// Columns of a line.
const WIDTH: usize = 119;

const HEAD: &str = "\
# Settings of the auth service, each commented out with its default: copy to .env and change what you need. A name without
# a value is not set by default, or its comment tells its default. An empty value counts as not set. Variables of the
# process count before this file. Values are taken as they stand: no $ is expanded. Quote a value with blanks, # or quotes.
#
# A secret may also come from a file: NAME_FILE names it in place of NAME, and one line end at its end is dropped.
";

/// Every setting, commented out, with its default: the content of `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let sections = SECTIONS.iter().map(section);
    std::iter::once(HEAD.to_owned()).chain(sections).collect::<Vec<_>>().join("\n")
}

fn section(section: &Section) -> String {
    let heading = format!("# --- {} ", section.title);
    section
        .settings
        .iter()
        .map(setting)
        .fold(format!("{heading:-<WIDTH$}\n"), |text, setting| text + &setting)
}

fn setting(setting: &Setting) -> String {
    let (value, default) = setting.default_text();
    let mut words = format!("{} {}: {}.", setting.help, capital(setting.form_name()), setting.accepts());
    if let Some(default) = default {
        words += &format!(" Default: {default}.");
    }
    if setting.by_role {
        words += &format!(" Also for a role: {}_ADMIN and so on.", setting.name);
    }
    let comment = wrapped(&words.replace('`', ""));
    format!("{comment}#{}={value}\n", setting.name)
}

/// The text as lines of a comment.
fn wrapped(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| line.chars().count() + 1 + word.chars().count() > WIDTH) {
            lines.push("#".to_owned());
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
