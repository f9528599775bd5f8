//! Generates a private key for access tokens, in the format that the service reads: PKCS#8 in PEM.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use pem::Pem;

use crate::config::JwtAlgorithm;

/// Why no key was generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// A symmetric algorithm has a secret and no key file.
    #[error("HS256 has no key file; set JWT_ACCESS_SECRET")]
    Symmetric,
    /// The library failed.
    #[error("the key could not be made")]
    Failed,
}

/// A new private key for that algorithm, as PEM.
///
/// # Errors
/// [`GenerateError`].
pub fn private_key_pem(algorithm: JwtAlgorithm) -> Result<String, GenerateError> {
    let failed = |_| GenerateError::Failed;
    let der = match algorithm {
        JwtAlgorithm::HS256 => return Err(GenerateError::Symmetric),
        // Version 1, without the public half: what JWT libraries read.
        JwtAlgorithm::EdDSA => {
            let pair = Ed25519KeyPair::generate().map_err(failed)?;
            pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
        }
        JwtAlgorithm::ES256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec()
        }
        JwtAlgorithm::RS256 => {
            let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
            der.as_ref().to_vec()
        }
    };
    Ok(pem::encode(&Pem::new("PRIVATE KEY", der)))
}
