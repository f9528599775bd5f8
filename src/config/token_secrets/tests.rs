//! Secrets and keys as they are configured.

use super::super::tests::{ACCESS_SECRET, REFRESH_SECRET, errors, parse, production, refused};
use super::*;

#[test]
fn production_refuses_what_is_missing_short_equal_or_known() {
    let bare = [("APP_ENV", "production"), ("DATABASE_URL", "sqlite:auth.db")];
    assert_eq!(refused(&bare), [ACCESS, REFRESH]);
    let known = "your-secret-key-your-secret-key-1234";
    for (value, wants) in
        [("hunter2-hunter2", "at least 32"), (known, "well-known"), (ACCESS_SECRET, "another one")]
    {
        let told = errors(&production(&[(REFRESH, value)])).to_string();
        assert!(told.starts_with(&format!("{REFRESH}: got a secret of {} bytes", value.len())), "{told}");
        assert!(told.contains(wants) && !told.contains(value), "{told}");
    }
}

#[test]
fn staging_only_warns() {
    let config = parse(&[("APP_ENV", "staging"), (ACCESS, "short"), (REFRESH, "short")]);
    assert_eq!(config.tokens.access_secret.expose(), "short");
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
    assert!(config.warnings.iter().all(|warning| warning.contains("5 bytes")));
}

#[test]
fn previous_ones_are_listed_and_checked_like_those_that_sign() {
    const OLD: &str = "6b1f0c93d7e24a85b03f9c61e8d47a52";
    const OLDER: &str = "c2Vzc2lvbi1rZXktb2YtdGhlLXRlc3RzIQ+/xQ==";
    let tokens = parse(&production(&[(PREVIOUS_REFRESH, &format!("{OLD}, {OLDER}"))])).tokens;
    assert_eq!(tokens.previous_refresh_secrets, [OLD, OLDER].map(Secret::new));
    let told = errors(&production(&[(PREVIOUS_ACCESS, &format!("{OLD},hunter2"))])).to_string();
    assert!(told.starts_with(&format!("{PREVIOUS_ACCESS}: got a secret of 7 bytes")), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    for both in [
        [(PREVIOUS_ACCESS, REFRESH_SECRET), (PREVIOUS_REFRESH, OLD)],
        [(PREVIOUS_ACCESS, OLD), (PREVIOUS_REFRESH, ACCESS_SECRET)],
        [(PREVIOUS_ACCESS, OLD), (PREVIOUS_REFRESH, OLD)],
    ] {
        assert_eq!(errors(&production(&both)).0.len(), 1, "{both:?}");
    }
}

#[test]
fn blanks_and_line_ends_at_the_ends_are_part_of_a_secret_and_warned_about() {
    let with_line_end = format!("{ACCESS_SECRET}\n");
    let config = parse(&production(&[(ACCESS, &with_line_end)]));
    assert_eq!(config.tokens.access_secret.expose(), with_line_end);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].starts_with(&format!(
        "{ACCESS} begins or ends with blanks or a line end: of its 33 bytes 1 are those"
    )));
    assert!(!config.warnings[0].contains(ACCESS_SECRET));
    let config = parse(&production(&[(REFRESH, &format!(" {REFRESH_SECRET}\r\n"))]));
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].starts_with(REFRESH), "{:?}", config.warnings);
    // In a list they separate.
    let previous = [(PREVIOUS_ACCESS, "6b1f0c93d7e24a85b03f9c61e8d47a52\n")];
    let config = parse(&production(&previous));
    let listed = config.tokens.previous_access_secrets;
    assert_eq!(listed, [Secret::new("6b1f0c93d7e24a85b03f9c61e8d47a52")]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn missing_ones_are_made_kept_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let vars = [("DATA_DIR", data_dir.to_str().unwrap())];
    let (first, second) = (parse(&vars), parse(&vars));
    assert_eq!(first, second);
    assert_ne!(first.tokens.access_secret, first.tokens.refresh_secret);
    assert_eq!(first.tokens.access_secret.expose().len(), 64);
    let warning = first.warnings.join("\n");
    assert!(warning.contains("JWT_ACCESS_SECRET and JWT_REFRESH_SECRET not set"), "{warning}");
    assert!(!warning.contains(first.tokens.access_secret.expose()));
}

#[test]
fn nothing_is_written_when_something_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    assert_eq!(refused(&[("DATA_DIR", data_dir.to_str().unwrap()), ("PORT", "x")]), ["PORT"]);
    assert!(!data_dir.exists());
}

#[test]
fn a_folder_that_cannot_be_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("data");
    assert_eq!(refused(&[("DATA_DIR", inside.to_str().unwrap())]), ["DATA_DIR"]);
}

#[test]
fn asymmetric_signing_needs_no_access_secret() {
    let vars = production(&[(ACCESS, ""), ("JWT_ALGORITHM", "EdDSA"), ("JWT_PRIVATE_KEY_FILE", "k.pem")]);
    assert!(parse(&vars).warnings.is_empty());
}
