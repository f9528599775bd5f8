//! The keys of access tokens: one signs, it and its predecessors verify, the public ones are published as
//! JWKs (RFC 7517).

use std::fs;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use crate::config::{JwtAlgorithm, Secret, TokenConfig};

/// Why there are no usable keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{variable}: {path:?} is not a readable PEM file: {source}")]
    File {
        /// The setting that names it.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no private key for the algorithm.
    #[error(
        "{variable}: got {path:?} ({source}), wants the PEM file of a PKCS#8 private key for {algorithm:?}"
    )]
    FieldProblem {
        /// The setting that names it.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// The algorithm that the key is for.
        algorithm: Algorithm,
        /// What the library said.
        source: jsonwebtoken::errors::Error,
    },
    /// No key was configured.
    #[error("JWT_PRIVATE_KEY_FILE is needed for this JWT_ALGORITHM")]
    Missing,
    /// A key has no thumbprint.
    #[error("a key cannot be named: {0}")]
    Unnamed(jsonwebtoken::errors::Error),
}

/// A key that verifies, with its key id.
pub(super) struct VerificationKey {
    pub(super) kid: String,
    pub(super) key: DecodingKey,
}

/// All keys for access tokens.
pub struct Keyring {
    pub(super) algorithm: Algorithm,
    pub(super) kid: String,
    pub(super) signing: EncodingKey,
    pub(super) verifying: Vec<VerificationKey>,
    jwks: JwkSet,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({:?}, {} keys)", self.algorithm, self.verifying.len())
    }
}

impl Keyring {
    /// Reads the keys that the configuration names.
    ///
    /// # Errors
    /// [`KeyError`], naming the file.
    pub fn load(config: &TokenConfig) -> Result<Self, KeyError> {
        let algorithm = match config.algorithm {
            JwtAlgorithm::HS256 => {
                return Self::symmetric(&config.access_secret, &config.previous_access_secrets);
            }
            JwtAlgorithm::EdDSA => Algorithm::EdDSA,
            JwtAlgorithm::ES256 => Algorithm::ES256,
            JwtAlgorithm::RS256 => Algorithm::RS256,
        };
        let path = config.private_key_file.as_deref().ok_or(KeyError::Missing)?;
        let mut verifying = Vec::new();
        let mut jwks = JwkSet { keys: Vec::new() };
        let signing = KeyFile { variable: "JWT_PRIVATE_KEY_FILE", path, algorithm };
        let previous = config.previous_key_files.iter();
        let previous = previous.map(|path| KeyFile { variable: "JWT_PREVIOUS_KEY_FILES", path, ..signing });
        for file in std::iter::once(signing).chain(previous) {
            let (jwk, key) = file.public_part()?;
            // During a rotation of keys the new one may be in both settings.
            if !verifying.iter().any(|known: &VerificationKey| known.kid == key.kid) {
                verifying.push(key);
                jwks.keys.push(jwk);
            }
        }
        let kid = verifying.first().map(|key| key.kid.clone()).ok_or(KeyError::Missing)?;
        Ok(Self { algorithm, kid, signing: signing.private_key()?, verifying, jwks })
    }

    /// HS256. Secrets have no public part, so the set of JWKs is empty.
    fn symmetric(current: &Secret, previous: &[Secret]) -> Result<Self, KeyError> {
        let signing = EncodingKey::from_secret(current.expose().as_bytes());
        let verifying = std::iter::once(current).chain(previous).map(secret_key);
        let verifying = verifying.collect::<Result<Vec<_>, _>>()?;
        let kid = verifying.first().map(|key| key.kid.clone()).ok_or(KeyError::Missing)?;
        Ok(Self { algorithm: Algorithm::HS256, kid, signing, verifying, jwks: JwkSet { keys: Vec::new() } })
    }

    /// The id of the key that signs, and how many others verify.
    #[must_use]
    pub fn in_use(&self) -> (&str, usize) {
        (&self.kid, self.verifying.len().saturating_sub(1))
    }

    /// The public keys; empty with a symmetric algorithm.
    #[must_use]
    pub fn jwks(&self) -> &JwkSet {
        &self.jwks
    }
}

/// A file that a setting names.
#[derive(Clone, Copy)]
struct KeyFile<'a> {
    variable: &'static str,
    path: &'a Path,
    algorithm: Algorithm,
}

impl KeyFile<'_> {
    fn private_key(self) -> Result<EncodingKey, KeyError> {
        let Self { variable, path, algorithm } = self;
        let pem =
            fs::read(path).map_err(|source| KeyError::File { variable, path: path.to_owned(), source })?;
        match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
            _ => EncodingKey::from_rsa_pem(&pem),
        }
        .map_err(|source| self.unfit(source))
    }

    fn public_part(self) -> Result<(Jwk, VerificationKey), KeyError> {
        let private = self.private_key()?;
        let mut jwk =
            Jwk::from_encoding_key(&private, self.algorithm).map_err(|source| self.unfit(source))?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|source| self.unfit(source))?;
        let kid = name_of(&jwk)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok((jwk, VerificationKey { kid, key }))
    }

    fn unfit(self, source: jsonwebtoken::errors::Error) -> KeyError {
        let Self { variable, path, algorithm } = self;
        KeyError::FieldProblem { variable, path: path.to_owned(), algorithm, source }
    }
}

fn secret_key(secret: &Secret) -> Result<VerificationKey, KeyError> {
    let secret = secret.expose().as_bytes();
    let signing = EncodingKey::from_secret(secret);
    let jwk = Jwk::from_encoding_key(&signing, Algorithm::HS256).map_err(KeyError::Unnamed)?;
    Ok(VerificationKey { kid: name_of(&jwk)?, key: DecodingKey::from_secret(secret) })
}

/// The key id: the key's thumbprint (RFC 7638), cut to 96 bits.
fn name_of(jwk: &Jwk) -> Result<String, KeyError> {
    let mut name = jwk.thumbprint(ThumbprintHash::SHA256).map_err(KeyError::Unnamed)?;
    name.truncate(16);
    Ok(name)
}

#[cfg(test)]
mod tests;
