//! Which sessions are over, according to the stream of events: the one on Redis, or that of `GET
//! /revocations`.
//!
//! The stream rather than Pub/Sub: both deliver an event equally fast, but only the stream still
//! has it for a reader that was not listening. Every process reads the whole stream for itself; a
//! consumer group would give each event to one of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use serde::Deserialize;
use tokio::time::sleep;

use crate::once_a_minute::OnceAMinute;
use crate::remembered::Remembered;

const BATCH: usize = 1000;
pub(crate) const RETRY: Duration = Duration::from_millis(200);
/// A connection that is silent for this long is considered dead.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);
/// Clocks of different machines differ by less than this, and a token is signed this soon after its session
/// changed.
const SLACK_MS: i64 = 5000;
const FORGET_EVERY: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 86_400_000;

/// A session that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which session.
    pub session_id: String,
    /// Whose.
    pub user_id: String,
    /// Why, in the words of the events.
    pub reason: String,
}

/// What is known about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    Live,
    Ended(String),
    /// Only the auth service knows.
    Unsure,
}

/// Called for each session that ends.
pub type Listener = Box<dyn Fn(&Ended) + Send + Sync>;

/// What was read. Times in ms are since the epoch.
#[derive(Default)]
struct Known {
    ended: Remembered,
    /// Sessions that the auth service confirmed as live after reading began, and until when that is
    /// of use.
    confirmed: HashMap<String, i64>,
    /// Endings before this are not known, by the clock of Redis.
    since: Option<i64>,
    /// When reading began.
    begun: Option<Instant>,
    /// When the last read began that reached the end of the stream.
    up_to_date: Option<Instant>,
    /// When old endings were last forgotten.
    forgot: Option<Instant>,
}

pub(crate) struct EndedSessions {
    known: Mutex<Known>,
    max_staleness: Duration,
    /// How long after their expiry tokens are still accepted.
    tolerance: Duration,
    listener: Option<Listener>,
    /// That the events cannot be followed: they are tried five times a second.
    pub(crate) warnings: OnceAMinute,
}

#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(flatten)]
    ending: Ending,
}

/// What an event says about a session that is over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ending {
    session_id: Option<String>,
    user_id: Option<String>,
    reason: Option<String>,
    tokens_expire_at: Option<String>,
}

impl EndedSessions {
    pub(crate) fn new(max_staleness: Duration, tolerance: Duration, listener: Option<Listener>) -> Self {
        let warnings = OnceAMinute::default();
        Self { known: Mutex::default(), max_staleness, tolerance, listener, warnings }
    }

    /// What is known about the session of a token that was signed at `iat` (seconds).
    pub(crate) fn of(&self, sid: &str, iat: i64) -> Knowledge {
        let known = self.lock();
        if let Some(reason) = known.ended.reason(sid) {
            return Knowledge::Ended(reason.to_owned());
        }
        // A session was live when its token was signed. If that was after `since`, its ending would have been
        // read.
        let followed = known.since.is_some_and(|since| iat.saturating_mul(1000) > since + SLACK_MS);
        if self.is_fresh(&known) && (followed || known.confirmed.contains_key(sid)) {
            Knowledge::Live
        } else {
            Knowledge::Unsure
        }
    }

    /// Whether an ending that happened `max_staleness` ago is known, since when every ending is
    /// known (ms), and how many are remembered.
    pub(crate) fn status(&self) -> (bool, Option<i64>, usize) {
        let known = self.lock();
        (self.is_fresh(&known), known.since, known.ended.len())
    }

    /// Records that the auth service confirmed this session as live when it was asked.
    pub(crate) fn confirm(&self, sid: &str, exp: i64, asked: Instant) {
        let mut known = self.lock();
        // An ending after that is published after reading began, so it will be read.
        if known.begun.is_some_and(|begun| asked > begun) {
            known.confirmed.insert(sid.to_owned(), exp.saturating_mul(1000));
        }
    }

    fn is_fresh(&self, known: &Known) -> bool {
        known.up_to_date.is_some_and(|at| at.elapsed() < self.max_staleness)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until the task is aborted. A connection that breaks or falls silent is replaced rather
    /// than repaired, so that it is known where reading resumes.
    pub(crate) async fn follow(self: Arc<Self>, client: Client, stream: String) {
        let mut last = None;
        loop {
            if let Err(error) = self.read(&client, &stream, &mut last).await
                && self.warnings.is_due(Instant::now())
            {
                tracing::warn!(%error, "the events of the auth service cannot be followed");
            }
            sleep(RETRY).await;
        }
    }

    async fn read(&self, client: &Client, stream: &str, last: &mut Option<String>) -> RedisResult<()> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(SILENCE))
            .set_response_timeout(Some(SILENCE));
        let mut redis = client.get_multiplexed_async_connection_with_config(&config).await?;
        loop {
            self.forget_now_and_then();
            *last = match last.take() {
                None => self.begin(&mut redis, stream).await?,
                // The position is kept if reading fails, so that reading can resume there over
                // another connection.
                Some(place) => match self.read_on(&mut redis, stream, &place).await {
                    Ok(next) => next,
                    Err(error) => {
                        *last = Some(place);
                        return Err(error);
                    }
                },
            };
        }
    }

    async fn read_on(
        &self,
        redis: &mut MultiplexedConnection,
        stream: &str,
        place: &str,
    ) -> RedisResult<Option<String>> {
        let asked = Instant::now();
        // Two reads must fit into `max_staleness`.
        let wait = (self.max_staleness / 4).min(Duration::from_millis(250));
        let options = StreamReadOptions::default().count(BATCH).block(wait.as_millis() as usize);
        let (held, found): (StreamRangeReply, Option<StreamReadReply>) = redis::pipe()
            .xrange(stream, place, place)
            .xread_options(&[stream], &[place], &options)
            .query_async(redis)
            .await?;
        // While the last entry read is still there, nothing after it was trimmed or lost with
        // Redis.
        if held.ids.is_empty() {
            self.forget_place();
            return Ok(None);
        }
        let entries = found.and_then(|mut reply| reply.keys.pop()).map_or_else(Vec::new, |key| key.ids);
        let next = self.take(&entries).unwrap_or_else(|| place.to_owned());
        // Everything published before this read was sent has been read, if the reply was not full.
        if entries.len() < BATCH {
            self.lock().up_to_date = Some(asked);
        }
        Ok(Some(next))
    }

    /// Starts with the oldest entry. What came before it is not known; without a stream nothing is
    /// known.
    async fn begin(&self, redis: &mut MultiplexedConnection, stream: &str) -> RedisResult<Option<String>> {
        let begun = Instant::now();
        let first: StreamRangeReply = redis.xrange_count(stream, "-", "+", 1).await?;
        // The id of an entry begins with the milliseconds at which it was added.
        let since = first.ids.first().and_then(|entry| entry.id.split('-').next()?.parse::<i64>().ok());
        let Some(since) = since else {
            sleep(RETRY).await;
            return Ok(None);
        };
        {
            let mut known = self.lock();
            (known.since, known.begun) = (Some(since), Some(begun));
        }
        Ok(self.take(&first.ids))
    }

    /// Records the endings among the entries, and returns the id of the last entry.
    fn take(&self, entries: &[StreamId]) -> Option<String> {
        for entry in entries {
            let data: Option<String> = entry.get("data");
            let Ok(event) = serde_json::from_str::<Event>(&data.unwrap_or_default()) else {
                tracing::warn!(id = entry.id, "an entry of the stream is not an event");
                continue;
            };
            if matches!(event.event.as_str(), "session.terminated" | "session.deleted") {
                self.note(event.ending);
            }
        }
        entries.last().map(|entry| entry.id.clone())
    }

    fn forget_place(&self) {
        let mut known = self.lock();
        (known.since, known.begun, known.up_to_date) = (None, None, None);
        known.confirmed.clear();
    }

    /// Reading starts afresh: endings before `since` are not known.
    pub(crate) fn begin_anew(&self, since: Option<i64>, begun: Instant) {
        self.forget_place();
        let mut known = self.lock();
        (known.since, known.begun) = (since, Some(begun));
    }

    /// Every ending stored before then is known.
    pub(crate) fn reached(&self, at: Instant) {
        let mut known = self.lock();
        known.up_to_date = known.up_to_date.max(Some(at.min(Instant::now())));
    }

    pub(crate) fn note(&self, event: Ending) {
        let Some(session_id) = event.session_id else { return };
        let reason = event.reason.unwrap_or_else(|| "terminated".to_owned());
        let expiry = event.tokens_expire_at.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
        let expiry = expiry.map_or_else(|| now_ms() + DAY_MS, |time| time.timestamp_millis());
        let until = expiry + self.tolerance.as_millis() as i64 + SLACK_MS;
        let new = {
            let mut known = self.lock();
            known.confirmed.remove(&session_id);
            known.ended.add(&session_id, &reason, until)
        };
        if let (true, Some(listener)) = (new, &self.listener) {
            listener(&Ended { session_id, user_id: event.user_id.unwrap_or_default(), reason });
        }
    }

    pub(crate) fn forget_now_and_then(&self) {
        let mut known = self.lock();
        if known.forgot.is_some_and(|forgot| forgot.elapsed() < FORGET_EVERY) {
            return;
        }
        known.forgot = Some(Instant::now());
        let now = now_ms();
        known.ended.forget(now);
        known.confirmed.retain(|_, until| *until >= now);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks for the time of day, to forget what is old"
)]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_remembered_for_as_long_as_a_token_is_accepted() {
        let sessions = EndedSessions::new(Duration::from_secs(1), Duration::from_secs(60), None);
        for (sid, seconds_ago) in [("laptop", 30), ("phone", 90)] {
            let ran_out = DateTime::from_timestamp_millis(now_ms() - seconds_ago * 1000);
            sessions.note(Ending {
                session_id: Some(sid.to_owned()),
                user_id: None,
                reason: Some("logout".to_owned()),
                tokens_expire_at: ran_out.map(|time| time.to_rfc3339()),
            });
        }
        sessions.forget_now_and_then();
        assert_eq!(sessions.of("laptop", 0), Knowledge::Ended("logout".to_owned()));
        assert_eq!(sessions.of("phone", 0), Knowledge::Unsure);
    }
}
