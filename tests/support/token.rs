//! Reading and forging JSON Web Tokens.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::Value;

/// A decoded token, so that a test can change one thing and sign it again.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) header: Header,
    pub(crate) claims: Value,
}

impl Token {
    /// Verifies the signature and nothing else.
    #[track_caller]
    pub(crate) fn open(token: &str, secret: &str) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let key = DecodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap();
        Self { header: token.header, claims: token.claims }
    }

    pub(crate) fn sign(&self, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&self.header, &self.claims, &key).unwrap()
    }

    /// The same with one claim changed.
    pub(crate) fn with(&self, claim: &str, value: impl Into<Value>) -> Self {
        let mut token = self.clone();
        token.claims[claim] = value.into();
        token
    }

    /// The same with its header changed.
    pub(crate) fn with_header(&self, change: impl FnOnce(&mut Header)) -> Self {
        let mut token = self.clone();
        change(&mut token.header);
        token
    }
}

/// The alphabet of tokens: base64url without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}
