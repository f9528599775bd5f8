//! One form for each address.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn parsed(text: &str) -> Result<String, FieldProblem> {
    Email::parse(text).map(|email| email.as_str().to_owned())
}

#[test]
fn an_address_is_trimmed_and_in_lower_case() {
    assert_eq!(parsed("  Ada@Example.COM "), Ok("ada@example.com".into()));
}

#[test]
fn what_is_no_address_is_refused() {
    for text in
        ["   ", "ada", "a\0b@example.com", "@example.com", "ada@", "a@b@c.example", "\u{17f}@example.com"]
    {
        assert_eq!(parsed(text), Err(FieldProblem::Invalid), "{text}");
    }
    assert_eq!(parsed(&format!("{}@example.com", "a".repeat(250))), Err(FieldProblem::TooLong));
    for domain in ["xn--a", "xn--zzzzzzzz", "exa mple.com", "a..example", "-a.example", "exam\u{200b}ple.com"]
    {
        assert_eq!(parsed(&format!("ada@{domain}")), Err(FieldProblem::Invalid), "{domain}");
    }
}

#[test]
fn all_spellings_of_a_domain_are_one_address() {
    for (spellings, address) in [
        (
            vec![
                "ada@bücher.example",
                "Ada@BÜCHER.example",
                "ada@xn--bcher-kva.example",
                "ada@XN--BCHER-KVA.EXAMPLE",
                // The two dots over the u are a character of their own.
                "ada@bu\u{308}cher.example",
                "ada@bücher\u{3002}example",
            ],
            "ada@xn--bcher-kva.example",
        ),
        // Non-transitional: a sharp s is preserved.
        (vec!["ada@straße.example", "ada@xn--strae-oqa.example"], "ada@xn--strae-oqa.example"),
        (vec!["ada@ｅxample.com", "ada@example.com"], "ada@example.com"),
        (vec!["ada@пример.рф"], "ada@xn--e1afmkfd.xn--p1ai"),
        // A Persian word with the joiner that it is written with.
        (vec!["ada@نامه\u{200c}ای.example"], "ada@xn--mgba3gch31f060k.example"),
    ] {
        for spelling in spellings {
            assert_eq!(parsed(spelling), Ok(address.into()), "{spelling}");
            assert_eq!(Email::lookup_key(spelling), address, "{spelling}");
        }
    }
    assert_ne!(parsed("ada@strasse.example"), parsed("ada@straße.example"));
}

#[test]
fn an_address_that_was_stored_before_is_still_found() {
    let old = "ada@exam\u{200b}ple.com";
    assert_eq!(Email::lookup_key(&format!(" {} ", old.to_uppercase())), old);
}

const INVISIBLE: [char; 9] = [
    '\u{200b}',
    '\u{200e}',
    '\u{202e}',
    '\u{2066}',
    '\u{ad}',
    '\u{feff}',
    '\u{3164}',
    '\u{e0041}',
    '\u{2060}',
];

proptest! {
    #[test]
    fn an_address_is_its_own_form(text in "[a-zA-Zéß.@ ]{0,4}@(bücher|Straße|пример|例え|xn--bcher-kva|a-b)\\.(example|рф|COM)") {
        if let Ok(email) = Email::parse(&text) {
            prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
            prop_assert_eq!(Email::lookup_key(email.as_str()), email.as_str());
            prop_assert_eq!(Email::lookup_key(&text), email.as_str());
            prop_assert!(email.as_str().is_ascii());
        }
    }

    /// As a person types it, and as browsers send it.
    #[test]
    fn a_domain_and_its_ascii_form_are_one(label in "[a-zäöüéèßñçøåàçабвгдеж]{1,20}") {
        let typed = format!("ada@{label}.example");
        let sent = idna::domain_to_ascii(&format!("{label}.example")).map(|domain| format!("ada@{domain}"));
        if let (Ok(typed), Ok(sent)) = (Email::parse(&typed), sent) {
            prop_assert_eq!(Email::parse(&sent), Ok(typed));
        }
    }

    #[test]
    fn nothing_invisible_is_in_an_address(at in 0..16_usize, hidden in select(&INVISIBLE[..])) {
        let mut address: Vec<char> = "ada@example.com".chars().collect();
        address.insert(at.min(address.len()), hidden);
        let address: String = address.into_iter().collect();
        prop_assert_eq!(Email::parse(&address), Err(FieldProblem::Invalid));
    }
}
