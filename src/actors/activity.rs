//! Activity on its way to the database: noted by requests, written by the flusher in batches.
//!
//! A request almost never waits for that. It does if the stored activity is so old that another node
//! could end the session before the flusher is certain to have written the new one: see
//! [`LiveSession::needs_write_through`].
//!
//! Bounds: one note per session, so never more than the residents have sessions,
//! `auth_activity_pending`; one urgent entry per request that waits, for at most [`WAIT`].

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{Notify, oneshot};

use super::live_session::LiveSession;
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;
use crate::storage::activity::{SeenActivity, Unwritten};

/// How long a request waits for its activity to be stored.
const WAIT: Duration = Duration::from_secs(3);

/// What became of activity that had to be written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored: no node ends the session for idleness before its new deadline.
    Stored,
    /// The session had been ended.
    Over,
}

/// Activity to be written at once, and the request that waits for it.
#[derive(Debug)]
pub(super) struct Urgent {
    pub(super) session: Arc<LiveSession>,
    waiter: oneshot::Sender<Written>,
}

impl Urgent {
    /// Whether its request has given up.
    pub(super) fn is_abandoned(&self) -> bool {
        self.waiter.is_closed()
    }

    pub(super) fn answer(self, written: Written) {
        // A caller that has gone away meanwhile was answered that the outcome is unknown.
        let _ = self.waiter.send(written);
    }
}

/// Sessions whose latest activity the database does not have yet.
#[derive(Debug, Default)]
pub struct ActivityBuffer {
    noted: DashMap<SessionId, Arc<LiveSession>>,
    urgent: Mutex<Vec<Urgent>>,
    /// Notified when something must be written at once.
    bell: Notify,
}

impl ActivityBuffer {
    /// Records that a session was active. Returns its latest activity, or `None` if the session is just
    /// being ended for idleness: then the caller must check again whether it is live.
    pub fn note(&self, session: &Arc<LiveSession>, at: Timestamp) -> Option<Timestamp> {
        session.advance(at);
        if session.is_sealed() {
            return None;
        }
        // Read first, because nearly every report finds it set.
        if !session.unwritten.load(Ordering::SeqCst) && !session.unwritten.swap(true, Ordering::SeqCst) {
            self.hold(session);
        }
        Some(session.last_activity())
    }

    /// A user who was retired, or whose actor was lost, comes back with a new value of the same session,
    /// while a request may still have the old one. The buffer has one of them, and both get all activity
    /// that either of them had.
    fn hold(&self, session: &Arc<LiveSession>) {
        let before = self.noted.insert(session.id(), Arc::clone(session));
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, session)) {
            // Cleared before the time is read: activity recorded on it after that takes its place here
            // again.
            before.unwritten.store(false, Ordering::SeqCst);
            session.advance(before.last_activity());
            before.advance(session.last_activity());
            // The new value was read from the database merged with what was waiting here.
            session.lower_stored(before.stored_activity());
        }
    }

    /// Has recorded activity written at once, and waits for that. `None` if it is not known to have been
    /// stored in time.
    pub(super) async fn write_through(&self, session: &Arc<LiveSession>) -> Option<Written> {
        let (waiter, answer) = oneshot::channel();
        self.put_back(vec![Urgent { session: Arc::clone(session), waiter }]);
        self.bell.notify_one();
        tokio::time::timeout(WAIT, answer).await.ok()?.ok()
    }

    /// Waits until something must be written at once.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Takes what must be written at once; the caller is responsible for it from now on.
    pub(super) fn take_urgent(&self) -> Vec<Urgent> {
        std::mem::take(&mut *self.urgent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put_back(&self, urgent: Vec<Urgent>) {
        self.urgent.lock().unwrap_or_else(PoisonError::into_inner).extend(urgent);
    }

    pub(super) fn has_urgent(&self) -> bool {
        !self.urgent.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Activity of that session that may not be stored yet.
    #[must_use]
    pub fn pending(&self, session: SessionId) -> Option<Timestamp> {
        self.noted.get(&session).map(|live| live.last_activity())
    }

    /// How many sessions have unwritten activity.
    #[must_use]
    pub fn len(&self) -> usize {
        self.noted.len()
    }

    /// Whether no session has unwritten activity.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// What is to be written now. It stays in the buffer until [`ActivityBuffer::written`].
    pub(super) fn batch(&self) -> Vec<SeenActivity> {
        let seen = |live: &LiveSession| {
            // Cleared before the time is read: later activity is recorded again and is not lost.
            live.unwritten.store(false, Ordering::SeqCst);
            SeenActivity { user: live.user, session: live.id(), at: live.last_activity() }
        };
        self.noted.iter().map(|entry| seen(entry.value())).collect()
    }

    /// Removes what has been written, unless there was activity since. Rows that were locked stay in the
    /// buffer.
    pub(super) fn written(&self, batch: &[SeenActivity], unwritten: &[Unwritten]) {
        let unwritten: HashMap<_, _> = unwritten.iter().map(|left| (left.session, left.is_over)).collect();
        for seen in batch {
            let is_over = unwritten.get(&seen.session);
            if is_over == Some(&false) {
                continue;
            }
            self.noted.remove_if(&seen.session, |_, live| {
                if is_over.is_none() {
                    live.mark_stored(seen.at);
                }
                !live.unwritten.load(Ordering::Acquire) && live.last_activity() <= seen.at
            });
        }
    }
}
