//! Refresh tokens, for any order of refreshes, lost answers, uses and replays.

use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::{login, policy};
use crate::domain::command::{ChangePassword, RefreshRefusal, Refreshed, RotateRefresh, decide};
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::ledger::Ledger;
use crate::domain::password_hash::PasswordHash;
use crate::domain::policy::Policy;
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;

const GRACE: Duration = Duration::from_secs(10);

/// What a client does, or an attacker with a copy of a token that the client had.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    /// The client refreshes with the token it holds; the answer may be lost on the way.
    Refresh {
        lost: bool,
    },
    /// The client presents its access token.
    Use,
    /// An attacker presents the refresh token of that many generations ago.
    Replay(u32),
    /// The person changes the password.
    Change,
}

fn honest() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..30_000u64).prop_map(Step::Wait),
        any::<bool>().prop_map(|lost| Step::Refresh { lost }),
        Just(Step::Use),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![6 => honest(), 2 => (1..4u32).prop_map(Step::Replay), 1 => Just(Step::Change)]
}

/// One session, and the client that it belongs to.
struct Story {
    policy: Policy,
    now: Timestamp,
    ledger: Ledger,
    session: SessionId,
    /// Generation of the tokens that the client has.
    held: u32,
}

impl Story {
    fn new() -> Self {
        let policy = Policy {
            idle_timeout: Duration::from_secs(1_000_000),
            lifetime: Duration::from_secs(1_000_000),
            refresh_reuse_grace: GRACE,
            ..policy(1)
        };
        let now = Timestamp::from_millis(1_000_000);
        let mut ledger = Ledger::new(UserId::new(Uuid::from_u128(1)), Role::Starter, 0, now, Vec::new());
        let open = login(100);
        decide(&open, &ledger, now, &policy).events.iter().for_each(|event| ledger.apply(event));
        Self { policy, now, ledger, session: open.id, held: 1 }
    }

    fn refresh(&mut self, generation: u32) -> Result<Refreshed, RefreshRefusal> {
        let command = RotateRefresh { session: self.session, generation };
        let decision = decide(&command, &self.ledger, self.now, &self.policy);
        decision.events.iter().for_each(|event| self.ledger.apply(event));
        if let Ok(refreshed) = &decision.reply {
            let stored = self.ledger.find(self.session).expect("it goes on");
            assert_eq!(stored, &refreshed.session);
            let last = self.now.plus(self.policy.access_expiry);
            assert!(stored.tokens_expire_at >= last, "an access token outlives what was announced");
        }
        decision.reply
    }

    fn change_password(&mut self) {
        let command = ChangePassword {
            session: self.session,
            token: SessionToken::new(Uuid::from_u128(self.now.millis().unsigned_abs().into())),
            password: PasswordHash::from_stored(String::new()),
            shown: self.ledger.account.credentials_changed_at,
            end_others: true,
            mails: Vec::new(),
        };
        let decision = decide(&command, &self.ledger, self.now, &self.policy);
        decision.events.iter().for_each(|event| self.ledger.apply(event));
        self.held = decision.reply.expect("it is live").refreshed.session.refresh.generation;
    }

    /// Returns false when the session has ended.
    fn step(&mut self, step: Step) -> bool {
        let before = self.ledger.find(self.session).expect("it is live").refresh;
        match step {
            Step::Wait(millis) => self.now = self.now.plus(Duration::from_millis(millis)),
            Step::Use => self.ledger.record_sighting(self.session, self.held, self.now),
            Step::Refresh { lost } => {
                let refreshed = self.refresh(self.held);
                let generation = refreshed.map(|refreshed| refreshed.session.refresh.generation);
                assert!(generation != Err(RefreshRefusal::Unknown));
                match generation {
                    Ok(generation) if !lost => self.held = generation,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
            Step::Replay(back) => {
                let shown = before.generation.saturating_sub(back);
                let is_replaced = back == 1;
                let seen_long_ago =
                    before.seen_at.is_some_and(|at| at.max(before.issued_at).plus(GRACE) < self.now);
                let reply = self.refresh(shown);
                if shown == 0 || shown < before.floor {
                    assert_eq!(reply, Err(RefreshRefusal::Unknown));
                } else if is_replaced && !seen_long_ago {
                    assert_eq!(
                        reply.expect("it may be a lost answer").session.refresh,
                        before,
                        "nothing rotates"
                    );
                } else {
                    assert_eq!(reply, Err(RefreshRefusal::Reused));
                    let ending = self.ledger.remembered_ending(self.session).expect("it has ended");
                    assert_eq!(ending.reason, EndReason::RefreshTokenReused);
                    return false;
                }
            }
            Step::Change => {
                self.change_password();
                let after = self.ledger.find(self.session).expect("it stays");
                assert_eq!((after.refresh.floor, after.refresh.generation), (self.held, self.held));
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_lost_answer_signs_nobody_out(steps in prop::collection::vec(honest(), 1..60)) {
        let mut story = Story::new();
        for step in steps {
            prop_assert!(story.step(step), "signed out by {step:?}");
        }
    }

    #[test]
    fn a_replaced_token_that_comes_back_is_theft(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut story = Story::new();
        for step in steps {
            if !story.step(step) {
                prop_assert!(story.ledger.live().is_empty());
                break;
            }
        }
    }
}
