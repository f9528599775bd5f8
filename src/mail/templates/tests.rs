//! Templates: the built-in ones, and those of an operator.

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
            assert!(words.html.contains(&format!("<html lang=\"{locale}\">")) && !words.subject.is_empty());
            for loaded in ["src=", "url(", "<link", "@import"] {
                assert!(!words.html.contains(loaded), "{loaded} in {}", words.html);
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
