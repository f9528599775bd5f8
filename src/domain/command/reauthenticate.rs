//! A person authenticates again in a session that goes on.

use super::refresh::{Refreshed, renewed};
use super::{Command, Decision, SessionOver};
use crate::domain::authentication::{Authentication, Methods};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::SessionId;
use crate::domain::ledger::Ledger;
use crate::domain::policy::Policy;
use crate::domain::session::Session;
use crate::domain::sign_in::Factor;
use crate::domain::time::Timestamp;

/// Records the new authentication, and rotates the session's tokens with it.
#[derive(Clone, Copy, Debug)]
pub struct Reauthenticate {
    /// The session.
    pub session: SessionId,
    /// How the person authenticated.
    pub methods: Methods,
    /// When the credentials that were presented were last changed.
    pub shown: Option<Timestamp>,
}

/// Why the authentication does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReauthenticateRefusal {
    /// The session is over.
    Over(SessionOver),
    /// The credentials that were presented are no longer current.
    Outdated,
    /// The person has a second factor but presented only one factor.
    SecondFactorNeeded,
}

impl Command for Reauthenticate {
    type Reply = Result<Refreshed, ReauthenticateRefusal>;
    const REPEATABLE: bool = false;

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        let refused = |refusal| Decision::unchanged(Err(refusal));
        let Some(session) = ledger.find(self.session) else {
            return refused(ReauthenticateRefusal::Over(SessionOver::of(ledger, self.session)));
        };
        if ledger.account.credentials_changed_at != self.shown {
            return refused(ReauthenticateRefusal::Outdated);
        }
        if ledger.account.factors > 0 && !self.methods.contains(Methods::MULTIPLE_FACTORS) {
            return refused(ReauthenticateRefusal::SecondFactorNeeded);
        }
        let session = Session {
            authentication: Authentication { at: now, methods: self.methods },
            ..renewed(session, now, policy)
        };
        Decision {
            events: vec![LedgerEvent::Renewed { session: session.clone(), announced: true }],
            reply: Ok(Refreshed { session, role: ledger.role }),
        }
    }
}

/// The person has presented a second factor while setting it up: it is added to the methods recorded
/// before, and no token is rotated.
#[derive(Clone, Copy, Debug)]
pub struct NoteProof {
    /// The session.
    pub session: SessionId,
    /// The factor that was presented.
    pub factor: Factor,
}

impl Command for NoteProof {
    type Reply = ();
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, now: Timestamp, _: &Policy) -> Decision<()> {
        let Some(session) = ledger.find(self.session) else { return Decision::unchanged(()) };
        let before = session.authentication.methods;
        let methods = before.with(self.factor.methods()).with(Methods::MULTIPLE_FACTORS);
        let session = Session { authentication: Authentication { at: now, methods }, ..session.clone() };
        Decision { events: vec![LedgerEvent::Renewed { session, announced: false }], reply: () }
    }
}

/// Lists the live sessions, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub struct ListLive;

/// The live sessions of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSessions {
    /// In no order.
    pub sessions: Vec<Session>,
    /// How many there may be.
    pub max_sessions: usize,
}

impl Command for ListLive {
    type Reply = LiveSessions;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, _: Timestamp, policy: &Policy) -> Decision<LiveSessions> {
        let sessions = ledger.live().to_vec();
        Decision::unchanged(LiveSessions { sessions, max_sessions: policy.max_sessions.max(1) })
    }
}

/// Reads the latest authentication, as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct ReadProof {
    /// The session.
    pub session: SessionId,
}

/// What the person has proved in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// When and how the person authenticated.
    pub authentication: Authentication,
    /// How many second factors the person has.
    pub factors: u32,
}

impl Proof {
    /// Whether the person has a second factor and has not presented it.
    #[must_use]
    pub fn lacks_second_factor(&self) -> bool {
        self.factors > 0 && !self.authentication.methods.contains(Methods::MULTIPLE_FACTORS)
    }
}

impl Command for ReadProof {
    type Reply = Result<Proof, SessionOver>;
    const REPEATABLE: bool = true;

    fn decide(&self, ledger: &Ledger, _: Timestamp, _: &Policy) -> Decision<Self::Reply> {
        let proof = |session: &Session| Proof {
            authentication: session.authentication,
            factors: ledger.account.factors,
        };
        let found = ledger.find(self.session).map(proof);
        Decision::unchanged(found.ok_or_else(|| SessionOver::of(ledger, self.session)))
    }
}
