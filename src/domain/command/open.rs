//! Opening a session, under the limit.

use std::net::IpAddr;

use super::{Command, Decision};
use crate::domain::authentication::{Authentication, Methods};
use crate::domain::device::Device;
use crate::domain::event::{LedgerEvent, OpenedBy};
use crate::domain::ids::{SessionId, SessionToken};
use crate::domain::ledger::{Ledger, ending};
use crate::domain::policy::{AtLimit, Policy};
use crate::domain::reason::EndReason;
use crate::domain::session::{Delivery, Refresh, Session, SessionProfile, Times};
use crate::domain::time::Timestamp;

/// Opens a session for a person who has proved who they are.
#[derive(Clone, Debug)]
pub struct Open {
    /// Id of the session to be.
    pub id: SessionId,
    /// Random token of the session to be.
    pub token: SessionToken,
    /// The device.
    pub device: Device,
    /// Where from.
    pub ip_address: Option<IpAddr>,
    /// Sign-up or login.
    pub occasion: OpenedBy,
    /// How the person proved who they are.
    pub methods: Methods,
    /// Whether the person asked to stay signed in on this device; none where nothing was said.
    pub remember: Option<bool>,
    /// How the refresh token is to be delivered.
    pub delivery: Delivery,
}

/// A session was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Those that ended to make room.
    pub evicted: Vec<SessionId>,
}

/// Why none was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefusal {
    /// The account is disabled.
    Disabled,
    /// The user has as many sessions as allowed, and the policy is to refuse.
    LimitReached {
        /// How many are allowed.
        max_sessions: usize,
    },
}

impl Command for Open {
    type Reply = Result<Opened, OpenRefusal>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        if ledger.account.disabled {
            return Decision::unchanged(Err(OpenRefusal::Disabled));
        }
        let max_sessions = policy.max_sessions.max(1);
        let excess = (ledger.live().len() + 1).saturating_sub(max_sessions);
        if excess > 0 && policy.at_limit == AtLimit::Reject {
            return Decision::unchanged(Err(OpenRefusal::LimitReached { max_sessions }));
        }
        let evictions: Vec<_> = least_recently_active(ledger, excess)
            .into_iter()
            .map(|session| ending(session, EndReason::Evicted, None, now))
            .collect();
        let evicted = evictions.iter().map(|ending| ending.session).collect();
        let session = self.session(now, policy);
        let opened = LedgerEvent::Opened { session: session.clone(), occasion: self.occasion.clone() };
        Decision {
            events: evictions.into_iter().map(LedgerEvent::Ended).chain([opened]).collect(),
            reply: Ok(Opened { session, evicted }),
        }
    }
}

impl Open {
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
            times: Times { idle_timeout: policy.idle_timeout, expires_at: now.plus(policy.lifetime) },
            authentication: Authentication { at: now, methods: self.methods },
            last_activity: now,
            refresh: Refresh::first(now),
            tokens_expire_at: now.plus(policy.access_expiry),
        }
    }
}

/// The `count` sessions that were active longest ago; of equals the older one.
fn least_recently_active(ledger: &Ledger, count: usize) -> Vec<&Session> {
    let mut sessions: Vec<_> = ledger.live().iter().collect();
    sessions.sort_by_key(|session| (session.last_activity, session.profile.created_at, session.id()));
    sessions.truncate(count);
    sessions
}
