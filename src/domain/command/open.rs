//! Opening a session, under the limit.

use std::net::IpAddr;

use super::{Command, Decision};
use crate::domain::authentication::{Authentication, Methods};
use crate::domain::device::Device;
use crate::domain::event::{Ending, LedgerEvent, OpenedBy};
use crate::domain::ids::{SessionId, SessionToken};
use crate::domain::ledger::{Ledger, ending};
use crate::domain::policy::{AtLimit, Policy};
use crate::domain::reason::EndReason;
use crate::domain::session::{Delivery, Refresh, Session, SessionProfile};
use crate::domain::time::Timestamp;

/// Opens a session for a person who has authenticated.
#[derive(Clone, Debug)]
pub struct Open {
    /// Id of the new session.
    pub id: SessionId,
    /// Random token of the new session.
    pub token: SessionToken,
    /// The device.
    pub device: Device,
    /// The address it is opened from.
    pub ip_address: Option<IpAddr>,
    /// Sign-up or login.
    pub occasion: OpenedBy,
    /// How the person authenticated.
    pub methods: Methods,
    /// Whether the person asked to stay signed in on this device; `None` if the request did not say.
    pub remember: Option<bool>,
    /// How the refresh token is delivered.
    pub delivery: Delivery,
    /// When the credentials that the person presented were last changed: outdated credentials open no
    /// session.
    pub shown: Option<Timestamp>,
    /// Sessions that the person chose to end.
    pub ends: Vec<SessionId>,
    /// The session that the same browser was signed in to.
    pub replaces: Vec<Replaces>,
}

/// A session that a new one replaces, as identified by its refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// The session.
    pub session: SessionId,
    /// Generation of the refresh token; an invalid one ends nothing.
    pub generation: u32,
}

impl Replaces {
    /// The session, if it is live and the token is valid.
    pub(super) fn find<'a>(
        &self,
        ledger: &'a Ledger,
        now: Timestamp,
        policy: &Policy,
    ) -> Option<&'a Session> {
        let session = ledger.find(self.session)?;
        session.refresh.accepts(self.generation, now, policy.refresh_reuse_grace).then_some(session)
    }
}

/// A session was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// The sessions that were evicted to make room.
    pub evicted: Vec<SessionId>,
}

/// Why no session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefusal {
    /// The account is disabled.
    Disabled,
    /// The credentials that were presented are no longer current.
    Outdated,
    /// The user has reached the session limit, and the policy is to refuse or to ask.
    LimitReached {
        /// How many are allowed.
        max_sessions: usize,
        /// Whether the person may choose which sessions end.
        asks: bool,
    },
}

impl Command for Open {
    type Reply = Result<Opened, OpenRefusal>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        if ledger.account.disabled {
            return Decision::unchanged(Err(OpenRefusal::Disabled));
        }
        if ledger.account.credentials_changed_at != self.shown {
            return Decision::unchanged(Err(OpenRefusal::Outdated));
        }
        let (mut endings, staying) = self.split_endings(ledger, now, policy);
        let max_sessions = policy.max_sessions.max(1);
        let excess = (staying.len() + 1).saturating_sub(max_sessions);
        if excess > 0 && policy.at_limit != AtLimit::EvictOldest {
            let asks = policy.at_limit == AtLimit::Ask;
            return Decision::unchanged(Err(OpenRefusal::LimitReached { max_sessions, asks }));
        }
        let evictions = least_recently_active(staying, excess)
            .into_iter()
            .map(|session| ending(session, EndReason::Evicted, None, now));
        let first_evicted = endings.len();
        endings.extend(evictions);
        let evicted = endings[first_evicted..].iter().map(|ending| ending.session).collect();
        let session = self.session(now, policy);
        let opened = LedgerEvent::Opened { session: session.clone(), occasion: self.occasion.clone() };
        Decision {
            events: endings.into_iter().map(LedgerEvent::Ended).chain([opened]).collect(),
            reply: Ok(Opened { session, evicted }),
        }
    }
}

impl Open {
    /// The sessions that end regardless of the limit, and those that stay.
    fn split_endings<'a>(
        &self,
        ledger: &'a Ledger,
        now: Timestamp,
        policy: &Policy,
    ) -> (Vec<Ending>, Vec<&'a Session>) {
        let replaced: Vec<_> =
            self.replaces.iter().filter_map(|it| it.find(ledger, now, policy)).map(Session::id).collect();
        let (mut endings, mut staying) = (Vec::new(), Vec::new());
        for session in ledger.live() {
            if replaced.contains(&session.id()) {
                endings.push(ending(session, EndReason::Replaced, None, now));
            } else if self.ends.contains(&session.id()) {
                endings.push(ending(session, EndReason::Terminated, Some(self.id), now));
            } else {
                staying.push(session);
            }
        }
        (endings, staying)
    }

    fn session(&self, now: Timestamp, policy: &Policy) -> Session {
        Session {
            profile: SessionProfile {
                id: self.id,
                device: self.device.clone(),
                ip_address: self.ip_address,
                created_at: now,
                remember: self.remember,
                delivery: self.delivery,
            },
            token: self.token,
            times: policy.times(now, self.remember),
            authentication: Authentication { at: now, methods: self.methods },
            last_activity: now,
            refresh: Refresh::first(now),
            tokens_expire_at: now.plus(policy.access_expiry),
        }
    }
}

/// The `count` least recently active sessions; of equally recent ones, the older first.
fn least_recently_active(mut sessions: Vec<&Session>, count: usize) -> Vec<&Session> {
    sessions.sort_by_key(|session| (session.last_activity, session.profile.created_at, session.id()));
    sessions.truncate(count);
    sessions
}
