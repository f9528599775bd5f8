//! Keys: formats, rotation, and what is refused.

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
