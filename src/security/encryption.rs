//! Keys by purpose, derived from `ENCRYPTION_SECRET` (HKDF, RFC 5869), for values that are stored sealed
//! (AES-256-GCM), and for values that are a function of the secret and of what the database holds
//! (HMAC-SHA-256).
//!
//! A sealed value says which secret sealed it, and opens only for the row it was sealed for. The newest
//! secret seals; the previous ones only open. A key or a sealed content must never be shown.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use zeroize::Zeroizing;

use crate::config::{EncryptionConfig, Secret};

/// Separates these keys from any other use of the same secret.
const SALT: &[u8] = b"auth-service encryption v1";
/// The format of a sealed value: this byte, the id of the secret, the nonce, the ciphertext with its tag.
const VERSION: u8 = 1;
const ID_LEN: usize = 4;
const HEAD_LEN: usize = 1 + ID_LEN + NONCE_LEN;
const KEY_LEN: usize = 32;

/// What a key is for. No two purposes share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Seals the secrets of authenticator apps.
    TotpSecret,
    /// Hashes recovery codes.
    RecoveryCode,
    /// Derives the codes of mails.
    MailCode,
}

impl Purpose {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::TotpSecret => b"totp secret",
            Self::RecoveryCode => b"recovery code",
            Self::MailCode => b"mail code",
        }
    }
}

/// Why a value could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// It was not sealed with any of the secrets that are set.
    #[error("sealed with a secret that is not set: add it to PREVIOUS_ENCRYPTION_SECRETS")]
    UnknownSecret,
    /// It is damaged, or was sealed for another row or purpose.
    #[error("the sealed value does not belong here, or is damaged")]
    Damaged,
    /// The library failed.
    #[error("the key could not be used")]
    Failed,
}

impl From<Unspecified> for EncryptionError {
    fn from(_: Unspecified) -> Self {
        Self::Failed
    }
}

/// An opened value.
pub struct Opened {
    /// The content.
    pub content: Zeroizing<Vec<u8>>,
    /// Whether the newest secret sealed it; if not, it should be resealed.
    pub is_current: bool,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened(hidden)")
    }
}

/// One secret, ready to derive keys from.
struct Root {
    /// Identifies the secret in what it sealed, and reveals nothing about it.
    id: [u8; ID_LEN],
    prk: Prk,
}

impl Root {
    fn new(secret: &Secret) -> Self {
        let prk = Salt::new(HKDF_SHA256, SALT).extract(secret.expose().as_bytes());
        let mut id = [0; ID_LEN];
        if let Ok(key) = derive(&prk, b"id") {
            id.copy_from_slice(&key[..ID_LEN]);
        }
        Self { id, prk }
    }

    fn sealing_key(&self, purpose: Purpose) -> Result<RandomizedNonceKey, Unspecified> {
        RandomizedNonceKey::new(&AES_256_GCM, derive(&self.prk, purpose.info())?.as_slice())
    }

    fn mac_key(&self, purpose: Purpose) -> Result<hmac::Key, Unspecified> {
        Ok(hmac::Key::new(HMAC_SHA256, derive(&self.prk, purpose.info())?.as_slice()))
    }
}

fn derive(prk: &Prk, info: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, Unspecified> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    prk.expand(&[info], HKDF_SHA256)?.fill(key.as_mut_slice())?;
    Ok(key)
}

/// The keys of this service, if `ENCRYPTION_SECRET` is set.
pub struct Encryption {
    current: Root,
    previous: Vec<Root>,
}

impl std::fmt::Debug for Encryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encryption")
    }
}

impl Encryption {
    /// Takes the secrets of the configuration; `None` without one.
    #[must_use]
    pub fn new(config: &EncryptionConfig) -> Option<Self> {
        let current = Root::new(config.secret.as_ref()?);
        Some(Self { current, previous: config.previous.iter().map(Root::new).collect() })
    }

    /// Seals a value for the row of that key, which must be unique over all tables of the purpose.
    ///
    /// # Errors
    /// [`EncryptionError::Failed`] if the library fails.
    pub fn seal(&self, purpose: Purpose, row: &[u8], content: &[u8]) -> Result<Vec<u8>, EncryptionError> {
        let mut sealed = Zeroizing::new(content.to_vec());
        let key = self.current.sealing_key(purpose)?;
        let nonce = key.seal_in_place_append_tag(Aad::from(row), &mut *sealed)?;
        let head = [&[VERSION][..], &self.current.id, nonce.as_ref()].concat();
        Ok([head.as_slice(), sealed.as_slice()].concat())
    }

    /// Opens a value that was sealed for that row and purpose, with any of the secrets.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub fn open(&self, purpose: Purpose, row: &[u8], sealed: &[u8]) -> Result<Opened, EncryptionError> {
        let (head, body) = sealed.split_at_checked(HEAD_LEN).ok_or(EncryptionError::Damaged)?;
        let (id, nonce) = head[1..].split_at(ID_LEN);
        if head[0] != VERSION {
            return Err(EncryptionError::Damaged);
        }
        let root = self.roots().find(|root| root.id == id).ok_or(EncryptionError::UnknownSecret)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut content = Zeroizing::new(body.to_vec());
        let opened = root.sealing_key(purpose)?.open_in_place(nonce, Aad::from(row), &mut content);
        let length = opened.map_err(|_| EncryptionError::Damaged)?.len();
        content.truncate(length);
        Ok(Opened { content, is_current: root.id == self.current.id })
    }

    /// A MAC of these parts with the newest secret. Their lengths are included, so that no two lists of
    /// parts are alike.
    ///
    /// # Errors
    /// [`EncryptionError::Failed`] if the library fails.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Result<[u8; 32], EncryptionError> {
        mac_with(&self.current, purpose, parts)
    }

    /// The same with each of the secrets, the newest first, so that MACs from before a change of the
    /// secret are still recognised.
    ///
    /// # Errors
    /// [`EncryptionError::Failed`] if the library fails.
    pub fn macs(&self, purpose: Purpose, parts: &[&[u8]]) -> Result<Vec<[u8; 32]>, EncryptionError> {
        self.roots().map(|root| mac_with(root, purpose, parts)).collect()
    }

    fn roots(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

fn mac_with(root: &Root, purpose: Purpose, parts: &[&[u8]]) -> Result<[u8; 32], EncryptionError> {
    let key = root.mac_key(purpose)?;
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut mac = [0; 32];
    mac.copy_from_slice(context.sign().as_ref());
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encryption(secret: &str, previous: &[&str]) -> Encryption {
        let secret = Some(Secret::new(secret));
        let previous = previous.iter().map(|secret| Secret::new(*secret)).collect();
        Encryption::new(&EncryptionConfig { secret, previous }).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_row_and_purpose_alone() {
        let keys = encryption("one", &[]);
        let sealed = keys.seal(Purpose::TotpSecret, b"row 1", b"content").unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"content"));
        let opened = keys.open(Purpose::TotpSecret, b"row 1", &sealed).unwrap();
        assert_eq!((opened.content.as_slice(), opened.is_current), (&b"content"[..], true));
        for (purpose, row) in [(Purpose::TotpSecret, b"row 2"), (Purpose::RecoveryCode, b"row 1")] {
            assert_eq!(keys.open(purpose, row, &sealed).unwrap_err(), EncryptionError::Damaged);
        }
        assert_ne!(keys.seal(Purpose::TotpSecret, b"row 1", b"content").unwrap(), sealed);
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let keys = encryption("one", &[]);
        let sealed = keys.seal(Purpose::TotpSecret, b"row", b"content").unwrap();
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(keys.open(Purpose::TotpSecret, b"row", &changed).is_err(), "byte {place}");
            assert!(keys.open(Purpose::TotpSecret, b"row", &sealed[..place]).is_err(), "{place} bytes");
        }
    }

    #[test]
    fn previous_secrets_open_and_the_newest_seals() {
        let sealed = encryption("old", &[]).seal(Purpose::TotpSecret, b"row", b"content").unwrap();
        let changed = encryption("new", &["old"]);
        assert!(!changed.open(Purpose::TotpSecret, b"row", &sealed).unwrap().is_current);
        let forgotten = encryption("new", &[]).open(Purpose::TotpSecret, b"row", &sealed).unwrap_err();
        assert_eq!(forgotten, EncryptionError::UnknownSecret);
        let again = changed.seal(Purpose::TotpSecret, b"row", b"content").unwrap();
        assert!(encryption("new", &[]).open(Purpose::TotpSecret, b"row", &again).unwrap().is_current);
    }

    #[test]
    fn a_mac_depends_on_secret_purpose_and_how_it_is_parted() {
        let keys = encryption("one", &["zero"]);
        let mac = keys.mac(Purpose::MailCode, &[b"ab", b"c"]).unwrap();
        assert_eq!(keys.mac(Purpose::MailCode, &[b"ab", b"c"]).unwrap(), mac);
        assert_ne!(keys.mac(Purpose::MailCode, &[b"a", b"bc"]).unwrap(), mac);
        assert_ne!(keys.mac(Purpose::RecoveryCode, &[b"ab", b"c"]).unwrap(), mac);
        let before = encryption("zero", &[]).mac(Purpose::MailCode, &[b"ab", b"c"]).unwrap();
        assert_eq!(keys.macs(Purpose::MailCode, &[b"ab", b"c"]).unwrap(), [mac, before]);
    }
}
