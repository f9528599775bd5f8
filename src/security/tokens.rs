//! What all kinds of token share: the errors, and reading a JWT with a valid header and signature. And
//! what the tokens share that only this service reads.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, TokenData, Validation, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::TokenConfig;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, or not one for this use.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid, and has expired.
    #[error("the token has expired")]
    Expired,
}

/// A validation of one algorithm and a set of claims. The caller checks the time, with the service's
/// clock.
pub(super) fn validation(algorithm: Algorithm, required: &[&str]) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.leeway = 0;
    validation.set_required_spec_claims(required);
    validation
}

/// Reads a token whose signature, algorithm and `typ` are valid and which has no critical extensions.
pub(super) fn read<C: DeserializeOwned>(
    token: &str,
    typ: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<TokenData<C>, TokenError> {
    let data: TokenData<C> = decode(token, key, validation).map_err(|_| TokenError::Invalid)?;
    // Critical extensions are not supported (RFC 7515, section 4.1.11).
    match data.header.typ.as_deref() {
        Some(found) if found.eq_ignore_ascii_case(typ) && data.header.crit.is_none() => Ok(data),
        _ => Err(TokenError::Invalid),
    }
}

/// Signs and reads tokens of one `typ` that only this service reads, with HS256 and a secret.
pub(super) struct Signer {
    typ: &'static str,
    signing: EncodingKey,
    /// The key of the secret it signs with, then those that only verify. They have no key ids, so they
    /// are tried one after the other.
    verifying: Vec<DecodingKey>,
    validation: Validation,
}

impl Signer {
    /// Takes the secret of refresh tokens; `required` are the claims a token must have.
    pub(super) fn new(typ: &'static str, config: &TokenConfig, required: &[&str]) -> Self {
        let current = &config.refresh_secret;
        let secrets = std::iter::once(current).chain(&config.previous_refresh_secrets);
        Self {
            typ,
            signing: EncodingKey::from_secret(current.expose().as_bytes()),
            verifying: secrets.map(|secret| DecodingKey::from_secret(secret.expose().as_bytes())).collect(),
            validation: validation(Algorithm::HS256, required),
        }
    }

    /// Signs claims.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the secret cannot sign, which cannot happen with HMAC.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Result<String, TokenError> {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(self.typ.to_owned());
        encode(&header, claims, &self.signing).map_err(|_| TokenError::Invalid)
    }

    /// Checks algorithm, signature and type. The caller checks the time.
    pub(super) fn read<C: DeserializeOwned>(&self, token: &str) -> Result<C, TokenError> {
        let mut tries = self.verifying.iter().map(|key| read(token, self.typ, key, &self.validation));
        tries.find_map(Result::ok).map(|data| data.claims).ok_or(TokenError::Invalid)
    }
}
