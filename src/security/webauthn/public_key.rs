//! The public key of a passkey (COSE_Key, RFC 9053): ES256, EdDSA and RS256, verified by aws-lc.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::cbor::Item;

/// Labels of a COSE_Key (RFC 9052, section 7.1; RFC 9053, section 7.1; RFC 8230, section 4).
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const MODULUS: i64 = -1;
const EXPONENT: i64 = -2;

/// Signature algorithms that a passkey may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, which Windows Hello uses.
    Rs256,
}

impl Algorithm {
    /// All of them, the preferred one first.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The number in the COSE registry.
    #[must_use]
    pub const fn cose(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
            Self::Rs256 => -257,
        }
    }
}

/// A key that signatures can be verified with.
#[derive(Debug)]
pub(super) struct PublicKey {
    pub(super) algorithm: Algorithm,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Elliptic(ParsedPublicKey),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl PublicKey {
    /// The key of a COSE_Key; `None` for another kind, or a point that is not on its curve.
    pub(super) fn read(cose: &Item<'_>) -> Option<Self> {
        let algorithm = cose.at(ALGORITHM)?.integer()?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.cose() == algorithm)?;
        let integer = |label| cose.at(label).and_then(Item::integer);
        let bytes = |label| cose.at(label).and_then(Item::bytes);
        let material = match (algorithm, integer(KEY_TYPE)?) {
            (Algorithm::Es256, 2) if integer(CURVE)? == 1 => {
                let (x, y) = (bytes(X)?, bytes(Y)?);
                let point = [&[4], x, y].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
                Material::Elliptic(key.parse().ok().filter(|_| x.len() == 32 && y.len() == 32)?)
            }
            (Algorithm::EdDsa, 1) if integer(CURVE)? == 6 => {
                Material::Elliptic(UnparsedPublicKey::new(&ED25519, bytes(X)?).parse().ok()?)
            }
            (Algorithm::Rs256, 3) => {
                let (modulus, exponent) = (bytes(MODULUS)?, bytes(EXPONENT)?);
                // Of 2048 to 8192 bits; a key with other faults simply verifies nothing.
                let fits = (256..=1024).contains(&modulus.len()) && exponent.len() <= 8;
                fits.then(|| Material::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })?
            }
            _ => return None,
        };
        Some(Self { algorithm, material })
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Elliptic(key) => key.verify_sig(message, signature).is_ok(),
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}
