//! `keys …`: making private keys for access tokens.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use super::CommandError;
use super::output::say;
use crate::config::JwtAlgorithm;
use crate::security::generate::private_key_pem;

/// What to do with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a private key for access tokens: PKCS#8 in a PEM file that only the owner may read.
    Generate {
        /// For `JWT_ALGORITHM`.
        #[arg(long, value_enum, default_value_t = KeyAlgorithm::EdDSA)]
        algorithm: KeyAlgorithm,
        /// Where to write it; an existing file is left alone.
        #[arg(long, default_value = "jwt-private.pem")]
        out: PathBuf,
    },
}

/// Algorithms that have a key file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyAlgorithm {
    /// Ed25519: small and quick.
    #[value(name = "EdDSA")]
    EdDSA,
    /// ECDSA on P-256.
    #[value(name = "ES256")]
    ES256,
    /// RSA with 2,048 bits: what old libraries know.
    #[value(name = "RS256")]
    RS256,
}

/// Makes a key file.
///
/// # Errors
/// When the file is there already, or cannot be written.
pub(super) fn generate_key(algorithm: KeyAlgorithm, out: &Path) -> Result<(), CommandError> {
    let algorithm = match algorithm {
        KeyAlgorithm::EdDSA => JwtAlgorithm::EdDSA,
        KeyAlgorithm::ES256 => JwtAlgorithm::ES256,
        KeyAlgorithm::RS256 => JwtAlgorithm::RS256,
    };
    let pem = private_key_pem(algorithm)?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(out).map_err(|error| match error
            .kind()
        {
            ErrorKind::AlreadyExists => {
                format!("{} is there already and was left as it is; name another with --out", out.display())
            }
            _ => format!("cannot write {}: {error}", out.display()),
        })?;
    file.write_all(pem.as_bytes())?;
    say(&format!("JWT_ALGORITHM={algorithm:?}\nJWT_PRIVATE_KEY_FILE={}", out.display()))
}
