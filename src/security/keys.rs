//! The keys of access tokens: one signs, it and its predecessors verify, the public ones are shown as JWKs (RFC 7517).

use std::fs;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use crate::config::{JwtAlgorithm, TokenConfig};

/// Why there are no usable keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no private key for the algorithm.
    #[error("{path} holds no PKCS#8 private key for {algorithm:?}: {source}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What it was to be for.
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

/// A key that verifies, under its name.
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
            JwtAlgorithm::HS256 => return Self::symmetric(config.access_secret.expose().as_bytes()),
            JwtAlgorithm::EdDSA => Algorithm::EdDSA,
            JwtAlgorithm::ES256 => Algorithm::ES256,
            JwtAlgorithm::RS256 => Algorithm::RS256,
        };
        let path = config.private_key_file.as_deref().ok_or(KeyError::Missing)?;
        let mut verifying = Vec::new();
        let mut jwks = JwkSet { keys: Vec::new() };
        let files = std::iter::once(path).chain(config.previous_key_files.iter().map(PathBuf::as_path));
        for path in files {
            let (jwk, key) = public_part(path, algorithm)?;
            verifying.push(key);
            jwks.keys.push(jwk);
        }
        let kid = verifying.first().map(|key| key.kid.clone()).ok_or(KeyError::Missing)?;
        Ok(Self { algorithm, kid, signing: private_key(path, algorithm)?, verifying, jwks })
    }

    /// HS256 with one secret. Nothing of it is public, so the set of JWKs is empty.
    ///
    /// # Errors
    /// [`KeyError::Unnamed`].
    pub fn symmetric(secret: &[u8]) -> Result<Self, KeyError> {
        let signing = EncodingKey::from_secret(secret);
        let jwk = Jwk::from_encoding_key(&signing, Algorithm::HS256).map_err(KeyError::Unnamed)?;
        let kid = name_of(&jwk)?;
        let key = DecodingKey::from_secret(secret);
        let verifying = vec![VerificationKey { kid: kid.clone(), key }];
        Ok(Self { algorithm: Algorithm::HS256, kid, signing, verifying, jwks: JwkSet { keys: Vec::new() } })
    }

    /// The public keys; empty with a symmetric algorithm.
    #[must_use]
    pub fn jwks(&self) -> &JwkSet {
        &self.jwks
    }
}

fn private_key(path: &Path, algorithm: Algorithm) -> Result<EncodingKey, KeyError> {
    let pem = fs::read(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    match algorithm {
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
        _ => EncodingKey::from_rsa_pem(&pem),
    }
    .map_err(|source| KeyError::Unfit { path: path.to_owned(), algorithm, source })
}

fn public_part(path: &Path, algorithm: Algorithm) -> Result<(Jwk, VerificationKey), KeyError> {
    let unfit = |source| KeyError::Unfit { path: path.to_owned(), algorithm, source };
    let private = private_key(path, algorithm)?;
    let mut jwk = Jwk::from_encoding_key(&private, algorithm).map_err(unfit)?;
    let key = DecodingKey::from_jwk(&jwk).map_err(unfit)?;
    let kid = name_of(&jwk)?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok((jwk, VerificationKey { kid, key }))
}

/// A key is named by its thumbprint (RFC 7638), cut to 96 bits.
fn name_of(jwk: &Jwk) -> Result<String, KeyError> {
    let mut name = jwk.thumbprint(ThumbprintHash::SHA256).map_err(KeyError::Unnamed)?;
    name.truncate(16);
    Ok(name)
}
