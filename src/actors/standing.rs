//! Is this session good? The check behind every protected request: a look at the snapshot, and the actor is asked
//! only when there is none, when it is out of date, or when the session's time seems to be up.

use std::sync::Arc;
use std::time::Duration;

use super::messages::ActorError;
use super::registry::{Registry, Shared};
use super::snapshot::{LiveSession, Snapshot};
use crate::clock::new_uuid;
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::events::announcement::Announcer;

/// How often the actor is asked before the request is refused for want of an answer.
const MAX_LOOKS: usize = 4;
/// Added to the moment at which a deadline is settled, so that the actor surely finds it past.
const SETTLING: Duration = Duration::from_millis(2);

/// A session that is live at the moment of asking.
#[derive(Clone, Debug)]
pub struct Present {
    /// The session.
    pub session: Arc<LiveSession>,
    /// Its user's sessions.
    pub snapshot: Arc<Snapshot>,
    /// The user's place on this node.
    pub shared: Arc<Shared>,
    /// When it was live.
    pub now: Timestamp,
}

/// How often the other nodes are told of one session's activity, at most.
const ACTIVITY_WORD: Duration = Duration::from_secs(1);

/// What is known of a session that a token names.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It is live.
    Present(Present),
    /// It is over; the reason is missing where it was long ago, or never was.
    Over(Option<EndReason>),
    /// It is live, but the token is not one of its tokens.
    Foreign,
}

/// What is looked for, and when.
#[derive(Clone, Copy)]
struct Subject {
    session: SessionId,
    token: Option<SessionToken>,
    now: Timestamp,
}

/// What a snapshot can tell of a session.
enum Look {
    /// Everything.
    Known(Standing),
    /// It is not live, as of this snapshot.
    Absent,
    /// Its time seems to be up; that is certain from then on, unless activity turns up.
    Due(Timestamp),
    /// Nothing: there is no snapshot, or it is out of date.
    Blind,
}

impl Registry {
    /// The standing of a session.
    ///
    /// # Errors
    /// [`ActorError`] when it cannot be told; then the request must be refused.
    pub async fn standing(
        &self,
        user: UserId,
        session: SessionId,
        token: Option<SessionToken>,
    ) -> Result<Standing, ActorError> {
        if !self.freshness().is_fresh() {
            return Err(ActorError::Stale);
        }
        let subject = Subject { session, token, now: self.clock().now() };
        if let Some(standing) = self.glance(user, subject) {
            return Ok(standing);
        }
        for _ in 0..MAX_LOOKS {
            let shared = match self.settle(user).await {
                Ok(shared) => shared,
                Err(ActorError::NoSuchUser) => return Ok(Standing::Over(Some(EndReason::UserDeleted))),
                Err(error) => return Err(error),
            };
            match self.look(&shared, subject) {
                Look::Known(standing) => return Ok(standing),
                Look::Absent => {
                    return Ok(Standing::Over(self.store().lookup_ending(user, session).await?));
                }
                // Another node may have seen activity: the answer waits until that is settled.
                Look::Due(settled) => tokio::time::sleep(self.clock().now().until(settled) + SETTLING).await,
                // Another node has changed something since the actor answered.
                Look::Blind => {}
            }
        }
        Err(ActorError::NoAnswer)
    }

    /// The standing of a session at this moment, if the snapshot alone can tell it.
    #[must_use]
    pub fn standing_at_once(
        &self,
        user: UserId,
        session: SessionId,
        token: SessionToken,
        now: Timestamp,
    ) -> Option<Standing> {
        let subject = Subject { session, token: Some(token), now };
        self.freshness().is_fresh().then(|| self.glance(user, subject)).flatten()
    }

    fn glance(&self, user: UserId, subject: Subject) -> Option<Standing> {
        match self.look(&self.peek(user)?, subject) {
            Look::Known(standing) => Some(standing),
            Look::Absent | Look::Due(_) | Look::Blind => None,
        }
    }

    /// What the snapshot alone can tell: no database, no mailbox.
    fn look(&self, shared: &Arc<Shared>, subject: Subject) -> Look {
        let Subject { session, token, now } = subject;
        let Some(snapshot) = shared.fresh_snapshot().and_then(|shown| Option::clone(&*shown)) else {
            return Look::Blind;
        };
        let Some(live) = snapshot.find(session) else {
            let ending = snapshot.remembered_ending(session);
            return ending.map_or(Look::Absent, |reason| Look::Known(Standing::Over(Some(reason))));
        };
        if token.is_some_and(|token| token != live.profile.token) {
            return Look::Known(Standing::Foreign);
        }
        let policy = self.policy_ref(snapshot.role);
        let deadline = live.idle_expires_at(policy);
        if deadline <= now {
            return Look::Due(deadline.plus(policy.idle_margin));
        }
        shared.used(now);
        let (session, shared) = (Arc::clone(live), Arc::clone(shared));
        Look::Known(Standing::Present(Present { session, snapshot, shared, now }))
    }

    /// The numbers for a role, without a copy.
    #[must_use]
    pub fn policy_ref(&self, role: Role) -> &Policy {
        self.tools().policies.for_role(role)
    }

    /// Notes that a session was active: an atomic step on the snapshot, and a note for the flusher. Other services are
    /// told now and then. Returns the latest activity; nothing if the session may have ended at this very moment.
    pub fn note_activity(&self, session: &Arc<LiveSession>, now: Timestamp) -> Option<Timestamp> {
        let latest = self.activity().note(session, now)?;
        let tools = self.tools();
        let tells = session.tell_again(now, tools.activity_event_interval);
        if session.tell_nodes_again(now, ACTIVITY_WORD) || tells {
            self.tell_activity(session, latest, tells);
        }
        if tells {
            let announcer =
                Announcer { service: &tools.service_name, user: session.user, now, new_id: new_uuid };
            tools.bus.publish_unkept(announcer.activity(session.id(), latest).into_message());
        }
        if session.take_warned() {
            self.look_again(session.user);
        }
        Some(latest)
    }
}
