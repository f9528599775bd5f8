//! Mistyped names of settings, and names of other programs.

use super::super::declared::ALL;
use super::super::tests::parse;
use super::*;

#[test]
fn a_mistyped_name_is_warned_about_with_the_right_one() {
    for (name, meant) in [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("database_url", "DATABASE_URL"),
        ("DATABASEURL", "DATABASE_URL"),
        ("JWT_ACESS_SECRET", "JWT_ACCESS_SECRET"),
        ("JWT_REFRESH_SECERT", "JWT_REFRESH_SECRET"),
        ("RATE_LIMIT_SIGNUP_PER_MINUTE", "RATE_LIMIT_SIGNUP_PER_HOUR"),
        ("SESSION_TIMEOUT", "SESSION_TIMEOUT_MINUTES"),
        ("SESSION_TIMEOUT_SECONDS", "SESSION_TIMEOUT_MINUTES"),
        ("SESSION_LIFETIME_DAYS", "SESSION_LIFETIME_HOURS"),
        ("SESSION_TIMEOUT_MINUTES_ADMN", "SESSION_TIMEOUT_MINUTES_ADMIN"),
        ("CORS_ORIGINS", "CORS_ORIGIN"),
        ("REDIS_URL_FIEL", "REDIS_URL_FILE"),
    ] {
        assert_eq!(nearest(&ALL, name), Some(meant), "{name}");
    }
    let warnings = parse(&[("DATABSE_URL", "postgres://u:hunter2@h/d")]).warnings.join("\n");
    assert!(warnings.contains("DATABSE_URL is set") && warnings.contains("did you mean DATABASE_URL?"));
    assert!(!warnings.contains("hunter2"), "{warnings}");
}

#[test]
fn names_of_other_programs_are_left_alone() {
    for name in [
        "PATH",
        "HOME",
        "HOSTNAME",
        "HOSTS",
        "PORTS",
        "SHELL",
        "LANG",
        "USER",
        "TERM",
        "PWD",
        "NODE_OPTIONS",
        "NODE_PATH",
        "RUST_BACKTRACE",
        "CARGO_HOME",
        "POSTGRES_PASSWORD",
        "POSTGRES_URL",
        "LEGACY_DATABASE_URL",
        "LEGACY_UPSTREAMS",
        "AUTH_MOVE",
        "AUTH_PERCENT",
        "AUTH_AFFINITY",
        "OTEL_TRACES_EXPORTER",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "LOGNAME",
        "TEST_REDIS_URL",
        "PGHOST",
        "PGPASSWORD",
        "REDIS_HOST",
        "SESSION_MANAGER",
        "DATABASE_HOST",
        "JWT_SECRET",
        "LC_ALL",
        "COMPOSE_FILE",
        "KUBERNETES_PORT",
        "XDG_SESSION_ID",
        "XDG_SESSION_TYPE",
        "SSH_CONNECTION",
        "http_proxy",
        "ÄÄÄÄÄÄÄ",
    ] {
        assert_eq!(nearest(&ALL, name), None, "{name}");
    }
}

#[test]
fn every_known_name_is_no_near_miss() {
    let known = ALL.names().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(warnings(&ALL, known.iter()), Vec::<String>::new());
}
