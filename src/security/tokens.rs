//! What both kinds of token share: the errors, and reading a JWT whose header and signature are right.

use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode};
use serde::de::DeserializeOwned;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, or not one for this use.
    #[error("the token is not valid")]
    Invalid,
    /// It was one of ours until a while ago.
    #[error("the token has expired")]
    Expired,
}

/// A validation of one algorithm and a set of claims. Time is checked by the caller, with the service's clock.
pub(super) fn validation(algorithm: Algorithm, required: &[&str]) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.leeway = 0;
    validation.set_required_spec_claims(required);
    validation
}

/// Reads a token whose signature, algorithm and `typ` are right, and which asks for nothing more.
pub(super) fn read<C: DeserializeOwned>(
    token: &str,
    typ: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<TokenData<C>, TokenError> {
    let data: TokenData<C> = decode(token, key, validation).map_err(|_| TokenError::Invalid)?;
    // Extensions that have to be understood are not (RFC 7515, section 4.1.11).
    match data.header.typ.as_deref() {
        Some(found) if found.eq_ignore_ascii_case(typ) && data.header.crit.is_none() => Ok(data),
        _ => Err(TokenError::Invalid),
    }
}
