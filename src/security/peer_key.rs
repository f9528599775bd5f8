//! The key with which nodes sign their messages to each other over Redis, which other programs may share.
//! It must never be shown.

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{Secret, TokenConfig};

/// Separates this key from any other use of the same secret.
const PURPOSE: &[u8] = b"auth-service messages between nodes v1";

/// Signs with the secret of the refresh tokens, and verifies with the previous ones too.
pub struct PeerKey {
    current: Key,
    previous: Vec<Key>,
}

impl std::fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerKey(hidden)")
    }
}

impl PeerKey {
    /// Takes the secrets of the configuration.
    #[must_use]
    pub fn new(config: &TokenConfig) -> Self {
        let previous = config.previous_refresh_secrets.iter().map(derived).collect();
        Self { current: derived(&config.refresh_secret), previous }
    }

    /// A key that no other node has.
    #[cfg(test)]
    pub(crate) fn of(secret: &str) -> Self {
        Self { current: derived(&Secret::new(secret.to_owned())), previous: Vec::new() }
    }

    /// The tag of a text.
    #[must_use]
    pub fn tag(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.current, text.as_bytes()))
    }

    /// Whether a node that has one of the secrets made that tag.
    #[must_use]
    pub fn verifies(&self, text: &str, tag: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return false };
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        keys.any(|key| hmac::verify(key, text.as_bytes(), &tag).is_ok())
    }
}

fn derived(secret: &Secret) -> Key {
    let secret = Key::new(HMAC_SHA256, secret.expose().as_bytes());
    Key::new(HMAC_SHA256, hmac::sign(&secret, PURPOSE).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_text_and_tag_are_believed() {
        let (key, other) = (PeerKey::of("one secret"), PeerKey::of("another secret"));
        let tag = key.tag("ended");
        assert!(key.verifies("ended", &tag));
        assert!(!key.verifies("ended ", &tag) && !key.verifies("ende", &tag));
        assert!(!other.verifies("ended", &tag));
        assert!(!key.verifies("ended", &tag[..tag.len() - 4]) && !key.verifies("ended", ""));
        let rotated = PeerKey { previous: vec![derived(&Secret::new("one secret".to_owned()))], ..other };
        assert!(rotated.verifies("ended", &tag));
    }
}
