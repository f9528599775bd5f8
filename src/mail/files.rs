//! Used if no mail server is set: each mail becomes a file that only its owner can read, and a log line says
//! where it is.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;

use super::SendError;
use super::message::Message;
use crate::domain::time::Timestamp;

/// Most files of one kind in the same millisecond.
const MOST_ALIKE: u32 = 1_000;

/// The folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Writes the message to a new file.
    pub(super) async fn keep(&self, message: &Message, now: Timestamp) -> Result<(), SendError> {
        match self.write(message, now).await {
            Ok(path) => {
                tracing::info!(path = %path.display(), kind = message.kind, "mail.file");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "mail.file_failed");
                Err(SendError::NotYet("file".to_owned()))
            }
        }
    }

    async fn write(&self, message: &Message, now: Timestamp) -> io::Result<PathBuf> {
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).await?;
        for number in 1..MOST_ALIKE {
            let path = path(&self.0, message.kind, now, number);
            let mut options = tokio::fs::OpenOptions::new();
            match options.write(true).create_new(true).mode(0o600).open(&path).await {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                file => {
                    let mut file = file?;
                    file.write_all(&message.bytes).await?;
                    file.sync_all().await?;
                    return Ok(path);
                }
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

/// `<time>-<kind>.eml`; with a number if there already is a file of that name.
fn path(folder: &Path, kind: &str, now: Timestamp, number: u32) -> PathBuf {
    let time = now.to_string().replace(['-', ':'], "");
    let more = if number == 1 { String::new() } else { format!("-{number}") };
    folder.join(format!("{time}-{kind}{more}.eml"))
}
