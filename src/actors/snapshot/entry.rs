//! One live session in a snapshot: the part shared between snapshots, and the part that changes with the
//! version.

use std::sync::Arc;

use crate::actors::live_session::LiveSession;
use crate::domain::authentication::Authentication;
use crate::domain::ids::{SessionId, SessionToken};
use crate::domain::session::{Refresh, Session};
use crate::domain::time::Timestamp;

/// A live session, with its parts that change with the version.
#[derive(Clone, Debug)]
pub(super) struct SnapshotEntry {
    /// The session's own id, so that finding a session need not dereference the others.
    pub(super) id: SessionId,
    pub(super) token: SessionToken,
    pub(super) session: Arc<LiveSession>,
    pub(super) issued_at: Timestamp,
    pub(super) tokens_expire_at: Timestamp,
    pub(super) authentication: Authentication,
    pub(super) generation: u32,
    pub(super) floor: u32,
}

impl SnapshotEntry {
    pub(super) fn new(session: &Session, live: Arc<LiveSession>) -> Self {
        let Refresh { generation, issued_at, floor, .. } = session.refresh;
        Self {
            id: session.id(),
            token: session.token,
            session: live,
            issued_at,
            tokens_expire_at: session.tokens_expire_at,
            authentication: session.authentication,
            generation,
            floor,
        }
    }

    pub(super) fn session(&self) -> Session {
        let Self { token, tokens_expire_at, authentication, .. } = *self;
        Session {
            profile: self.session.profile.clone(),
            token,
            times: self.session.times(),
            authentication,
            last_activity: self.session.last_activity(),
            refresh: self.refresh(),
            tokens_expire_at,
        }
    }

    /// The current refresh token.
    pub(super) fn refresh(&self) -> Refresh {
        let Self { issued_at, generation, floor, .. } = *self;
        let seen_at = self.session.sighting.seen_at(generation, self.session.profile.created_at);
        Refresh { generation, issued_at, seen_at, floor }
    }

    /// Whether an entry for that session would be the same, except for activity and sightings.
    pub(super) fn shows(&self, session: &Session) -> bool {
        self.id == session.id()
            && self.token == session.token
            && self.session.times() == session.times
            && self.authentication == session.authentication
            && self.tokens_expire_at == session.tokens_expire_at
            && (self.generation, self.issued_at, self.floor)
                == (session.refresh.generation, session.refresh.issued_at, session.refresh.floor)
    }
}
