//! Is this session live? The check behind every protected request reads the snapshot. It asks the actor only
//! when there is no snapshot, when it is out of date, or when the session's time seems to be up.

use std::sync::Arc;
use std::time::Duration;

use super::activity::Written;
use super::live_session::LiveSession;
use super::messages::ActorError;
use super::registry::Registry;
use super::snapshot::Snapshot;
use super::user_slot::UserSlot;
use crate::bus::internal::DeduplicatedMessage;
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::events::announcement::Announcer;

/// How often the actor is asked before the request is refused. It is asked again when another node has
/// changed the user between the reading and its use. With four attempts, two nodes on which 10 clients
/// signed in as three users without pause refused one request in 3,000.
const MAX_ATTEMPTS: usize = 16;
/// Added to the moment at which a deadline becomes final, so that it has certainly passed for the actor.
const SETTLING: Duration = Duration::from_millis(2);

/// A session that was live when it was checked.
#[derive(Clone, Debug)]
pub struct ActiveSession {
    /// The session.
    pub session: Arc<LiveSession>,
    /// Its user's sessions.
    pub snapshot: Arc<Snapshot>,
    /// The user's slot on this node.
    pub slot: Arc<UserSlot>,
    /// When it was checked.
    pub now: Timestamp,
}

/// Shortest time between two messages to the other nodes about one session's activity.
const ACTIVITY_WORD: Duration = Duration::from_secs(1);

/// What is known of the session that a token names.
#[derive(Clone, Debug)]
pub enum SessionStatus {
    /// It is live.
    Active(ActiveSession),
    /// It is over; the reason is missing if it ended long ago, or if there never was such a session.
    Over(Option<EndReason>),
    /// It is live, but the token is not one of its tokens.
    TokenMismatch,
}

/// What is checked, and at what time.
#[derive(Clone, Copy)]
struct Subject {
    session: SessionId,
    token: Option<SessionToken>,
    now: Timestamp,
}

/// What a snapshot can say about a session.
enum SnapshotVerdict {
    /// The status.
    Known(SessionStatus),
    /// It is not live, as of this snapshot.
    Absent,
    /// Its time seems to be up; that is certain from that moment on, unless there is activity.
    Due(Timestamp),
    /// Nothing: there is no snapshot, or it is out of date.
    NoSnapshot,
}

impl Registry {
    /// The status of a session.
    ///
    /// # Errors
    /// [`ActorError`] when it cannot be determined; then the request must be refused.
    pub async fn status(
        &self,
        user: UserId,
        session: SessionId,
        token: Option<SessionToken>,
    ) -> Result<SessionStatus, ActorError> {
        if !self.freshness().is_fresh() {
            return Err(ActorError::Stale);
        }
        let subject = Subject { session, token, now: self.clock().now() };
        if let Some(status) = self.try_cached(user, subject) {
            return Ok(status);
        }
        for _ in 0..MAX_ATTEMPTS {
            let slot = match self.end_overdue(user).await {
                Ok(slot) => slot,
                Err(ActorError::NoSuchUser) => return Ok(SessionStatus::Over(Some(EndReason::UserDeleted))),
                Err(error) => return Err(error),
            };
            match self.inspect(&slot, subject) {
                SnapshotVerdict::Known(status) => return Ok(status),
                SnapshotVerdict::Absent => {
                    return Ok(SessionStatus::Over(self.store().lookup_ending(user, session).await?));
                }
                // Another node may have seen activity: the answer waits until that is certain.
                SnapshotVerdict::Due(settled) => {
                    tokio::time::sleep(self.clock().now().until(settled) + SETTLING).await
                }
                // Another node has changed something since the actor answered.
                SnapshotVerdict::NoSnapshot => {}
            }
        }
        Err(ActorError::NoAnswer)
    }

    /// The status of a session at this moment, if the snapshot alone determines it.
    #[must_use]
    pub fn cached_status(
        &self,
        user: UserId,
        session: SessionId,
        token: Option<SessionToken>,
        now: Timestamp,
    ) -> Option<SessionStatus> {
        let subject = Subject { session, token, now };
        self.freshness().is_fresh().then(|| self.try_cached(user, subject)).flatten()
    }

    fn try_cached(&self, user: UserId, subject: Subject) -> Option<SessionStatus> {
        match self.inspect(&self.get(user)?, subject) {
            SnapshotVerdict::Known(status) => Some(status),
            SnapshotVerdict::Absent | SnapshotVerdict::Due(_) | SnapshotVerdict::NoSnapshot => None,
        }
    }

    /// What the snapshot alone says: no database, no mailbox.
    fn inspect(&self, slot: &Arc<UserSlot>, subject: Subject) -> SnapshotVerdict {
        let Subject { session, token, now } = subject;
        let Some(snapshot) = slot.fresh_snapshot().and_then(|shown| Option::clone(&*shown)) else {
            return SnapshotVerdict::NoSnapshot;
        };
        let Some((live, current)) = snapshot.find_with_token(session) else {
            let ending = snapshot.remembered_ending(session);
            return ending.map_or(SnapshotVerdict::Absent, |reason| {
                SnapshotVerdict::Known(SessionStatus::Over(Some(reason)))
            });
        };
        if token.is_some_and(|token| token != current) {
            return SnapshotVerdict::Known(SessionStatus::TokenMismatch);
        }
        let policy = self.policy_ref(snapshot.role);
        let deadline = live.idle_expires_at();
        if deadline <= now {
            return SnapshotVerdict::Due(deadline.plus(policy.idle_margin));
        }
        slot.used(now);
        let (session, slot) = (Arc::clone(live), Arc::clone(slot));
        SnapshotVerdict::Known(SessionStatus::Active(ActiveSession { session, snapshot, slot, now }))
    }

    /// The policy of a role, without copying it.
    #[must_use]
    pub fn policy_ref(&self, role: Role) -> &Policy {
        self.dependencies().policies.for_role(role)
    }

    /// Records that a session was active: an atomic step on the snapshot, and a note for the flusher.
    /// Other services are notified at intervals. Returns the latest activity; `None` if the session may
    /// have ended at this very moment.
    pub fn note_activity(&self, session: &Arc<LiveSession>, now: Timestamp) -> Option<Timestamp> {
        let latest = self.activity().note(session, now)?;
        self.announce_activity(session, latest, now);
        Some(latest)
    }

    /// The same for a report that is acknowledged: it counts whatever happens afterwards. Where several
    /// nodes serve, it is stored first if the stored activity is old.
    ///
    /// # Errors
    /// [`ActorError::NoAnswer`] when it could not be stored in time; it may have been stored.
    pub async fn report_activity(
        &self,
        active: &ActiveSession,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ActorError> {
        let session = &active.session;
        let Some(latest) = self.activity().note(session, now) else { return Ok(None) };
        if self.store().is_shared() && session.needs_write_through(now) {
            // Boxed to keep the common future small.
            match Box::pin(self.activity().write_through(session)).await {
                Some(Written::Stored) => {}
                Some(Written::Over) => {
                    // Another node has ended it, and this one must read that before it answers further
                    // requests.
                    active.slot.invalidate();
                    return Ok(None);
                }
                None => {
                    self.metrics().activity_written_through.with_label_values(&["failed"]).inc();
                    return Err(ActorError::NoAnswer);
                }
            }
        }
        self.announce_activity(session, latest, now);
        Ok(Some(latest))
    }

    fn announce_activity(&self, session: &Arc<LiveSession>, latest: Timestamp, now: Timestamp) {
        let dependencies = self.dependencies();
        let tells = session.tell_again(now, dependencies.activity_event_interval);
        if session.tell_nodes_again(now, ACTIVITY_WORD) || tells {
            self.tell_activity(session, latest, tells);
        }
        if tells {
            let announcer = Announcer::new(&dependencies.service_name, session.user, now);
            dependencies.bus.publish_once(DeduplicatedMessage {
                session: session.id(),
                interval: dependencies.activity_event_interval,
                message: announcer.activity(session.id(), latest).into_message(),
            });
        }
        if session.take_warned() {
            self.request_reload(session.user);
        }
    }
}
