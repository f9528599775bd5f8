//! How tokens are signed and how long they live.
//!
//! It must never read a key file: loading the keys reports one that cannot be opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::setting::{Form, Preset, Setting, Unit};
use super::source::Source;
use super::{Environment, Secret, token_secrets};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("JWT_ISSUER", Form::Text, Preset::Told("`SERVICE_NAME`"), "The tokens' `iss` claim."),
    Setting::new("JWT_AUDIENCE", Form::Text, Preset::Unset, "The tokens' `aud` claim."),
    Setting::new(
        "JWT_ALGORITHM",
        Form::Word(&["HS256", "EdDSA", "ES256", "RS256"]),
        Preset::Value("HS256"),
        "How access tokens are signed.",
    )
    .note("all but `HS256` need `JWT_PRIVATE_KEY_FILE`"),
    Setting::new(
        token_secrets::ACCESS,
        token_secrets::FORM,
        Preset::Told("made at random outside production"),
        "Signs access tokens with `HS256` (`openssl rand -hex 32`). Not used with another algorithm.",
    )
    .secret(),
    Setting::new(
        token_secrets::REFRESH,
        token_secrets::FORM,
        Preset::Told("made at random outside production"),
        "Signs refresh tokens, and tickets for event connections.",
    )
    .note("not the same as `JWT_ACCESS_SECRET`")
    .secret(),
    Setting::new(
        token_secrets::PREVIOUS_ACCESS,
        token_secrets::LIST,
        Preset::Unset,
        "Secrets that no longer sign access tokens, or not yet, and whose tokens are valid. Not used with \
         another algorithm than `HS256`.",
    )
    .note("none that is for refresh tokens too")
    .secret(),
    Setting::new(
        token_secrets::PREVIOUS_REFRESH,
        token_secrets::LIST,
        Preset::Unset,
        "Secrets that no longer sign refresh tokens, or not yet, and whose tokens are valid.",
    )
    .note("none that is for access tokens too")
    .secret(),
    Setting::new(
        "JWT_PRIVATE_KEY_FILE",
        Form::Other("file", "needed with any algorithm but `HS256`; a file that can be read and fits"),
        Preset::Unset,
        "PKCS#8 PEM file of the private key that signs access tokens.",
    ),
    Setting::new(
        "JWT_PREVIOUS_KEY_FILES",
        Form::Other("list", "files that can be read and fit the algorithm"),
        Preset::Unset,
        "PEM files of retired private keys whose tokens stay valid.",
    ),
    Setting::new(
        "JWT_ACCESS_EXPIRY",
        Form::Duration("1s", "30d"),
        Preset::Value("15m"),
        "How long an access token is valid.",
    ),
    Setting::new(
        "JWT_REFRESH_EXPIRY",
        Form::Duration("1s", "3650d"),
        Preset::Value("7d"),
        "How long a refresh token is valid.",
    )
    .note("not longer than the access token's is warned about"),
    Setting::new(
        "REFRESH_REUSE_GRACE_SECONDS",
        Form::Decimal(Unit::Seconds, 0.0, 300.0),
        Preset::Value("10"),
        "How long after a rotation the token just replaced is answered with the current one.",
    ),
];

/// The configuration of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenConfig {
    /// The issuer, the `iss` claim.
    pub issuer: String,
    /// The client they are issued to, the `client_id` claim: the service itself (RFC 9068 requires one).
    pub client_id: String,
    /// The audience, the `aud` claim, if any.
    pub audience: Option<String>,
    /// How access tokens are signed.
    pub algorithm: JwtAlgorithm,
    /// Signs access tokens with HS256; may be empty with any other algorithm, which does not use it.
    pub access_secret: Secret,
    /// Signs refresh tokens and tickets.
    pub refresh_secret: Secret,
    /// Secrets that no longer sign access tokens, or do not yet, but whose tokens are valid. Empty with any
    /// algorithm but HS256.
    pub previous_access_secrets: Vec<Secret>,
    /// The same for refresh tokens and tickets.
    pub previous_refresh_secrets: Vec<Secret>,
    /// PEM file that signs access tokens; present with any algorithm but HS256.
    pub private_key_file: Option<PathBuf>,
    /// PEM files of keys retired from signing, whose tokens are still valid.
    pub previous_key_files: Vec<PathBuf>,
    /// How long an access token is valid.
    pub access_expiry: Duration,
    /// How long a refresh token is valid.
    pub refresh_expiry: Duration,
    /// How long after a rotation the previous refresh token may be presented again.
    pub refresh_reuse_grace: Duration,
}

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// HMAC with a shared secret.
    HS256,
    /// Ed25519.
    EdDSA,
    /// ECDSA on P-256.
    ES256,
    /// RSA, PKCS#1 v1.5.
    RS256,
}

impl JwtAlgorithm {
    const NAMES: &[(&str, JwtAlgorithm)] = &[
        ("HS256", JwtAlgorithm::HS256),
        ("EdDSA", JwtAlgorithm::EdDSA),
        ("ES256", JwtAlgorithm::ES256),
        ("RS256", JwtAlgorithm::RS256),
    ];

    /// Whether others can verify without being able to sign.
    #[must_use]
    pub fn is_asymmetric(self) -> bool {
        self != JwtAlgorithm::HS256
    }
}

impl TokenConfig {
    pub(super) fn parse(
        source: &mut Source<'_>,
        environment: Environment,
        service_name: &str,
        data_dir: &Path,
    ) -> Self {
        let algorithm = source.choice("JWT_ALGORITHM", JwtAlgorithm::NAMES);
        let private_key_file = private_key_file(source, algorithm);
        let access_expiry = source.duration("JWT_ACCESS_EXPIRY");
        let refresh_expiry = source.duration("JWT_REFRESH_EXPIRY");
        if refresh_expiry <= access_expiry {
            source.warn(
                "JWT_REFRESH_EXPIRY is not longer than JWT_ACCESS_EXPIRY: refresh tokens are of no use",
            );
        }
        let (previous_access_secrets, previous_refresh_secrets) =
            token_secrets::previous(source, environment, algorithm);
        let mut config = TokenConfig {
            issuer: source.text_or("JWT_ISSUER", service_name),
            audience: source.optional_text("JWT_AUDIENCE"),
            client_id: service_name.to_owned(),
            algorithm,
            access_secret: Secret::new(""),
            refresh_secret: Secret::new(""),
            previous_access_secrets,
            previous_refresh_secrets,
            private_key_file,
            previous_key_files: previous_key_files(source),
            access_expiry,
            refresh_expiry,
            refresh_reuse_grace: source.decimal("REFRESH_REUSE_GRACE_SECONDS"),
        };
        // Last, because it may write to disk, which it does only if there are no errors so far.
        (config.access_secret, config.refresh_secret) =
            token_secrets::resolve(source, environment, algorithm, data_dir);
        config
    }
}

fn private_key_file(source: &mut Source<'_>, algorithm: JwtAlgorithm) -> Option<PathBuf> {
    let file = source.path("JWT_PRIVATE_KEY_FILE");
    if algorithm.is_asymmetric() && file.is_none() {
        let wants = format!("the PEM file of the private key that JWT_ALGORITHM={algorithm:?} signs with");
        source.refuse_missing("JWT_PRIVATE_KEY_FILE", wants);
    } else if !algorithm.is_asymmetric() && file.is_some() {
        source.warn("JWT_PRIVATE_KEY_FILE is set, but not used with JWT_ALGORITHM=HS256");
    }
    file
}

fn previous_key_files(source: &mut Source<'_>) -> Vec<PathBuf> {
    let files = source.list("JWT_PREVIOUS_KEY_FILES");
    source.list_value("JWT_PREVIOUS_KEY_FILES", files.join(","));
    files.into_iter().map(PathBuf::from).collect()
}

#[cfg(test)]
const fn days(number: u64) -> Duration {
    Duration::from_secs(number * 86_400)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, refused};
    use super::*;

    #[test]
    fn defaults() {
        let tokens = parse(&[("SERVICE_NAME", "auth-eu")]).tokens;
        assert_eq!((tokens.issuer.as_str(), &tokens.audience), ("auth-eu", &None));
        assert_eq!(tokens.algorithm, JwtAlgorithm::HS256);
        assert_eq!((tokens.access_expiry, tokens.refresh_expiry), (Duration::from_secs(900), days(7)));
        assert_eq!(tokens.refresh_reuse_grace, Duration::from_secs(10));
    }

    #[test]
    fn expiries_carry_their_unit() {
        assert_eq!(parse(&[("JWT_ACCESS_EXPIRY", "1h 30m")]).tokens.access_expiry, Duration::from_secs(5400));
        assert_eq!(parse(&[("JWT_ACCESS_EXPIRY", "1s")]).tokens.access_expiry, Duration::from_secs(1));
        assert_eq!(parse(&[("JWT_ACCESS_EXPIRY", "30d")]).tokens.access_expiry, days(30));
        for value in ["900", "0s", "500ms", "1500ms", "31d", "soon", "-5m"] {
            assert_eq!(refused(&[("JWT_ACCESS_EXPIRY", value)]), ["JWT_ACCESS_EXPIRY"], "{value}");
        }
    }

    #[test]
    fn a_refresh_token_that_never_helps_is_only_warned_of() {
        let config = parse(&[("JWT_REFRESH_EXPIRY", "5s")]);
        assert!(config.warnings.iter().any(|warning| warning.starts_with("JWT_REFRESH_EXPIRY")));
    }

    #[test]
    fn asymmetric_keys_come_from_files() {
        let tokens = parse(&[
            ("JWT_ALGORITHM", "eddsa"),
            ("JWT_PRIVATE_KEY_FILE", "/run/key.pem"),
            ("JWT_PREVIOUS_KEY_FILES", "/run/old.pem, /run/older.pem"),
        ])
        .tokens;
        assert_eq!(tokens.algorithm, JwtAlgorithm::EdDSA);
        assert_eq!(tokens.private_key_file, Some("/run/key.pem".into()));
        assert_eq!(tokens.previous_key_files, [PathBuf::from("/run/old.pem"), "/run/older.pem".into()]);
        assert!(tokens.access_secret.expose().is_empty());
        assert_eq!(refused(&[("JWT_ALGORITHM", "ES256")]), ["JWT_PRIVATE_KEY_FILE"]);
        assert_eq!(refused(&[("JWT_ALGORITHM", "none")]), ["JWT_ALGORITHM"]);
    }
}
