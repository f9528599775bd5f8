//! How tokens are signed and how long they live.
//!
//! It must never read a key file: whether one can be opened is told where keys are loaded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::source::{Listing, Source, Unit};
use super::{Environment, Secret, token_secrets};

/// The tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenConfig {
    /// Who signs, the `iss` claim.
    pub issuer: String,
    /// For whom, the `aud` claim, if any.
    pub audience: Option<String>,
    /// How access tokens are signed.
    pub algorithm: JwtAlgorithm,
    /// Signs access tokens with HS256; may be empty with any other algorithm, which has no use for it.
    pub access_secret: Secret,
    /// Signs refresh tokens and tickets.
    pub refresh_secret: Secret,
    /// Secrets that sign no access tokens any more, or not yet, and whose tokens are good. None with any algorithm but HS256.
    pub previous_access_secrets: Vec<Secret>,
    /// The same for refresh tokens and tickets.
    pub previous_refresh_secrets: Vec<Secret>,
    /// PEM file that signs access tokens; present with any algorithm but HS256.
    pub private_key_file: Option<PathBuf>,
    /// PEM files of keys retired from signing, whose tokens are still good.
    pub previous_key_files: Vec<PathBuf>,
    /// An access token is good for so long.
    pub access_expiry: Duration,
    /// A refresh token is good for so long.
    pub refresh_expiry: Duration,
    /// The refresh token before the current one may come again within so long of the rotation.
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
        let algorithm = source.choice("JWT_ALGORITHM", JwtAlgorithm::HS256, JwtAlgorithm::NAMES);
        let private_key_file = private_key_file(source, algorithm);
        let access_expiry = expiry(source, "JWT_ACCESS_EXPIRY", Duration::from_secs(900), 30);
        let refresh_expiry = expiry(source, "JWT_REFRESH_EXPIRY", days(7), 3650);
        if refresh_expiry <= access_expiry {
            source.warn(
                "JWT_REFRESH_EXPIRY is not longer than JWT_ACCESS_EXPIRY: refresh tokens are of no use",
            );
        }
        let (previous_access_secrets, previous_refresh_secrets) =
            token_secrets::previous(source, environment, algorithm);
        let mut config = TokenConfig {
            issuer: source.text_or("JWT_ISSUER", service_name),
            audience: Some(source.text_or("JWT_AUDIENCE", "")).filter(|audience| !audience.is_empty()),
            algorithm,
            access_secret: Secret::new(""),
            refresh_secret: Secret::new(""),
            previous_access_secrets,
            previous_refresh_secrets,
            private_key_file,
            previous_key_files: source
                .list("JWT_PREVIOUS_KEY_FILES")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            access_expiry,
            refresh_expiry,
            refresh_reuse_grace: source.decimal(
                "REFRESH_REUSE_GRACE_SECONDS",
                Unit::Seconds,
                10.0,
                0.0..=300.0,
            ),
        };
        // Last, because it may write to disk, which it does only while nothing is wrong.
        (config.access_secret, config.refresh_secret) =
            token_secrets::resolve(source, environment, algorithm, data_dir);
        config
    }

    pub(super) fn list(&self, listing: &mut Listing) {
        let path = |path: &PathBuf| path.display().to_string();
        let previous = self.previous_key_files.iter().map(path).collect::<Vec<_>>();
        let masked = |secrets: &[Secret]| secrets.iter().map(Secret::masked).collect::<Vec<_>>().join(",");
        listing.extend([
            ("JWT_ISSUER", self.issuer.clone()),
            ("JWT_AUDIENCE", self.audience.clone().unwrap_or_default()),
            ("JWT_ALGORITHM", format!("{:?}", self.algorithm)),
            ("JWT_ACCESS_SECRET", self.access_secret.masked()),
            ("JWT_REFRESH_SECRET", self.refresh_secret.masked()),
            ("JWT_PREVIOUS_ACCESS_SECRETS", masked(&self.previous_access_secrets)),
            ("JWT_PREVIOUS_REFRESH_SECRETS", masked(&self.previous_refresh_secrets)),
            ("JWT_PRIVATE_KEY_FILE", self.private_key_file.as_ref().map(path).unwrap_or_default()),
            ("JWT_PREVIOUS_KEY_FILES", previous.join(",")),
            ("JWT_ACCESS_EXPIRY", humantime::format_duration(self.access_expiry).to_string()),
            ("JWT_REFRESH_EXPIRY", humantime::format_duration(self.refresh_expiry).to_string()),
            ("REFRESH_REUSE_GRACE_SECONDS", Unit::Seconds.show(self.refresh_reuse_grace)),
        ]);
    }
}

fn private_key_file(source: &mut Source<'_>, algorithm: JwtAlgorithm) -> Option<PathBuf> {
    let file = source.text("JWT_PRIVATE_KEY_FILE").map(PathBuf::from);
    if algorithm.is_asymmetric() && file.is_none() {
        let wants = format!("the PEM file of the private key that JWT_ALGORITHM={algorithm:?} signs with");
        source.refuse_missing("JWT_PRIVATE_KEY_FILE", wants);
    } else if !algorithm.is_asymmetric() && file.is_some() {
        source.warn("JWT_PRIVATE_KEY_FILE is set, but not used with JWT_ALGORITHM=HS256");
    }
    file
}

/// Whole seconds, since that is what the claims of a token can say.
fn expiry(source: &mut Source<'_>, name: &'static str, default: Duration, highest_days: u64) -> Duration {
    let Some(value) = source.text(name) else {
        return default;
    };
    let range = Duration::from_secs(1)..=days(highest_days);
    match humantime::parse_duration(value) {
        Ok(expiry) if range.contains(&expiry) && expiry.subsec_nanos() == 0 => expiry,
        _ => {
            let wants =
                format!("whole seconds with a unit, such as 90s, 15m, 12h or 7d, from 1s to {highest_days}d");
            source.refuse(name, value, wants);
            default
        }
    }
}

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
