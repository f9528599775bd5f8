//! The steps between proving who one is and an open session, in their one order. Pure: what the account
//! requires and what has been shown are arguments.
//!
//! It must never let a step be skipped: a session is opened only when [`next_step`] has none left. Choosing
//! sessions to end comes last and is decided with the ledger, by [`super::command::Open`].

use serde::{Deserialize, Serialize};

use super::authentication::Methods;

/// What a person may have to do before a session is opened, in the order in which it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Show a second factor.
    SecondFactor,
    /// Set a second factor up, because the role must have one.
    Enrolment,
    /// Show that the account's mailbox is theirs.
    EmailVerification,
    /// Choose a new password.
    PasswordChange,
    /// Choose which sessions end to make room.
    SessionChoice,
}

/// How something was shown that a password alone does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// A code of an authenticator app.
    Totp,
    /// A recovery code.
    RecoveryCode,
    /// A passkey that never leaves its device. It verified the person, so it is two factors by itself.
    DevicePasskey,
    /// A passkey that is kept in step over several devices; two factors likewise.
    SyncedPasskey,
}

impl Factor {
    /// What it is in the words of RFC 8176.
    #[must_use]
    pub const fn methods(self) -> Methods {
        match self {
            Self::Totp => Methods::OTP,
            Self::RecoveryCode => Methods::RECOVERY_CODE,
            Self::DevicePasskey => Methods::HARDWARE_KEY.with(Methods::USER_VERIFIED),
            Self::SyncedPasskey => Methods::SOFTWARE_KEY.with(Methods::USER_VERIFIED),
        }
    }

    /// Whether it proves possession and the person at the same time.
    #[must_use]
    pub const fn is_passkey(self) -> bool {
        matches!(self, Self::DevicePasskey | Self::SyncedPasskey)
    }
}

/// What has been shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The password.
    pub password: bool,
    /// A second factor, or a passkey.
    pub factor: Option<Factor>,
}

impl Shown {
    /// The password and nothing else.
    pub const PASSWORD: Self = Self { password: true, factor: None };

    /// The same, and this besides.
    #[must_use]
    pub const fn and(self, factor: Factor) -> Self {
        Self { factor: Some(factor), ..self }
    }

    /// The methods to be claimed of a session that is opened with it (RFC 8176).
    #[must_use]
    pub fn methods(self) -> Methods {
        let none = Methods::from_bits(0).unwrap_or(Methods::PASSWORD);
        let password = if self.password { Methods::PASSWORD } else { none };
        let factor = self.factor.map_or(none, Factor::methods);
        let both = if self.is_two_factors() { Methods::MULTIPLE_FACTORS } else { none };
        password.with(factor).with(both)
    }

    /// Whether it is two factors.
    #[must_use]
    pub const fn is_two_factors(self) -> bool {
        match self.factor {
            Some(factor) => self.password || factor.is_passkey(),
            None => false,
        }
    }

    /// Whether it proves anything: a recovery code or a code of an app alone does not.
    #[must_use]
    pub const fn identifies(self) -> bool {
        self.password || self.is_two_factors()
    }
}

/// What an account requires of a person who signs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The account has a second factor.
    pub has_second_factor: bool,
    /// Its role must have one.
    pub must_have_second_factor: bool,
    /// Its mailbox must be shown and has not been.
    pub verify_email: bool,
    /// Its password must be changed.
    pub change_password: bool,
}

/// The first step that is left; none when only the session limit can still stand in the way.
#[must_use]
pub fn next_step(requirements: Requirements, shown: Shown) -> Option<Step> {
    let Requirements { has_second_factor, must_have_second_factor, verify_email, change_password } =
        requirements;
    let two_factors = shown.is_two_factors();
    match () {
        () if has_second_factor && !two_factors => Some(Step::SecondFactor),
        () if must_have_second_factor && !has_second_factor && !two_factors => Some(Step::Enrolment),
        () if verify_email => Some(Step::EmailVerification),
        () if change_password => Some(Step::PasswordChange),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A sign-in as `/login` and `/login/continue` conduct it: an answer counts only for the step that was
    /// asked for.
    #[derive(Debug)]
    struct SignIn {
        requirements: Requirements,
        shown: Shown,
        asked: Vec<Step>,
        /// The limit stands in the way until sessions are chosen.
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

        /// An answer to a step, with what it shows where it is right.
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

    const STEPS: [Step; 5] = [
        Step::SecondFactor,
        Step::Enrolment,
        Step::EmailVerification,
        Step::PasswordChange,
        Step::SessionChoice,
    ];
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
}
