//! Tests of the configuration as a whole, and what the sections' own tests share.
//!
//! It must never touch the process environment or the checkout: variables come in a map, files go to a
//! temporary folder.

use std::collections::HashMap;

use super::variables::Kind;
use super::*;

pub(super) const ACCESS_SECRET: &str = "9f2c7a51e08b4d6633c1a0f5be7d2894";
pub(super) const REFRESH_SECRET: &str = "pV3kq9Zr1xW8mT5yB7nC2dF4gH6jL0sA";

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Parses with a data folder of its own if the test names none.
fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let mut vars = map(pairs);
    vars.entry("DATA_DIR".to_owned()).or_insert_with(|| folder.path().display().to_string());
    Config::parse(&vars)
}

pub(super) fn parse(pairs: &[(&str, &str)]) -> Config {
    read(pairs).unwrap()
}

pub(super) fn errors(pairs: &[(&str, &str)]) -> ConfigErrors {
    read(pairs).unwrap_err()
}

/// The variables that were refused, in order.
pub(super) fn refused(pairs: &[(&str, &str)]) -> Vec<&'static str> {
    errors(pairs).0.iter().map(|error| error.variable).collect()
}

/// What production needs, and then `pairs`.
pub(super) fn production<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("APP_ENV", "production"),
        ("JWT_ACCESS_SECRET", ACCESS_SECRET),
        ("JWT_REFRESH_SECRET", REFRESH_SECRET),
        ("DATABASE_URL", "sqlite:data/auth.db"),
    ];
    all.extend(pairs);
    all
}

#[test]
fn the_environment_has_two_names() {
    assert_eq!(parse(&[]).environment, Environment::Development);
    assert_eq!(parse(&[("NODE_ENV", "test")]).environment, Environment::Test);
    assert_eq!(parse(&[("APP_ENV", "staging"), ("NODE_ENV", "nonsense")]).environment, Environment::Staging);
    assert_eq!(refused(&[("NODE_ENV", "prod")]), ["NODE_ENV"]);
    assert!(parse(&production(&[])).environment.is_production());
}

#[test]
fn all_mistakes_are_told_at_once_one_a_line() {
    let pairs = production(&[
        ("JWT_REFRESH_SECRET", "hunter2"),
        ("PORT", "http"),
        ("CORS_ORIGIN", "*,nonsense"),
        ("REDIS_URL", "hunter2"),
        ("DATABASE_URL", "hunter2"),
        ("SESSION_TIMEOUT_MINUTES", "0"),
        ("BCRYPT_COST", "3"),
    ]);
    let told = errors(&pairs).to_string();
    assert_eq!(told.lines().count(), 8, "{told}");
    assert!(told.contains("PORT: got \"http\", wants a whole number from 0 to 65535"), "{told}");
    assert!(
        told.contains("JWT_REFRESH_SECRET: got a secret of 7 bytes, wants at least 32 random bytes"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn neither_debug_nor_the_listing_shows_a_secret() {
    let config = parse(&production(&[
        ("DATABASE_URL", "postgres://u:hunter2@h/d"),
        ("REDIS_URL", "redis://:hunter2@h"),
    ]));
    let told = format!("{config:?} {:?}", config.effective());
    for secret in ["hunter2", ACCESS_SECRET, REFRESH_SECRET] {
        assert!(!told.contains(secret), "{told}");
    }
    assert!(config.effective().contains(&("JWT_ACCESS_SECRET", "(32 bytes)".to_owned())));
    assert!(config.effective().contains(&("DATABASE_URL", "(24 bytes)".to_owned())));
}

#[test]
fn the_listing_has_every_variable_once_and_reads_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().display().to_string();
    let vars = [
        ("DATA_DIR", data_dir.as_str()),
        ("SESSION_TIMEOUT_MINUTES", "0.05"),
        ("SESSION_TIMEOUT_MINUTES_ADMIN", "1"),
        ("JWT_ACCESS_EXPIRY", "90s"),
        ("CORS_ORIGIN", "https://a.example,https://b.example"),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
        ("JWT_AUDIENCE", "api"),
    ];
    let config = parse(&vars);
    let listing = config.effective();
    let names = listing.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let all = declared::ALL.iter().filter(|variable| {
        let is_listed = variable.name == "SESSION_TIMEOUT_MINUTES_ADMIN" || variable.kind == Kind::Itself;
        is_listed && variable.setting.stands_for.is_none()
    });
    assert_eq!(names, all.map(|variable| variable.name).collect::<Vec<_>>());

    let secrets = ["JWT_ACCESS_SECRET", "JWT_REFRESH_SECRET"];
    let again = listing.iter().map(|(name, value)| (*name, value.as_str()));
    let again = parse(&again.filter(|(name, _)| !secrets.contains(name)).collect::<Vec<_>>());
    assert_eq!(again, config);
}

#[test]
fn unknown_variables_are_ignored() {
    assert!(read(&[("PORTT", "x"), ("JWT_SECRET", "y")]).is_ok());
}
