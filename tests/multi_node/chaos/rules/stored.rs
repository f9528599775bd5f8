//! What the database and the stream contain, once everything is intact again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::{Ending, LIMIT, TIMEOUT_MS, Violation};
use crate::multi_node::chaos::history::Entry;
use crate::support::Cluster;
use crate::support::redis::StreamEvent;
use crate::support::time::unix_millis;

/// A session ends at most this long after its deadline.
const NOTICED_MS: i64 = 5_000;
/// Longer, if a node was frozen in the middle of a change: the database releases its locks after 5 s.
const HELD_UP_MS: i64 = 6_000;

pub(crate) struct Row {
    pub(crate) last_activity: i64,
    pub(crate) expires_at: i64,
    pub(crate) ended_at: Option<i64>,
    pub(crate) end_reason: Option<String>,
}

pub(crate) struct Stored {
    sessions: HashMap<String, Row>,
    /// Each event once, in the order of the stream.
    events: Vec<StreamEvent>,
    /// When the sessions were read.
    read_at: i64,
}

impl Stored {
    /// Reads the sessions of those who signed up since then, and afterwards the events: by then every
    /// ending that was seen is published.
    pub(crate) async fn read(cluster: &Cluster, since: i64) -> Self {
        let sessions = format!(
            "SELECT sessions.id::text, last_activity, expires_at, ended_at, end_reason, user_id::text \
             FROM sessions JOIN users ON users.id = user_id WHERE users.created_at >= {since}"
        );
        let read_at = unix_millis();
        let mut users = HashSet::new();
        let row = |row: sea_orm::QueryResult| {
            let session = Row {
                last_activity: row.try_get_by_index(1).unwrap(),
                expires_at: row.try_get_by_index(2).unwrap(),
                ended_at: row.try_get_by_index(3).unwrap(),
                end_reason: row.try_get_by_index(4).unwrap(),
            };
            users.insert(row.try_get_by_index::<String>(5).unwrap());
            (row.try_get_by_index(0).unwrap(), session)
        };
        let sessions = cluster.query(&sessions).await.into_iter().map(row).collect();
        cluster.all_is_published(Duration::from_secs(30)).await;
        let mut events = cluster.redis.events().await;
        events.retain(|event| users.contains(event.text("userId")));
        Self { sessions, events, read_at }
    }

    pub(crate) fn find(&self, session: &str) -> Option<&Row> {
        self.sessions.get(session)
    }

    /// Rules 1 and 4: what was answered is stored, with the reason that was answered.
    pub(super) fn check_story(
        &self,
        session: &str,
        opened: &Entry,
        endings: &[Ending<'_>],
    ) -> Result<(), Violation> {
        let Some(row) = self.find(session) else {
            return Err(Violation::new("rule 4", "a session that was answered is not stored").by([opened]));
        };
        for Ending { entry, reason } in endings {
            if row.ended_at.is_none() {
                return Err(
                    Violation::new("rule 4", "an ending that was answered is not stored").by([*entry])
                );
            }
            if reason.is_some() && row.end_reason.as_deref() != *reason {
                let what = format!("stored as {:?}", row.end_reason);
                return Err(Violation::new("rule 1", what).by([*entry]));
            }
        }
        Ok(())
    }

    /// Rule 1: time ends sessions, neither too early nor too late.
    pub(super) fn check_times(&self) -> Result<(), Violation> {
        for (session, row) in &self.sessions {
            let idle_at = row.last_activity + TIMEOUT_MS;
            let earliest = match row.end_reason.as_deref() {
                Some("idle_timeout") => idle_at,
                Some("expired") => row.expires_at,
                _ => i64::MIN,
            };
            let ended = row.ended_at.unwrap_or(self.read_at);
            let latest = idle_at.min(row.expires_at) + NOTICED_MS + HELD_UP_MS;
            if ended < earliest || ended > latest {
                let what = format!(
                    "session {session} ({:?}), idle from {idle_at}, expiring at {}, was ended or still live at {ended}",
                    row.end_reason, row.expires_at
                );
                return Err(Violation::new("rule 1", what));
            }
        }
        Ok(())
    }

    /// The stream contains each session's opening and ending once, in order, and never more live
    /// sessions at a time than the limit.
    pub(super) fn check_events(&self) -> Result<(), Violation> {
        let mut live: HashMap<&str, HashSet<&str>> = HashMap::new();
        let mut created = HashSet::new();
        let mut ended: HashMap<&str, &str> = HashMap::new();
        let broken = |what: String| Err(Violation::new("rules 2 and 4, as told on the stream", what));
        for event in &self.events {
            let (user, session) = (event.text("userId"), event.text("sessionId"));
            let theirs = live.entry(user).or_default();
            let in_order = match event.text("event") {
                "session.created" => theirs.insert(session) && created.insert(session),
                "session.deleted" => {
                    ended.insert(session, event.text("reason"));
                    theirs.remove(session)
                }
                "session.terminated" => {
                    ended.insert(session, "terminated");
                    theirs.remove(session)
                }
                _ => true,
            };
            if !in_order {
                return broken(format!("out of order or told twice: {event:?}"));
            }
            if theirs.len() > LIMIT {
                return broken(format!("{} sessions of one user after {event:?}", theirs.len()));
            }
        }
        for (session, row) in &self.sessions {
            if !created.contains(session.as_str()) {
                return broken(format!("no event reports the opening of session {session}"));
            }
            let told = ended.get(session.as_str()).copied();
            if row.ended_at.is_some() && told != row.end_reason.as_deref() {
                return broken(format!("session {session} ended as {:?}, told {told:?}", row.end_reason));
            }
        }
        Ok(())
    }
}
