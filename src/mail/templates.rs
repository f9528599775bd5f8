//! The text of mails: `<locale>/<kind>.{subject.txt,txt,html}` in Jinja, built in for `en` and `de`; files
//! of an operator's folder take precedence.
//!
//! Every template is rendered with samples when it is loaded. Values are escaped in HTML, a subject is one
//! line, an undefined value is an error, and a template that does not terminate is stopped.

use std::collections::BTreeSet;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use rust_embed::RustEmbed;
use serde_json::{Map, Value};

use super::samples;
use crate::config::is_locale;
use crate::domain::mail::MailKind;

/// Most steps that rendering one template may take.
const FUEL: u64 = 100_000;
/// Most characters of a subject.
const SUBJECT_MAX: usize = 200;
/// Largest template, in bytes.
const TEMPLATE_MAX: u64 = 256 * 1024;
/// The parts of a mail.
const PARTS: [&str; 3] = ["subject.txt", "txt", "html"];
/// The languages in which every kind is built in.
const BUILT_IN: [&str; 2] = ["en", "de"];

#[derive(RustEmbed)]
#[folder = "src/mail/templates"]
struct BuiltIn;

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is broken, or does not fit the values of its kind.
    #[error("mail template {name}: {}", said(.cause))]
    Broken {
        /// `<locale>/<kind>.<part>`.
        name: String,
        /// What is wrong with it.
        cause: minijinja::Error,
    },
    /// A language has one part of a kind and lacks another.
    #[error("mail template {0} is missing: a language that has one part of a kind must have all three")]
    Missing(String),
    /// The folder cannot be read.
    #[error("MAIL_TEMPLATES_DIR: {path}: {cause}")]
    Folder {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no template in the configured language.
    #[error("MAIL_LOCALE: there is no template in {0}")]
    NoSuchLocale(String),
}

/// The chain of causes in one line.
fn said(error: &minijinja::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        said = format!("{said}: {inner}");
        cause = inner.source();
    }
    said
}

/// A rendered mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The subject, one line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// All templates, checked with samples.
pub struct Templates {
    environment: Environment<'static>,
    /// The existing `<locale>/<kind>`.
    known: BTreeSet<String>,
    locale: String,
    service: String,
    app_url: String,
}

impl Templates {
    /// Loads the built-in templates, and those of the folder, which take precedence.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn load(
        folder: Option<&Path>,
        locale: &str,
        service: String,
        app_url: String,
    ) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        let (locale, known) = (locale.to_owned(), BTreeSet::new());
        let mut templates = Self { environment, known, locale, service, app_url };
        for name in BuiltIn::iter() {
            let file = BuiltIn::get(&name).map(|file| file.data.into_owned()).unwrap_or_default();
            templates.add(&name, String::from_utf8_lossy(&file).into_owned())?;
        }
        if let Some(folder) = folder {
            templates.add_folder(folder)?;
        }
        templates.check()?;
        Ok(templates)
    }

    /// What links in mails begin with.
    #[must_use]
    pub fn app_url(&self) -> &str {
        &self.app_url
    }

    /// Whether there are templates of any kind in that language.
    #[must_use]
    pub fn speaks(&self, locale: &str) -> bool {
        self.known.iter().any(|known| known.split_once('/').is_some_and(|(known, _)| known == locale))
    }

    /// Renders a mail in the first of these languages that exists: the wanted one, the same without its
    /// subtags, the configured one, English.
    ///
    /// # Errors
    /// [`TemplateError::Broken`], if the values differ from those of the samples.
    pub fn render(
        &self,
        kind: MailKind,
        locale: Option<&str>,
        to: &str,
        values: &Map<String, Value>,
    ) -> Result<Words, TemplateError> {
        let locale = self.choose(kind, locale);
        let mut all = values.clone();
        for (name, value) in [
            ("service", self.service.as_str()),
            ("app_url", self.app_url.as_str()),
            ("address", to),
            ("kind", kind.as_str()),
            ("locale", locale),
        ] {
            all.insert(name.to_owned(), value.into());
        }
        let all = minijinja::Value::from(Serde(&all));
        let [subject, text, html] = PARTS.map(|part| {
            let name = format!("{locale}/{}.{part}", kind.as_str());
            let rendered = self.environment.get_template(&name).and_then(|it| it.render(all.clone()));
            rendered.map_err(|cause| TemplateError::Broken { name, cause })
        });
        Ok(Words { subject: one_line(&subject?), text: text?, html: html? })
    }

    fn choose<'a>(&'a self, kind: MailKind, wanted: Option<&'a str>) -> &'a str {
        let has = |locale: &&str| self.known.contains(&format!("{locale}/{}", kind.as_str()));
        let locales = wanted.into_iter().chain([self.locale.as_str()]);
        locales.flat_map(|locale| [locale, language(locale)]).find(has).unwrap_or(BUILT_IN[0])
    }

    fn add(&mut self, name: &str, source: String) -> Result<(), TemplateError> {
        let broken = |cause| TemplateError::Broken { name: name.to_owned(), cause };
        self.environment.add_template_owned(name.to_owned(), source).map_err(broken)?;
        if let Some((locale, file)) = name.split_once('/')
            && let Some((kind, _)) = file.split_once('.')
            && MailKind::parse(kind).is_some()
        {
            self.known.insert(format!("{locale}/{kind}"));
        }
        Ok(())
    }

    /// Files at the folder's root can be extended or included; folders in it are languages.
    fn add_folder(&mut self, folder: &Path) -> Result<(), TemplateError> {
        for (name, path) in entries(folder)? {
            if path.is_dir() && is_locale(&name) {
                for (file, path) in entries(&path)? {
                    self.add(&format!("{name}/{file}"), read(&path)?)?;
                }
            } else if path.is_file() {
                self.add(&name, read(&path)?)?;
            }
        }
        Ok(())
    }

    /// Renders every template, with all values and with only the required ones.
    fn check(&self) -> Result<(), TemplateError> {
        if !self.speaks(&self.locale) && !self.speaks(language(&self.locale)) {
            return Err(TemplateError::NoSuchLocale(self.locale.clone()));
        }
        for known in &self.known {
            for part in PARTS {
                let name = format!("{known}.{part}");
                self.environment.get_template(&name).map_err(|_| TemplateError::Missing(name))?;
            }
            let (locale, kind) = known.split_once('/').unwrap_or_default();
            if let Some(kind) = MailKind::parse(kind) {
                for full in [true, false] {
                    self.render(kind, Some(locale), "ada@example.com", &samples::values(kind, full))?;
                }
            }
        }
        Ok(())
    }
}

/// Names and paths of a folder's entries, in order, except those that begin with a dot.
fn entries(folder: &Path) -> Result<Vec<(String, std::path::PathBuf)>, TemplateError> {
    let failed = |cause: std::io::Error| unreadable(folder, &cause);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|it| !it.starts_with('.'))
        {
            found.push((name.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, TemplateError> {
    let size = std::fs::metadata(path).map_err(|cause| unreadable(path, &cause))?.len();
    if size > TEMPLATE_MAX {
        return Err(unreadable(path, &format!("larger than {} KiB", TEMPLATE_MAX / 1024)));
    }
    std::fs::read_to_string(path).map_err(|cause| unreadable(path, &cause))
}

fn unreadable(path: &Path, cause: &impl ToString) -> TemplateError {
    TemplateError::Folder { path: path.display().to_string(), cause: cause.to_string() }
}

/// `pt` of `pt-BR`.
fn language(locale: &str) -> &str {
    locale.split_once('-').map_or(locale, |(language, _)| language)
}

/// Replaces each run of whitespace by one space, and removes control characters.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(SUBJECT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)], locale: &str) -> Result<Templates, TemplateError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Templates::load(Some(folder.path()), locale, "R&D".to_owned(), "https://app.example.com".to_owned())
    }

    fn words(templates: &Templates, locale: Option<&str>) -> Words {
        let values = samples::values(MailKind::PasswordReset, true);
        templates.render(MailKind::PasswordReset, locale, "ada@example.com", &values).unwrap()
    }

    #[test]
    fn every_kind_is_there_in_both_languages() {
        let templates = load(&[], "en").unwrap();
        for kind in MailKind::ALL {
            for locale in BUILT_IN {
                assert!(templates.known.contains(&format!("{locale}/{}", kind.as_str())));
                let values = samples::values(*kind, true);
                let words = templates.render(*kind, Some(locale), "a@example.com", &values).unwrap();
                assert!(
                    words.html.contains(&format!("<html lang=\"{locale}\">")) && !words.subject.is_empty()
                );
                for loaded in ["src=", "url(", "<link", "@import"] {
                    assert!(!words.html.contains(loaded), "{loaded} in {}", words.html);
                }
                // Mail programs make a link of what looks like one.
                let has_link = matches!(kind, MailKind::PasswordReset | MailKind::Invitation);
                for part in [&words.text, &words.html] {
                    assert_eq!(part.contains("https:"), has_link, "{}: {part}", kind.as_str());
                }
            }
        }
    }

    #[test]
    fn values_are_escaped_in_html_alone() {
        let words = words(&load(&[], "en").unwrap(), None);
        assert!(words.html.contains("R&amp;D") && !words.html.contains("R&D"), "{}", words.html);
        assert!(words.text.contains("R&D") && words.subject.contains("R&D"));
    }

    #[test]
    fn the_nearest_language_is_taken() {
        let own = [("fr/password_reset.subject.txt", "Sujet"), ("fr/password_reset.txt", "x")];
        let own = [own[0], own[1], ("fr/password_reset.html", "x")];
        let templates = load(&own, "de").unwrap();
        let subject = |locale| words(&templates, locale).subject;
        assert_eq!(subject(Some("fr-CA")), "Sujet");
        assert!(subject(Some("it")).starts_with("Neues Passwort") && subject(None).starts_with("Neues"));
        assert!(subject(Some("en")).starts_with("Set a new"));
        let templates = load(&own, "fr-CA").unwrap();
        assert_eq!(words(&templates, Some("it")).subject, "Sujet");
    }

    #[test]
    fn own_files_go_first_and_a_subject_is_one_line() {
        let templates = load(&[("en/password_reset.subject.txt", "A\r\n{{ code }}\u{7}\n B")], "en").unwrap();
        let words = words(&templates, Some("en"));
        assert_eq!(words.subject, "A 12345678 B");
        assert!(words.text.contains("12345678"));
    }

    #[test]
    fn a_broken_one_is_told_by_its_name() {
        for (name, text) in [
            ("en/password_reset.txt", "{{ kode }}"),
            ("en/password_reset.html", "{% if %}"),
            (
                "en/password_reset.txt",
                "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
            ),
            ("fr/password_reset.txt", "x"),
        ] {
            let told = load(&[(name, text)], "en").err().unwrap().to_string();
            let (locale, _) = name.split_once('/').unwrap();
            assert!(told.contains(&format!("{locale}/password_reset.")), "{told}");
        }
        assert!(matches!(load(&[], "fr"), Err(TemplateError::NoSuchLocale(_))));
    }
}
