//! Mails the person when a reused refresh token ends a session, in the same commit.

use std::sync::Arc;

use super::{Command, Decision};
use crate::domain::event::LedgerEvent;
use crate::domain::ledger::Ledger;
use crate::domain::mail::NewMail;
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;

/// Makes the mail only when it is needed, because almost no refresh needs it.
#[derive(Clone)]
pub struct Notice(Arc<dyn Fn() -> NewMail + Send + Sync>);

impl Notice {
    /// A notice made by this function.
    #[must_use]
    pub fn new(make: impl Fn() -> NewMail + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notice")
    }
}

/// A command that may detect reuse, and the mail to send then.
#[derive(Clone, Debug)]
pub struct WithTheftNotice<C> {
    /// The command.
    pub command: C,
    /// Makes the mail; `None` where mail is off.
    pub notice: Option<Notice>,
}

impl<C: Command> Command for WithTheftNotice<C> {
    type Reply = C::Reply;
    const REPEATABLE: bool = C::REPEATABLE;

    fn name() -> &'static str {
        C::name()
    }

    fn decide(&self, ledger: &Ledger, now: Timestamp, policy: &Policy) -> Decision<Self::Reply> {
        let mut decision = self.command.decide(ledger, now, policy);
        let mut endings = decision.events.iter().filter_map(LedgerEvent::ending);
        if endings.any(|ending| ending.reason == EndReason::RefreshTokenReused)
            && let Some(Notice(make)) = &self.notice
        {
            decision.events.push(LedgerEvent::Mailed(Box::new(make())));
        }
        decision
    }
}
