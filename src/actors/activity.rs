//! Activity on its way to the database: noted by requests without waiting, written by the flusher in batches.
//!
//! Bound: one entry a session, so never more than there are sessions of resident users; `auth_activity_pending`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::DashMap;

use super::snapshot::LiveSession;
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;
use crate::storage::activity::SeenActivity;

/// Sessions whose latest activity the database does not have yet.
#[derive(Debug, Default)]
pub struct ActivityBuffer(DashMap<SessionId, Arc<LiveSession>>);

impl ActivityBuffer {
    /// Notes that a session was active. Returns its latest activity, or nothing if the session is just being ended
    /// for idleness: then it must be asked for again whether it is live.
    pub fn note(&self, session: &Arc<LiveSession>, at: Timestamp) -> Option<Timestamp> {
        session.advance(at);
        if session.is_sealed() {
            return None;
        }
        if !session.unwritten.swap(true, Ordering::SeqCst) {
            self.hold(session);
        }
        Some(session.last_activity())
    }

    /// A user who was retired, or whose actor was lost, comes back with another value of the same session, while a
    /// request may still hold the one from before. The buffer holds one of them, and both know what either knew.
    fn hold(&self, session: &Arc<LiveSession>) {
        let before = self.0.insert(session.id(), Arc::clone(session));
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, session)) {
            // Cleared before the time is read: activity noted on it after that takes its place here again.
            before.unwritten.store(false, Ordering::SeqCst);
            session.advance(before.last_activity());
            before.advance(session.last_activity());
        }
    }

    /// Activity of that session that may not be written yet.
    #[must_use]
    pub fn pending(&self, session: SessionId) -> Option<Timestamp> {
        self.0.get(&session).map(|live| live.last_activity())
    }

    /// How many sessions wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is to be written now. It stays noted until [`ActivityBuffer::written`].
    pub(super) fn batch(&self) -> Vec<SeenActivity> {
        let seen = |live: &LiveSession| {
            // Cleared before the time is read: activity that comes after is noted again and kept.
            live.unwritten.store(false, Ordering::Release);
            SeenActivity { user: live.user, session: live.id(), at: live.last_activity() }
        };
        self.0.iter().map(|entry| seen(entry.value())).collect()
    }

    /// Forgets what has been written, unless there was activity since.
    pub(super) fn written(&self, batch: &[SeenActivity]) {
        for seen in batch {
            self.0.remove_if(&seen.session, |_, live| {
                !live.unwritten.load(Ordering::Acquire) && live.last_activity() <= seen.at
            });
        }
    }
}
