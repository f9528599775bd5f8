//! Every order of the steps of a sign-in.

use proptest::prelude::*;

use super::*;

/// A sign-in as `/login` and `/login/continue` conduct it: an answer counts only for the step that was
/// requested.
#[derive(Debug)]
struct SignIn {
    requirements: Requirements,
    shown: Shown,
    asked: Vec<Step>,
    /// At the session limit until sessions are chosen.
    at_limit: bool,
    open: bool,
}

impl SignIn {
    fn begin(requirements: Requirements, shown: Shown, at_limit: bool) -> Self {
        let mut sign_in = Self { requirements, shown, asked: Vec::new(), at_limit, open: false };
        sign_in.advance();
        sign_in
    }

    fn step(&self) -> Option<Step> {
        self.asked.last().copied()
    }

    fn advance(&mut self) {
        match next_step(self.requirements, self.shown) {
            Some(step) => self.asked.push(step),
            None if self.at_limit => self.asked.push(Step::SessionChoice),
            None => self.open = true,
        }
    }

    /// An answer to a step, with the factor it proves if it is right.
    fn answer(&mut self, step: Step, factor: Factor, right: bool) {
        if self.open || self.step() != Some(step) || !right {
            return;
        }
        match step {
            Step::SecondFactor => self.shown = self.shown.and(factor),
            Step::Enrolment => {
                self.requirements.has_second_factor = true;
                self.shown = self.shown.and(factor);
            }
            Step::EmailVerification => self.requirements.verify_email = false,
            Step::PasswordChange => self.requirements.change_password = false,
            Step::SessionChoice => self.at_limit = false,
        }
        self.advance();
    }
}

const STEPS: [Step; 5] =
    [Step::SecondFactor, Step::Enrolment, Step::EmailVerification, Step::PasswordChange, Step::SessionChoice];
const FACTORS: [Factor; 4] =
    [Factor::Totp, Factor::RecoveryCode, Factor::DevicePasskey, Factor::SyncedPasskey];

fn requirements() -> impl Strategy<Value = Requirements> {
    any::<[bool; 4]>().prop_map(|[has, must, email, password]| Requirements {
        has_second_factor: has,
        must_have_second_factor: must,
        verify_email: email,
        change_password: password,
    })
}

fn shown() -> impl Strategy<Value = Shown> {
    prop_oneof![
        Just(Shown::PASSWORD),
        Just(Shown::default().and(Factor::DevicePasskey)),
        Just(Shown::default().and(Factor::SyncedPasskey)),
    ]
}

fn answers() -> impl Strategy<Value = Vec<(Step, Factor, bool)>> {
    let answer = (prop::sample::select(&STEPS[..]), prop::sample::select(&FACTORS[..]), any::<bool>());
    prop::collection::vec(answer, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn no_session_before_the_last_step(
        requirements in requirements(),
        shown in shown(),
        at_limit in any::<bool>(),
        answers in answers(),
    ) {
        let mut sign_in = SignIn::begin(requirements, shown, at_limit);
        for (step, factor, right) in answers {
            sign_in.answer(step, factor, right);
            if sign_in.open {
                let (now, shown) = (sign_in.requirements, sign_in.shown);
                prop_assert!(!now.verify_email && !now.change_password && !sign_in.at_limit);
                prop_assert!(shown.is_two_factors() || !(now.has_second_factor || now.must_have_second_factor));
                prop_assert!(shown.identifies());
            }
        }
        prop_assert!(sign_in.asked.is_sorted_by(|one, next| one < next), "{:?}", sign_in.asked);
    }

    #[test]
    fn right_answers_lead_to_a_session(
        requirements in requirements(),
        shown in shown(),
        at_limit in any::<bool>(),
        factor in prop::sample::select(&FACTORS[..]),
    ) {
        let mut sign_in = SignIn::begin(requirements, shown, at_limit);
        while let (false, Some(step)) = (sign_in.open, sign_in.step()) {
            sign_in.answer(step, factor, true);
            prop_assert!(sign_in.asked.len() <= STEPS.len());
        }
        prop_assert!(sign_in.open);
    }
}

#[test]
fn a_password_does_not_go_round_a_passkey() {
    let requirements = Requirements { has_second_factor: true, ..Requirements::default() };
    assert_eq!(next_step(requirements, Shown::PASSWORD), Some(Step::SecondFactor));
    assert_eq!(next_step(requirements, Shown::default().and(Factor::SyncedPasskey)), None);
}
