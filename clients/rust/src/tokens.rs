//! Whether a token is one of the auth service's access tokens. Whether its session is live is another
//! question, which no signature answers.

use std::time::{Duration, Instant};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::AuthError;

/// The keys may be kept this long, as the answer says, so that a retired one is forgotten.
const KEEP_KEYS: Duration = Duration::from_secs(300);
/// An unknown key id has them fetched earlier, but not for every forged token.
const COOLDOWN: Duration = Duration::from_secs(5);
/// A server that is away is not asked for each request.
const RETRY: Duration = Duration::from_secs(1);

/// What is read of an access token. One that lacks `sub`, `sid`, `iat` or `exp` is refused.
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
    /// ES256, EdDSA or RS256. Locked while fetching: of many who miss a key, one fetches it.
    Published { url: String, set: Mutex<Published> },
}

#[derive(Default)]
pub(crate) struct Published {
    set: Option<(JwkSet, Instant)>,
    failed: Option<Instant>,
}

pub(crate) struct TokenVerifier {
    keys: Keys,
    issuer: String,
    audience: Option<String>,
    leeway: u64,
}

impl TokenVerifier {
    pub(crate) fn new(keys: Keys, issuer: String, audience: Option<String>, leeway: Duration) -> Self {
        Self { keys, issuer, audience, leeway: leeway.as_secs() }
    }

    pub(crate) async fn verify(&self, token: &str, http: &reqwest::Client) -> Result<Claims, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::invalid())?;
        // Before a key is looked up, so that none is fetched for a token that could not pass anyway.
        if !is_access_token(&header) {
            return Err(AuthError::invalid());
        }
        match &self.keys {
            Keys::Secrets(secrets) if header.alg == Algorithm::HS256 => self.with_any(token, secrets),
            // Never an algorithm that the header picks together with its own key.
            Keys::Published { url, set }
                if matches!(header.alg, Algorithm::ES256 | Algorithm::EdDSA | Algorithm::RS256) =>
            {
                let kid = header.kid.as_deref().ok_or_else(AuthError::invalid)?;
                let key = set.lock().await.key(kid, header.alg, url, http).await?;
                self.decode(token, &key, header.alg)
            }
            Keys::Secrets(_) | Keys::Published { .. } => Err(AuthError::invalid()),
        }
    }

    fn with_any(&self, token: &str, secrets: &[DecodingKey]) -> Result<Claims, AuthError> {
        let tried = secrets.iter().map(|secret| self.decode(token, secret, Algorithm::HS256));
        let refusal = AuthError::invalid();
        tried.into_iter().find(|result| result.as_ref() != Err(&refusal)).unwrap_or(Err(refusal))
    }

    fn decode(&self, token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, AuthError> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.leeway;
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["iss", "sub", "exp"]);
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        match decode::<Claims>(token, key, &validation) {
            Ok(data) if !data.claims.sub.is_empty() && !data.claims.sid.is_empty() => Ok(data.claims),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => Err(AuthError::expired()),
            Ok(_) | Err(_) => Err(AuthError::invalid()),
        }
    }
}

impl PartialEq for Claims {
    fn eq(&self, other: &Self) -> bool {
        (&self.sub, &self.sid, self.iat, self.exp) == (&other.sub, &other.sid, other.iat, other.exp)
    }
}

impl Published {
    async fn key(
        &mut self,
        kid: &str,
        algorithm: Algorithm,
        url: &str,
        http: &reqwest::Client,
    ) -> Result<DecodingKey, AuthError> {
        let old_after = |set: &JwkSet| if set.find(kid).is_some() { KEEP_KEYS } else { COOLDOWN };
        let current = self.set.as_ref().is_some_and(|(set, at)| at.elapsed() < old_after(set));
        if !current {
            if self.failed.is_some_and(|at| at.elapsed() < RETRY) {
                return Err(AuthError::unavailable());
            }
            self.fetch(url, http).await?;
        }
        let found = self.set.as_ref().and_then(|(set, _)| set.find(kid)).ok_or_else(AuthError::invalid)?;
        let named =
            found.common.key_algorithm.is_some_and(|named| named.to_string() == format!("{algorithm:?}"));
        if !named {
            return Err(AuthError::invalid());
        }
        DecodingKey::from_jwk(found).map_err(|_| AuthError::invalid())
    }

    async fn fetch(&mut self, url: &str, http: &reqwest::Client) -> Result<(), AuthError> {
        let fetched = async { http.get(url).send().await?.error_for_status()?.json::<JwkSet>().await };
        match fetched.await {
            Ok(set) => {
                self.set = Some((set, Instant::now()));
                self.failed = None;
                Ok(())
            }
            // That the keys cannot be fetched says nothing about the token.
            Err(error) => {
                tracing::warn!(%error, "the keys of the auth service cannot be fetched");
                self.failed = Some(Instant::now());
                Err(AuthError::unavailable())
            }
        }
    }
}

/// The library leaves this to its caller. It tells an access token from all others that the same key may sign
/// (RFC 9068), and refuses critical extensions, none of which is known here (RFC 7515, section 4.1.11).
fn is_access_token(header: &Header) -> bool {
    let typ = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    let critical = header.crit.is_some();
    !critical && typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt"
}
