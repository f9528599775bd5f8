//! The keys of access tokens: one signs, it and its predecessors verify, the public ones are shown as JWKs
//! (RFC 7517).

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
        /// Who names it.
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
        /// Who names it.
        variable: &'static str,
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
            // While keys are being rotated the new one may be in both places.
            if !verifying.iter().any(|known: &VerificationKey| known.kid == key.kid) {
                verifying.push(key);
                jwks.keys.push(jwk);
            }
        }
        let kid = verifying.first().map(|key| key.kid.clone()).ok_or(KeyError::Missing)?;
        Ok(Self { algorithm, kid, signing: signing.private_key()?, verifying, jwks })
    }

    /// HS256. Nothing of a secret is public, so the set of JWKs is empty.
    fn symmetric(current: &Secret, previous: &[Secret]) -> Result<Self, KeyError> {
        let signing = EncodingKey::from_secret(current.expose().as_bytes());
        let verifying = std::iter::once(current).chain(previous).map(secret_key);
        let verifying = verifying.collect::<Result<Vec<_>, _>>()?;
        let kid = verifying.first().map(|key| key.kid.clone()).ok_or(KeyError::Missing)?;
        Ok(Self { algorithm: Algorithm::HS256, kid, signing, verifying, jwks: JwkSet { keys: Vec::new() } })
    }

    /// The key that signs, and how many others verify.
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

/// A key is named by its thumbprint (RFC 7638), cut to 96 bits.
fn name_of(jwk: &Jwk) -> Result<String, KeyError> {
    let mut name = jwk.thumbprint(ThumbprintHash::SHA256).map_err(KeyError::Unnamed)?;
    name.truncate(16);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::authentication::{Authentication, Methods};
    use crate::domain::ids::{SessionId, SessionToken, UserId};
    use crate::domain::time::Timestamp;
    use crate::domain::user::Role;
    use crate::security::access_token::{AccessClaims, AccessTokens, Grant};
    use crate::security::generate::private_key_pem;
    use crate::security::tokens::TokenError;

    const ASYMMETRIC: [JwtAlgorithm; 3] = [JwtAlgorithm::EdDSA, JwtAlgorithm::ES256, JwtAlgorithm::RS256];

    fn config(algorithm: JwtAlgorithm, key: Option<&Path>, previous: &[&Path]) -> TokenConfig {
        TokenConfig {
            issuer: "auth-service".into(),
            client_id: "auth-service".to_owned(),
            audience: None,
            algorithm,
            access_secret: Secret::new("0123456789abcdef0123456789abcdef"),
            refresh_secret: Secret::new("fedcba9876543210fedcba9876543210"),
            previous_access_secrets: Vec::new(),
            previous_refresh_secrets: Vec::new(),
            private_key_file: key.map(Path::to_owned),
            previous_key_files: previous.iter().map(|path| (*path).to_owned()).collect(),
            access_expiry: Duration::from_secs(900),
            refresh_expiry: Duration::from_secs(7 * 86_400),
            refresh_reuse_grace: Duration::from_secs(10),
        }
    }

    fn new_key(folder: &Path, name: &str, algorithm: JwtAlgorithm) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, private_key_pem(algorithm).unwrap()).unwrap();
        path
    }

    fn sign(tokens: &AccessTokens, now: Timestamp) -> (String, AccessClaims) {
        let claims = AccessClaims {
            user: UserId::new(Uuid::from_u128(1)),
            session: SessionId::new(Uuid::from_u128(2)),
            token: SessionToken::new(Uuid::from_u128(3)),
            generation: 1,
        };
        let AccessClaims { user, session, token, generation } = claims;
        let authentication = Authentication { at: now, methods: Methods::PASSWORD };
        let grant = Grant { user, role: Role::Starter, session, token, generation, authentication };
        let token = tokens.sign(grant, now).unwrap();
        (token.expose().to_owned(), claims)
    }

    #[test]
    fn every_algorithm_signs_verifies_and_shows_its_public_half() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000);
        for algorithm in ASYMMETRIC {
            let key = new_key(folder.path(), &format!("{algorithm:?}"), algorithm);
            let tokens = AccessTokens::new(&config(algorithm, Some(&key), &[])).unwrap();
            let (token, claims) = sign(&tokens, now);
            assert_eq!(tokens.verify(&token, now), Ok(claims));
            let shown = serde_json::to_string(tokens.keyring().jwks()).unwrap();
            assert!(shown.contains("\"kid\"") && shown.contains("\"use\":\"sig\""), "{shown}");
            assert!(!shown.contains("\"d\"") && !shown.contains("\"k\""), "a private half is shown: {shown}");
        }
    }

    #[test]
    fn a_replaced_key_still_verifies_and_a_forgotten_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000);
        for algorithm in ASYMMETRIC {
            let old = new_key(folder.path(), &format!("old-{algorithm:?}"), algorithm);
            let new = new_key(folder.path(), &format!("new-{algorithm:?}"), algorithm);
            let before = AccessTokens::new(&config(algorithm, Some(&old), &[])).unwrap();
            let (token, claims) = sign(&before, now);
            let rotated = AccessTokens::new(&config(algorithm, Some(&new), &[&old])).unwrap();
            assert_eq!(rotated.verify(&token, now), Ok(claims));
            assert_eq!(rotated.keyring().jwks().keys.len(), 2);
            let forgotten = AccessTokens::new(&config(algorithm, Some(&new), &[])).unwrap();
            assert_eq!(forgotten.verify(&token, now), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn a_replaced_secret_still_verifies_and_a_forgotten_one_does_not() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let before = config(JwtAlgorithm::HS256, None, &[]);
        let (token, claims) = sign(&AccessTokens::new(&before).unwrap(), now);
        let mut after =
            TokenConfig { access_secret: Secret::new("another-one-of-32-bytes-at-least"), ..before.clone() };
        let forgotten = AccessTokens::new(&after).unwrap();
        assert_eq!(forgotten.verify(&token, now), Err(TokenError::Invalid));
        after.previous_access_secrets = vec![before.access_secret];
        let rotated = AccessTokens::new(&after).unwrap();
        assert_eq!(rotated.verify(&token, now), Ok(claims));
        assert_eq!(forgotten.verify(sign(&rotated, now).0, now), Ok(claims), "signed with the new one");
    }

    #[test]
    fn one_algorithm_never_passes_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000);
        let key = new_key(folder.path(), "key", JwtAlgorithm::EdDSA);
        let asymmetric = AccessTokens::new(&config(JwtAlgorithm::EdDSA, Some(&key), &[])).unwrap();
        let symmetric = AccessTokens::new(&config(JwtAlgorithm::HS256, None, &[])).unwrap();
        assert!(symmetric.keyring().jwks().keys.is_empty());
        assert_eq!(asymmetric.verify(&sign(&symmetric, now).0, now), Err(TokenError::Invalid));
        assert_eq!(symmetric.verify(&sign(&asymmetric, now).0, now), Err(TokenError::Invalid));
    }

    #[test]
    fn a_file_that_holds_no_such_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nonsense.pem");
        fs::write(&path, "nonsense").unwrap();
        let error = Keyring::load(&config(JwtAlgorithm::ES256, Some(&path), &[])).unwrap_err();
        assert!(error.to_string().contains("nonsense.pem"), "{error}");
    }
}
