//! Activity on its way to the database: noted by requests, written by the flusher in batches.
//!
//! Nearly always a request does not wait for that. Where the stored activity is so old that another node
//! could end the session before the flusher has surely come by, it does: see
//! [`LiveSession::is_stored_long_ago`].
//!
//! Bounds: one note a session, so never more than there are sessions of resident users,
//! `auth_activity_pending`; one entry of those to be written now a request that waits, for [`WAIT`].

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

/// What became of activity that was to be written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored: no node ends the session for idleness before its new deadline.
    Stored,
    /// The session had been ended.
    Over,
}

/// Activity to be written at once, and who waits for that.
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
    /// Rung when something is to be written at once.
    bell: Notify,
}

impl ActivityBuffer {
    /// Notes that a session was active. Returns its latest activity, or nothing if the session is just being
    /// ended for idleness: then it must be asked for again whether it is live.
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

    /// A user who was retired, or whose actor was lost, comes back with another value of the same session,
    /// while a request may still hold the one from before. The buffer holds one of them, and both know what
    /// either knew.
    fn hold(&self, session: &Arc<LiveSession>) {
        let before = self.noted.insert(session.id(), Arc::clone(session));
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, session)) {
            // Cleared before the time is read: activity noted on it after that takes its place here again.
            before.unwritten.store(false, Ordering::SeqCst);
            session.advance(before.last_activity());
            before.advance(session.last_activity());
            // What was read from the database then was taken together with what waited here.
            session.is_stored_no_later_than(before.stored_activity());
        }
    }

    /// Has activity that was noted written at once, and waits for that. Nothing if it is not known to be
    /// stored in time.
    pub(super) async fn write_through(&self, session: &Arc<LiveSession>) -> Option<Written> {
        let (waiter, answer) = oneshot::channel();
        self.put_back(vec![Urgent { session: Arc::clone(session), waiter }]);
        self.bell.notify_one();
        tokio::time::timeout(WAIT, answer).await.ok()?.ok()
    }

    /// Waits until something is to be written at once.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// What is to be written at once, in the hands of the caller from now on.
    pub(super) fn take_urgent(&self) -> Vec<Urgent> {
        std::mem::take(&mut *self.urgent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn put_back(&self, urgent: Vec<Urgent>) {
        self.urgent.lock().unwrap_or_else(PoisonError::into_inner).extend(urgent);
    }

    pub(super) fn has_urgent(&self) -> bool {
        !self.urgent.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Activity of that session that may not be written yet.
    #[must_use]
    pub fn pending(&self, session: SessionId) -> Option<Timestamp> {
        self.noted.get(&session).map(|live| live.last_activity())
    }

    /// How many sessions wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.noted.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// What is to be written now. It stays noted until [`ActivityBuffer::written`].
    pub(super) fn batch(&self) -> Vec<SeenActivity> {
        let seen = |live: &LiveSession| {
            // Cleared before the time is read: activity that comes after is noted again and kept.
            live.unwritten.store(false, Ordering::Release);
            SeenActivity { user: live.user, session: live.id(), at: live.last_activity() }
        };
        self.noted.iter().map(|entry| seen(entry.value())).collect()
    }

    /// Forgets what has been written, unless there was activity since. Rows that were locked stay noted.
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
