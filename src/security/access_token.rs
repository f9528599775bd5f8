//! Access tokens (RFC 9068): signed after a login or refresh, verified on every protected request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Header, Validation, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use super::claims::AccessClaims;
use super::keys::{KeyError, Keyring};
use super::tokens::{TokenError, read, validation};
use super::verified_tokens::VerifiedTokens;
use crate::clock::new_uuid;
use crate::config::TokenConfig;
use crate::domain::authentication::{Authentication, Level, Methods};
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;

/// `typ` of an access token (RFC 9068, section 2.1).
const TYP: &str = "at+jwt";

/// A signed access token. Never printed except in the answer it is made for.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct AccessToken(String);

impl AccessToken {
    /// The token, for the answer.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessToken(hidden)")
    }
}

/// The content of a new access token.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The user.
    pub user: UserId,
    /// The user's role.
    pub role: Role,
    /// The session.
    pub session: SessionId,
    /// The session's token.
    pub token: SessionToken,
    /// The session's refresh generation.
    pub generation: u32,
    /// The person's latest authentication.
    pub authentication: Authentication,
}

impl Grant {
    /// The grant for that session as it is now.
    #[must_use]
    pub fn of(user: UserId, role: Role, session: &Session) -> Self {
        Self {
            user,
            role,
            session: session.id(),
            token: session.token,
            generation: session.refresh.generation,
            authentication: session.authentication,
        }
    }
}

#[derive(Serialize)]
struct SignedClaims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    sub: UserId,
    sid: SessionId,
    stk: Uuid,
    role: Role,
    client_id: &'a str,
    auth_time: i64,
    amr: Methods,
    acr: Level,
    /// Refresh generation: that of the refresh token issued with it.
    #[serde(rename = "gen")]
    generation: u32,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

#[derive(Deserialize)]
struct ReadClaims {
    sub: UserId,
    sid: SessionId,
    stk: Uuid,
    #[serde(rename = "gen", default)]
    generation: u32,
    exp: i64,
    /// Their values are checked by the validation, which ignores values of another type (RFC 7519,
    /// section 4.1).
    #[serde(rename = "iss")]
    _issuer: String,
    #[serde(rename = "aud", default)]
    _audience: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(#[expect(dead_code, reason = "only its type counts")] String),
    Some(#[expect(dead_code, reason = "only their type counts")] Vec<String>),
}

/// Signs and verifies access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    keyring: Keyring,
    issuer: String,
    client_id: String,
    audience: Option<String>,
    expiry_seconds: i64,
    validation: Validation,
    verified: VerifiedTokens,
}

impl AccessTokens {
    /// With the keys, issuer, audience and expiry of the configuration.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(config: &TokenConfig) -> Result<Self, KeyError> {
        let keyring = Keyring::load(config)?;
        let mut validation = validation(keyring.algorithm, &["exp", "iss", "sub"]);
        validation.set_issuer(&[&config.issuer]);
        // If no audience is configured, a token for another audience is refused too (RFC 7519, section
        // 4.1.3).
        validation.validate_aud = true;
        validation.validate_nbf = true;
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        Ok(Self {
            keyring,
            issuer: config.issuer.clone(),
            client_id: config.client_id.clone(),
            audience: config.audience.clone(),
            expiry_seconds: i64::try_from(config.access_expiry.as_secs()).unwrap_or(i64::MAX),
            validation,
            verified: VerifiedTokens::default(),
        })
    }

    /// The keys that sign and verify.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// How long a token is valid, in seconds.
    #[must_use]
    pub fn expiry_seconds(&self) -> i64 {
        self.expiry_seconds
    }

    /// Signs a token for a session.
    ///
    /// # Errors
    /// [`TokenError::Invalid`] if the key cannot sign, which loading it has ruled out.
    pub fn sign(&self, grant: Grant, now: Timestamp) -> Result<AccessToken, TokenError> {
        let Grant { user, role, session, token, generation, authentication } = grant;
        let mut header = Header::new(self.keyring.algorithm);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(self.keyring.kid.clone());
        let claims = SignedClaims {
            iss: &self.issuer,
            aud: self.audience.as_deref(),
            sub: user,
            sid: session,
            stk: token.expose(),
            role,
            client_id: &self.client_id,
            auth_time: authentication.at.seconds(),
            amr: authentication.methods,
            acr: authentication.methods.level(),
            generation,
            iat: now.seconds(),
            exp: now.seconds().saturating_add(self.expiry_seconds),
            jti: new_uuid(),
        };
        encode(&header, &claims, &self.keyring.signing).map(AccessToken).map_err(|_| TokenError::Invalid)
    }

    /// Checks algorithm, key, signature, type, issuer, audience, and then the time.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: impl AsRef<[u8]>, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let token = token.as_ref();
        if let Some((claims, expires)) = self.verified.lookup(token) {
            return in_time(claims, expires, now);
        }
        let claims = self.read(token)?;
        let ReadClaims { sub: user, sid: session, stk, generation, exp, .. } = claims;
        let claims = AccessClaims { user, session, token: SessionToken::new(stk), generation };
        self.verified.add(token, claims, exp);
        in_time(claims, exp, now)
    }

    /// Checks everything except the time.
    ///
    /// # Errors
    /// [`TokenError::Invalid`].
    pub fn verify_at_any_time(&self, token: &[u8]) -> Result<AccessClaims, TokenError> {
        let ReadClaims { sub: user, sid: session, stk, generation, .. } = self.read(token)?;
        Ok(AccessClaims { user, session, token: SessionToken::new(stk), generation })
    }

    /// The claims of a token that was verified.
    #[must_use]
    pub fn signed_claims(&self, token: &str) -> Map<String, Value> {
        let claims = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default()
    }

    /// Checks everything except the time.
    fn read(&self, token: &[u8]) -> Result<ReadClaims, TokenError> {
        let token = std::str::from_utf8(token).map_err(|_| TokenError::Invalid)?;
        let kid = decode_header(token).map_err(|_| TokenError::Invalid)?.kid.ok_or(TokenError::Invalid)?;
        let key = self.keyring.verifying.iter().find(|key| key.kid == kid).ok_or(TokenError::Invalid)?;
        Ok(read(token, TYP, &key.key, &self.validation)?.claims)
    }
}

fn in_time(claims: AccessClaims, expires: i64, now: Timestamp) -> Result<AccessClaims, TokenError> {
    if expires <= now.seconds() { Err(TokenError::Expired) } else { Ok(claims) }
}
