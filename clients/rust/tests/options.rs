//! What cannot be meant is refused where the verifier is made.

use auth_service_verifier::{OnUnsure, Options, Verifier};

const SECRET: &str = "access-secret-of-the-tests-0123456789abcdef";

/// What is said about the options; nothing if a verifier is made.
fn complaint(options: Options) -> Option<String> {
    let issuer = "auth-service".to_owned();
    Verifier::new(Options { issuer, on_unsure: OnUnsure::Accept, ..options })
        .err()
        .map(|error| error.to_string())
}

fn with_secret(options: Options) -> Options {
    Options { secrets: vec![SECRET.to_owned()], ..options }
}

fn with_secrets(texts: &[&str]) -> Options {
    Options { secrets: texts.iter().map(|&text| text.to_owned()).collect(), ..Options::default() }
}

/// The same address as each of the options, with the name of that option.
fn at(url: &str) -> [(&'static str, Options); 3] {
    let url = Some(url.to_owned());
    [
        ("service_url", with_secret(Options { service_url: url.clone(), ..Options::default() })),
        ("revocations_url", with_secret(Options { revocations_url: url.clone(), ..Options::default() })),
        ("jwks_url", Options { jwks_url: url, ..Options::default() }),
    ]
}

#[tokio::test]
async fn an_address_without_scheme_or_host_is_refused_and_the_option_named() {
    for url in [
        "localhost:4001",
        "auth-service",
        "",
        " ",
        "/",
        "//auth-service",
        "http:",
        "http:a",
        "http://",
        "http:///path",
        "https://:4001",
        "ftp://auth-service",
        "redis://a",
        "http://auth service",
        "http://a:65536",
        "${AUTH_URL}",
        "mailto:http://a",
    ] {
        for (option, options) in at(url) {
            let wanted = format!("{option} must begin with http:// or https:// and name a host");
            assert_eq!(complaint(options), Some(wanted), "{url:?}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_not_of_redis_is_refused_and_the_option_named() {
    for url in [
        "localhost:6379",
        "redis",
        "",
        " ",
        "redis:",
        "redis://",
        "redis:///1",
        "http://redis:6379",
        "redis://a b",
        "redis://:hunter2@a:b",
        "${REDIS_URL}",
    ] {
        let options = with_secret(Options { redis_url: Some(url.to_owned()), ..Options::default() });
        let wanted = "redis_url must begin with redis:// or rediss:// and name a host";
        assert_eq!(complaint(options).as_deref(), Some(wanted), "{url:?}");
    }
}

#[tokio::test]
async fn usual_addresses_are_taken() {
    let usual =
        ["http://auth-service:4001", "https://auth.example/base/", "HTTP://127.0.0.1", "http://[::1]:4001/"];
    for (option, options) in usual.into_iter().flat_map(at) {
        assert_eq!(complaint(options), None, "{option}");
    }
    for url in ["redis://127.0.0.1:1", "rediss://:password@127.0.0.1:1/2", "redis://user:password@[::1]:1"] {
        let options = with_secret(Options { redis_url: Some(url.to_owned()), ..Options::default() });
        assert_eq!(complaint(options), None, "{url}");
    }
}

#[tokio::test]
async fn a_placeholder_that_nobody_replaced_is_no_secret() {
    for text in [
        "${JWT_ACCESS_SECRET}",
        "$JWT_ACCESS_SECRET",
        "%JWT_ACCESS_SECRET%",
        "${THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE}",
        "$THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE",
        "%THE_JWT_ACCESS_SECRET_OF_THE_AUTH_SERVICE%",
    ] {
        let told = complaint(with_secrets(&[SECRET, text]));
        assert_eq!(told.as_deref(), Some("a secret is a variable that was not replaced"), "{text}");
    }
}

#[tokio::test]
async fn a_secret_that_is_empty_is_refused() {
    assert!(complaint(with_secrets(&[SECRET, ""])).is_some());
    for secret in ["a", "ä", "$$$$", "50% of ${this} and $that, or %those%"] {
        assert_eq!(complaint(with_secrets(&[secret])), None, "{secret}");
    }
}
