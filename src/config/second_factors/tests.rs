//! Settings of second factors.

use super::super::tests::{parse, refused};
use super::*;

const SECRET: (&str, &str) = ("ENCRYPTION_SECRET", "1b7f4cc2a0de49f58e6d3b9271f0a8c4");

#[test]
fn off_without_a_secret_and_passkeys_without_a_site() {
    assert_eq!(parse(&[]).second_factors, SecondFactorConfig::default());
    let factors = parse(&[SECRET]).second_factors;
    assert!(factors.totp && factors.passkeys.is_none());
    assert!(parse(&[("WEBAUTHN_RP_ID", "example.com")]).second_factors.passkeys.is_none());
}

#[test]
fn the_site_is_that_of_the_app_and_covers_its_origins() {
    let vars =
        [SECRET, ("APP_URL", "https://app.example.com/x"), ("CORS_ORIGIN", "https://web.app.example.com")];
    let passkeys = parse(&vars).second_factors.passkeys.unwrap();
    assert_eq!(passkeys.rp_id, "app.example.com");
    assert_eq!(passkeys.origins, ["https://web.app.example.com", "https://app.example.com"]);
    assert!(!passkeys.reject_regressed_counter);
    let vars = [SECRET, ("WEBAUTHN_RP_ID", "LOCALHOST"), ("WEBAUTHN_ORIGINS", "http://localhost:3000")];
    let passkeys = parse(&vars).second_factors.passkeys.unwrap();
    assert_eq!(
        (passkeys.rp_id.as_str(), &passkeys.origins[..]),
        ("localhost", &["http://localhost:3000".to_owned()][..])
    );
}

#[test]
fn a_site_that_covers_not_every_origin_is_refused() {
    for (rp_id, origin) in [
        ("example.com", "https://example.org"),
        ("example.com", "https://badexample.com"),
        ("app.example.com", "https://example.com"),
        ("127.0.0.1", "http://127.0.0.1:3000"),
        ("https://example.com", "https://example.com"),
    ] {
        let vars = [SECRET, ("WEBAUTHN_RP_ID", rp_id), ("WEBAUTHN_ORIGINS", origin)];
        assert_eq!(refused(&vars), ["WEBAUTHN_RP_ID"], "{rp_id} {origin}");
    }
    let vars = [SECRET, ("WEBAUTHN_RP_ID", "example.com"), ("WEBAUTHN_ORIGINS", "example.com")];
    assert_eq!(refused(&vars), ["WEBAUTHN_ORIGINS"]);
}

#[test]
fn what_follows_from_settings_for_mail_never_keeps_the_service_from_starting() {
    let vars = [SECRET, ("APP_URL", "https://app.example.com"), ("CORS_ORIGIN", "https://other.example")];
    let config = parse(&vars);
    assert_eq!(config.second_factors.passkeys.unwrap().origins, ["https://app.example.com"]);
    assert!(config.warnings.iter().any(|warning| warning.contains("https://other.example")));
    assert!(parse(&[SECRET, ("APP_URL", "http://127.0.0.1:3000")]).second_factors.passkeys.is_none());
}

#[test]
fn roles_are_named_and_need_a_secret() {
    let roles = parse(&[SECRET, ("SECOND_FACTOR_ROLES", "admin, PRO,ADMIN")]).second_factors.roles;
    assert_eq!(roles, [Role::Admin, Role::Pro]);
    assert_eq!(refused(&[SECRET, ("SECOND_FACTOR_ROLES", "root")]), ["SECOND_FACTOR_ROLES"]);
    assert_eq!(refused(&[("SECOND_FACTOR_ROLES", "ADMIN")]), ["SECOND_FACTOR_ROLES"]);
    assert_eq!(refused(&[SECRET, ("PASSKEY_COUNTER", "ignore")]), ["PASSKEY_COUNTER"]);
}
