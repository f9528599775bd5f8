//! Whether a token is one of the auth service's access tokens. Whether its session is live is a
//! separate question, which no signature answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, TokenData, Validation, decode, decode_header};
use serde::Deserialize;

use crate::error::AuthError;
use crate::once_a_minute::OnceAMinute;
use crate::published_keys::PublishedKeys;

/// The claims that are read from an access token. One that lacks `sub`, `sid`, `iat` or `exp` is
/// rejected.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) role: Option<String>,
    pub(crate) acr: Option<String>,
    #[serde(default)]
    pub(crate) amr: Vec<String>,
    pub(crate) auth_time: Option<i64>,
}

/// How tokens are signed.
pub(crate) enum Keys {
    /// HS256: several while the secret is being changed.
    Secrets(Vec<DecodingKey>),
    /// ES256, EdDSA or RS256: never an algorithm that the header chooses together with its own key.
    Published(Arc<PublishedKeys>),
}

/// Why a token is no good.
enum Refusal {
    /// It was not signed with this key, whatever else is wrong with it.
    Signature,
    Other(AuthError),
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for AuthError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Signature => Self::invalid(),
            Refusal::Other(error) => error,
        }
    }
}

pub(crate) struct TokenVerifier {
    keys: Keys,
    /// That a signature does not match any secret.
    warnings: OnceAMinute,
    /// One for each allowed algorithm.
    validations: Vec<(Algorithm, Validation)>,
}

impl TokenVerifier {
    pub(crate) fn new(keys: Keys, issuer: &str, audience: Option<&str>, leeway: Duration) -> Self {
        let algorithms: &[Algorithm] = match keys {
            Keys::Secrets(_) => &[Algorithm::HS256],
            Keys::Published(_) => &[Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256],
        };
        let validation = |&algorithm| (algorithm, validation(algorithm, issuer, audience, leeway));
        let validations = algorithms.iter().map(validation).collect();
        Self { keys, warnings: OnceAMinute::default(), validations }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        match &self.keys {
            Keys::Secrets(secrets) => self.with_any(token, secrets),
            Keys::Published(keys) => {
                let header = decode_header(token).map_err(|_| AuthError::invalid())?;
                // Before a key is looked up, so that none is fetched for a token that could not pass anyway.
                if !is_access_token(&header) || self.validation(header.alg).is_none() {
                    return Err(AuthError::invalid());
                }
                let kid = header.kid.as_deref().ok_or_else(AuthError::invalid)?;
                let key = keys.key(kid, header.alg).await?;
                Ok(self.decode(token, &key, header.alg)?)
            }
        }
    }

    fn with_any(&self, token: &str, secrets: &[DecodingKey]) -> Result<Claims, AuthError> {
        for secret in secrets {
            match self.decode(token, secret, Algorithm::HS256) {
                Ok(claims) => return Ok(claims),
                Err(Refusal::Signature) => {}
                Err(Refusal::Other(refusal)) => return Err(refusal),
            }
        }
        let is_meant = decode_header(token).is_ok_and(|header| is_access_token(&header));
        if is_meant && self.warnings.is_due(Instant::now()) {
            tracing::warn!(
                "the signature of a token does not match: is the secret the auth service's own JWT_ACCESS_SECRET?"
            );
        }
        Err(AuthError::invalid())
    }

    fn validation(&self, algorithm: Algorithm) -> Option<&Validation> {
        self.validations.iter().find(|(allowed, _)| *allowed == algorithm).map(|(_, validation)| validation)
    }

    fn decode(&self, token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, Refusal> {
        let validation = self.validation(algorithm).ok_or_else(AuthError::invalid)?;
        match decode::<Claims>(token, key, validation) {
            Ok(TokenData { header, claims })
                if is_access_token(&header) && !claims.sub.is_empty() && !claims.sid.is_empty() =>
            {
                Ok(claims)
            }
            Err(error)
                if *error.kind() == ErrorKind::ExpiredSignature
                    && decode_header(token).is_ok_and(|header| is_access_token(&header)) =>
            {
                Err(AuthError::expired().into())
            }
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => Err(Refusal::Signature),
            Ok(_) | Err(_) => Err(AuthError::invalid().into()),
        }
    }
}

fn validation(algorithm: Algorithm, issuer: &str, audience: Option<&str>, leeway: Duration) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = leeway.as_secs();
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["iss", "sub", "exp"]);
    validation.validate_aud = audience.is_some();
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    validation
}

/// The library leaves this to its caller. It distinguishes an access token from all others that the
/// same key may sign (RFC 9068), and rejects critical extensions, none of which is supported here
/// (RFC 7515, section 4.1.11).
fn is_access_token(header: &Header) -> bool {
    let typ = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    let critical = header.crit.is_some();
    !critical && typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt"
}
