//! Which sessions are over, as far as the stream of events tells.
//!
//! The stream and not Pub/Sub: both bring an event at once, but only the stream still has it for a service that was not
//! listening. So what is missed and what is new come the same way. Every process reads all of it for itself: a consumer
//! group would give each event to one of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use chrono::DateTime;
use jsonwebtoken::get_current_timestamp;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use serde_json::Value;

use super::tokens::Claims;

const STREAM: &str = "auth:events";
const BATCH: usize = 1000;
/// How long one read waits for more, in ms.
const WAIT_MS: usize = 250;
/// A line that is silent for so long is a dead one.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was up to date so long ago is not any more. The auth service's nodes trust each other for as long.
const STALE: Duration = Duration::from_secs(1);
/// Clocks of different machines differ by less than this, and a token is signed so soon after its session changed.
const SLACK_MS: i64 = 5000;

/// What is known of a token's session.
#[derive(Clone, Copy)]
pub(crate) enum Standing {
    Live,
    Ended,
    /// Only the auth service knows.
    Unsure,
}

/// What was read. All times are in ms.
struct Known {
    /// Session id to when its last access token has run out: after that it may be forgotten.
    ended: HashMap<String, i64>,
    /// Session id to when the auth service called it live, and when that may be forgotten.
    confirmed: HashMap<String, (i64, i64)>,
    /// Endings before this are not known, by the clock of Redis.
    since: i64,
    /// When there was nothing left to read.
    read_all: Option<Instant>,
}

/// Shared by whoever reads the stream and whoever asks.
pub(crate) struct EndedSessions(Mutex<Known>);

impl Default for EndedSessions {
    fn default() -> Self {
        let (ended, confirmed) = (HashMap::new(), HashMap::new());
        Self(Mutex::new(Known { ended, confirmed, since: i64::MAX, read_all: None }))
    }
}

impl EndedSessions {
    pub(crate) fn standing(&self, claims: &Claims) -> Standing {
        let known = self.known();
        if known.ended.contains_key(&claims.sid) {
            return Standing::Ended;
        }
        // A session was live when its token was signed. If that was after `since`, its ending would have been read.
        let confirmed = known.confirmed.get(&claims.sid).map_or(0, |(at, _)| *at);
        let live_at = confirmed.max(claims.iat * 1000);
        let heard = live_at > known.since.saturating_add(SLACK_MS);
        if heard && known.up_to_date() { Standing::Live } else { Standing::Unsure }
    }

    pub(crate) fn up_to_date(&self) -> bool {
        self.known().up_to_date()
    }

    /// The auth service has said that this session was live then: spares the next question.
    pub(crate) fn confirm(&self, claims: &Claims, at: i64) {
        self.known().confirmed.insert(claims.sid.clone(), (at, claims.exp * 1000));
    }

    /// Reads for as long as the process lives.
    pub(crate) async fn follow(&self, client: &Client) {
        let mut last = None;
        loop {
            // A line that breaks or falls silent is not mended but replaced, so that it is known where reading goes on.
            let Err(error) = self.read(client, &mut last).await;
            eprintln!("redis: {error}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// `last` is the id of the last entry read; without one, reading begins.
    async fn read(&self, client: &Client, last: &mut Option<String>) -> RedisResult<Infallible> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let mut line = client.get_multiplexed_async_connection_with_config(&config).await?;
        let options = StreamReadOptions::default().count(BATCH).block(WAIT_MS);
        loop {
            let Some(from) = last.clone() else {
                *last = self.begin(&mut line).await?;
                continue;
            };
            // Sent together. Is the last entry read still there, then nothing after it was trimmed away or lost with Redis.
            let (held, found): (StreamRangeReply, Option<StreamReadReply>) = redis::pipe()
                .xrange(STREAM, &from, &from)
                .xread_options(&[STREAM], &[&from], &options)
                .query_async(&mut line)
                .await?;
            if held.ids.is_empty() {
                *last = None;
                continue;
            }
            let keys = found.map(|found| found.keys).unwrap_or_default();
            let entries: Vec<_> = keys.into_iter().flat_map(|key| key.ids).collect();
            *last = Some(entries.last().map_or(from, |entry| entry.id.clone()));
            self.known().take(&entries);
        }
    }

    /// Takes the stream from its oldest entry. What came before is not known, and nothing is where there is none.
    async fn begin(&self, line: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
        self.known().read_all = None;
        let oldest: StreamRangeReply = line.xrange_count(STREAM, "-", "+", 1).await?;
        let Some(entry) = oldest.ids.first() else {
            sleep(Duration::from_millis(WAIT_MS as u64)).await;
            return Ok(None);
        };
        let mut known = self.known();
        // The id of an entry begins with the ms in which it was added.
        known.since = entry.id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(i64::MAX);
        known.note(entry);
        Ok(Some(entry.id.clone()))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn up_to_date(&self) -> bool {
        self.read_all.is_some_and(|at| at.elapsed() < STALE)
    }

    /// Takes in a batch. A full one may not be the last.
    fn take(&mut self, entries: &[StreamId]) {
        entries.iter().for_each(|entry| self.note(entry));
        if entries.len() < BATCH {
            self.read_all = Some(Instant::now());
        }
        let now = now();
        self.ended.retain(|_, until| *until >= now);
        self.confirmed.retain(|_, (_, until)| *until >= now);
    }

    fn note(&mut self, entry: &StreamId) {
        let data: String = entry.get("data").unwrap_or_default();
        let event: Value = serde_json::from_str(&data).unwrap_or_default();
        if !matches!(event["event"].as_str(), Some("session.terminated" | "session.deleted")) {
            return;
        }
        let expire = DateTime::parse_from_rfc3339(event["tokensExpireAt"].as_str().unwrap_or_default());
        let until = expire.map_or(i64::MAX, |at| at.timestamp_millis() + SLACK_MS);
        if let Some(session) = event["sessionId"].as_str() {
            self.ended.insert(session.to_owned(), until);
        }
    }
}

/// The time of day in ms, to the second.
pub(crate) fn now() -> i64 {
    i64::try_from(get_current_timestamp()).unwrap_or(i64::MAX / 1000) * 1000
}
