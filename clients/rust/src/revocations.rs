//! Following endings over HTTP (`GET /revocations`), where Redis cannot be reached. A stream that
//! breaks or falls silent is reopened with the last cursor, at any node of the auth service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use tokio::time::sleep;

use crate::ended_sessions::{EndedSessions, Ending, RETRY, SILENCE};

/// Longest message that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// Why a stream ended, other than by reaching its end.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("the auth service answered {0}")]
    Status(StatusCode),
    #[error("a message of the stream is too long or no text")]
    Message,
}

/// The content of the messages that have a name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Told {
    since: String,
    elapsed_ms: u64,
}

/// The address of the stream of endings, and the key with the scope `tokens:introspect`.
pub(crate) struct Revocations {
    pub(crate) http: Client,
    pub(crate) url: String,
    pub(crate) authorization: HeaderValue,
}

impl Revocations {
    /// A client for streams: the service sends something at least twice a second.
    pub(crate) fn client() -> reqwest::Result<Client> {
        Client::builder()
            .connect_timeout(SILENCE)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
    }

    /// Reads until the task is aborted. Remembered endings are kept when a stream ends: the next
    /// stream continues from the cursor, or says that it does not.
    pub(crate) async fn follow(self, sessions: Arc<EndedSessions>) {
        let mut cursor = None;
        loop {
            if let Err(error) = self.read(&sessions, &mut cursor).await
                && sessions.warnings.is_due(Instant::now())
            {
                tracing::warn!(%error, "the endings of the auth service cannot be followed");
            }
            sleep(RETRY).await;
        }
    }

    async fn read(&self, sessions: &EndedSessions, cursor: &mut Option<String>) -> Result<(), StreamError> {
        let mut request = self.http.get(&self.url).header(ACCEPT, "text/event-stream");
        request = request.header(AUTHORIZATION, self.authorization.clone());
        if let Some(cursor) = cursor {
            request = request.header("last-event-id", cursor.as_str());
        }
        let requested = Instant::now();
        let mut answer = request.send().await?;
        if answer.status() != StatusCode::OK {
            if answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
                // It is of another auth service.
                *cursor = None;
            }
            return Err(StreamError::Status(answer.status()));
        }
        let mut bytes: Vec<u8> = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            bytes.extend_from_slice(&chunk);
            let Some(end) = bytes.windows(2).rposition(|pair| pair == b"\n\n") else {
                if bytes.len() > LONGEST {
                    return Err(StreamError::Message);
                }
                continue;
            };
            let rest = bytes.split_off(end + 2);
            let text =
                String::from_utf8(std::mem::replace(&mut bytes, rest)).map_err(|_| StreamError::Message)?;
            for message in text.split_terminator("\n\n") {
                if let Some(reached) = take(sessions, message, requested)? {
                    *cursor = Some(reached);
                }
            }
            sessions.forget_now_and_then();
        }
        Ok(())
    }
}

/// Handles one message; returns the cursor that it leads to.
fn take(sessions: &EndedSessions, message: &str, requested: Instant) -> Result<Option<String>, StreamError> {
    let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
    let Some(data) = field("data: ") else { return Ok(None) };
    match field("event: ") {
        None => sessions.note(serde_json::from_str::<Ending>(data)?),
        Some("reset") => {
            let told: Told = serde_json::from_str(data)?;
            let since = DateTime::parse_from_rfc3339(&told.since).ok();
            sessions.begin_anew(since.map(|since| since.timestamp_millis()), requested);
        }
        Some("heartbeat") => {
            let told: Told = serde_json::from_str(data)?;
            // The service counts from when the request reached it, which was after it was sent. So
            // this time is never too late, whatever the delays on the way.
            sessions.reached(requested + Duration::from_millis(told.elapsed_ms));
            return Ok(field("id: ").map(str::to_owned));
        }
        Some(_) => {}
    }
    Ok(None)
}
