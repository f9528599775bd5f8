//! `DATABASE_URL` in the forms that other tools know.

use super::super::tests::{errors, parse, production, refused};
use super::*;

#[test]
fn addresses() {
    for (url, path) in [
        ("sqlite:x.db", "x.db"),
        ("sqlite://x/y.db", "x/y.db"),
        ("sqlite:///var/auth.db?mode=rwc", "/var/auth.db"),
    ] {
        let expected = DatabaseLocation::Sqlite { path: path.into() };
        assert_eq!(parse(&[("DATABASE_URL", url)]).database.location, expected, "{url}");
    }
    for url in [
        "postgres://u:p@h/d",
        "postgresql:///d?host=/run/postgresql",
        "postgres://u:p@/d?host=/run/postgresql",
        "postgres://u:p@[::1]:5433/d",
        "postgres://u:p@a,b:5433/d?target_session_attrs=read-write",
    ] {
        let expected = DatabaseLocation::Postgres { url: Secret::new(url) };
        assert_eq!(parse(&[("DATABASE_URL", url)]).database.location, expected, "{url}");
    }
}

#[test]
fn without_one_it_is_a_file_in_the_data_folder() {
    let config = parse(&[]);
    let path = config.data_dir.join("auth.db");
    assert_eq!(config.database.location, DatabaseLocation::Sqlite { path });
}

#[test]
fn production_must_be_given_one() {
    assert_eq!(refused(&production(&[("DATABASE_URL", "")])), ["DATABASE_URL"]);
    let told = errors(&production(&[("DATABASE_URL", ""), ("DATABSE_URL", "postgres://h/d")])).to_string();
    assert!(
        told.starts_with("DATABASE_URL: got nothing, but DATABSE_URL is set, wants postgres://"),
        "{told}"
    );
    let path = "/var/lib/auth.db".into();
    let location = parse(&production(&[("DATABASE_URL", "sqlite:/var/lib/auth.db")])).database.location;
    assert_eq!(location, DatabaseLocation::Sqlite { path });
}

#[test]
fn a_refused_address_is_not_shown() {
    for url in [
        "mysql://u:hunter2@h/d",
        "hunter2",
        "sqlite::memory:",
        "sqlite:",
        "postgres:hunter2",
        "sqlite:a?mode=ro",
        "postgres://u:hunter2@h:99999/d",
        "postgres://u:hunter2@h/d?sslmode=bogus",
    ] {
        let told = errors(&[("DATABASE_URL", url)]).to_string();
        assert!(told.starts_with(&format!("DATABASE_URL: got a secret of {} bytes, ", url.len())), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
