//! Authenticator data (WebAuthn Level 3, section 6.1): what the authenticator itself says and signs.

use super::cbor::Item;
use super::public_key::PublicKey;

/// Hash of the RP id, flags, counter.
const HEAD_BYTES: usize = 32 + 1 + 4;
/// AAGUID and length of the credential id.
const CREDENTIAL_HEAD_BYTES: usize = 16 + 2;
/// Longest credential id (section 4.1.3 of CTAP, and Level 3, section 7.1).
const CREDENTIAL_ID_MAX: usize = 1023;

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKUP_STATE: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    pub(super) rp_id_hash: &'a [u8],
    flags: u8,
    /// The signature counter; 0 if the authenticator has none.
    pub(super) counter: u32,
    /// Present in a registration.
    pub(super) credential: Option<AttestedCredential<'a>>,
}

#[derive(Debug)]
pub(super) struct AttestedCredential<'a> {
    pub(super) id: &'a [u8],
    /// The key as it came, to be stored.
    pub(super) cose_key: &'a [u8],
    pub(super) key: PublicKey,
}

impl<'a> AuthenticatorData<'a> {
    /// Refuses bytes that are left over.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let flags = head[32];
        let counter = u32::from_be_bytes(head[33..].try_into().ok()?);
        let credential = if flags & HAS_CREDENTIAL == 0 {
            None
        } else {
            let (credential, after) = AttestedCredential::read(rest)?;
            rest = after;
            Some(credential)
        };
        if flags & HAS_EXTENSIONS != 0 {
            let (extensions, after) = Item::read_first(rest)?;
            if !matches!(extensions, Item::Map(_)) {
                return None;
            }
            rest = after;
        }
        // A credential that is backed up without being eligible for it contradicts itself (section
        // 6.1.3).
        let contradicts = flags & BACKUP_STATE != 0 && flags & BACKUP_ELIGIBLE == 0;
        (rest.is_empty() && !contradicts).then_some(Self {
            rp_id_hash: &head[..32],
            flags,
            counter,
            credential,
        })
    }

    /// Whether the user was present and the authenticator verified who it was.
    pub(super) fn is_user_verified(&self) -> bool {
        self.flags & (USER_PRESENT | USER_VERIFIED) == USER_PRESENT | USER_VERIFIED
    }

    /// Whether it may be stored on more than one device; this does not change during a credential's life.
    pub(super) fn is_backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub(super) fn is_backed_up(&self) -> bool {
        self.flags & BACKUP_STATE != 0
    }
}

impl<'a> AttestedCredential<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_at_checked(CREDENTIAL_HEAD_BYTES)?;
        let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
        let (id, rest) = rest.split_at_checked(length)?;
        let (cose, after) = Item::read_first(rest)?;
        let key = PublicKey::read(&cose)?;
        let fits = (1..=CREDENTIAL_ID_MAX).contains(&id.len());
        let cose_key = &rest[..rest.len() - after.len()];
        fits.then_some((Self { id, cose_key, key }, after))
    }
}
