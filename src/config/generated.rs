//! Random secrets for machines that were given none, stored so that a restart signs nobody out.
//!
//! It must never replace an existing file, whatever is in it, and never leave a half-written one to be read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

use super::Secret;
use super::secret::SHORTEST;

/// The file's name in the data folder.
pub(super) const FILE: &str = "secrets.json";
/// The name of the file with the encryption secret: a file of its own, because the other one may already
/// exist.
pub(super) const ENCRYPTION_FILE: &str = "encryption-secret";

/// Why there are no generated secrets.
#[derive(Debug, thiserror::Error)]
pub(super) enum GenerateError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no randomness: {0}")]
    Random(#[from] rand::rand_core::OsError),
    #[error("{FILE} is damaged; remove it to have new ones made, which signs everybody out")]
    Damaged,
    #[error("{ENCRYPTION_FILE} is damaged; what was sealed with it cannot be read without it")]
    EncryptionDamaged,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    access: String,
    refresh: String,
}

/// The access and the refresh secret of this folder, generated if they do not exist yet.
pub(super) fn load_or_make(folder: &Path) -> Result<(Secret, Secret), GenerateError> {
    let file = folder.join(FILE);
    if !file.try_exists()? {
        let kept = Kept { access: random_hex()?, refresh: random_hex()? };
        publish(folder, &file, &serde_json::to_vec_pretty(&kept).map_err(io::Error::from)?)?;
    }
    let kept: Kept = serde_json::from_slice(&fs::read(&file)?).map_err(|_| GenerateError::Damaged)?;
    if kept.access.len() < SHORTEST || kept.refresh.len() < SHORTEST {
        return Err(GenerateError::Damaged);
    }
    Ok((Secret::new(kept.access), Secret::new(kept.refresh)))
}

/// The encryption secret of this folder, generated if it does not exist yet.
pub(super) fn load_or_make_encryption(folder: &Path) -> Result<Secret, GenerateError> {
    let file = folder.join(ENCRYPTION_FILE);
    if !file.try_exists()? {
        publish(folder, &file, format!("{}\n", random_hex()?).as_bytes())?;
    }
    let kept = fs::read_to_string(&file)?;
    let secret = kept.trim();
    if secret.len() < SHORTEST { Err(GenerateError::EncryptionDamaged) } else { Ok(Secret::new(secret)) }
}

/// Writes a complete temporary file and links it to its name, which fails if another process was first: then
/// the other's file counts.
fn publish(folder: &Path, file: &Path, text: &[u8]) -> Result<(), GenerateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let aside = file.with_extension(format!("{}.tmp", &random_hex()?[..16]));
    let linked = write_new(&aside, text).and_then(|()| fs::hard_link(&aside, file));
    let removed = fs::remove_file(&aside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(removed?),
    }
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// 32 bytes of the system's randomness.
fn random_hex() -> Result<String, GenerateError> {
    let mut bytes = [0_u8; 32];
    OsRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_look() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        load_or_make(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&folder.join(FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn all_who_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let starts = (0..16).map(|_| {
            let path = folder.path().to_owned();
            std::thread::spawn(move || load_or_make(&path).unwrap())
        });
        let made =
            starts.collect::<Vec<_>>().into_iter().map(|start| start.join().unwrap()).collect::<Vec<_>>();
        assert!(made.iter().all(|secrets| *secrets == made[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in ["", "{", r#"{"access":"","refresh":""}"#] {
            fs::write(folder.path().join(FILE), damaged).unwrap();
            assert!(matches!(load_or_make(folder.path()), Err(GenerateError::Damaged)), "{damaged}");
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), damaged);
        }
    }
}
