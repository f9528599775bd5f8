//! Whether a token is one of the auth service's access tokens. Whether its session is still live is another question,
//! which no signature answers.

use std::env;
use std::time::{Duration, Instant};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::auth_service::AuthService;
use super::{Failure, Refusal, setting};

/// Keys are kept for as long as the answer allows, so that a retired one is forgotten.
const KEPT: Duration = Duration::from_secs(300);
/// An unknown key id has them fetched before that, but not for every forged token.
const COOLDOWN: Duration = Duration::from_secs(5);

/// What is read of an access token. One that lacks a member is refused.
#[derive(Deserialize)]
pub(crate) struct Claims {
    /// The user's id.
    pub(crate) sub: String,
    /// The session's id.
    pub(crate) sid: String,
    /// As it was when the token was signed.
    pub(crate) role: String,
    /// When the token was signed, in seconds.
    pub(crate) iat: i64,
    /// When it runs out, in seconds.
    pub(crate) exp: i64,
}

/// Verifies access tokens.
pub(crate) struct Verifier {
    validation: Validation,
    keys: Keys,
}

enum Keys {
    /// HS256. Whoever can verify can also sign: it makes this service as trusted as the auth service itself.
    Secret(DecodingKey),
    /// The public keys, and when they were fetched. Locked meanwhile: of many who miss a key one fetches it.
    Published(Mutex<Option<(JwkSet, Instant)>>),
}

impl Verifier {
    /// From the same variables as the auth service reads.
    pub(crate) fn from_env() -> Result<Self, Failure> {
        let algorithm: Algorithm = setting("JWT_ALGORITHM", "HS256").parse()?;
        let keys = match algorithm {
            Algorithm::HS256 => {
                let secret =
                    env::var("JWT_ACCESS_SECRET").map_err(|_| "JWT_ACCESS_SECRET is needed with HS256")?;
                Keys::Secret(DecodingKey::from_secret(secret.as_bytes()))
            }
            _ => Keys::Published(Mutex::default()),
        };
        // One algorithm, from the configuration: never the one the token asks for.
        let mut validation = Validation::new(algorithm);
        // The library's own is a minute.
        validation.leeway = 0;
        validation.set_issuer(&[setting("JWT_ISSUER", "auth-service")]);
        validation.set_required_spec_claims(&["iss", "sub", "exp"]);
        // With none configured a token may have one or not.
        validation.validate_aud = false;
        if let Ok(audience) = env::var("JWT_AUDIENCE") {
            validation.validate_aud = true;
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        Ok(Self { validation, keys })
    }

    pub(crate) async fn verify(&self, token: &str, service: &AuthService) -> Result<Claims, Refusal> {
        let header = decode_header(token).map_err(|_| invalid())?;
        // Before a key is looked for, so that none is fetched for what could not be accepted anyway.
        if !self.validation.algorithms.contains(&header.alg) || !is_access_token(&header) {
            return Err(invalid());
        }
        let key = match &self.keys {
            Keys::Secret(key) => key.clone(),
            Keys::Published(keys) => published(keys, &header.kid.ok_or_else(invalid)?, service).await?,
        };
        match decode(token, &key, &self.validation) {
            Ok(data) => Ok(data.claims),
            Err(error) if *error.kind() == ErrorKind::ExpiredSignature => {
                Err(Refusal::unauthorized("token_expired"))
            }
            Err(_) => Err(invalid()),
        }
    }
}

/// The library leaves this to its caller. It tells an access token from all others that the same key may sign.
fn is_access_token(header: &Header) -> bool {
    let typ = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt"
}

fn invalid() -> Refusal {
    Refusal::unauthorized("token_invalid")
}

async fn published(
    keys: &Mutex<Option<(JwkSet, Instant)>>,
    kid: &str,
    service: &AuthService,
) -> Result<DecodingKey, Refusal> {
    let mut keys = keys.lock().await;
    let fetched = match &*keys {
        Some((set, at)) if at.elapsed() < if set.find(kid).is_some() { KEPT } else { COOLDOWN } => set,
        _ => &keys.insert((service.public_keys().await?, Instant::now())).0,
    };
    let key = fetched.find(kid).ok_or_else(invalid)?;
    DecodingKey::from_jwk(key).map_err(|_| invalid())
}
