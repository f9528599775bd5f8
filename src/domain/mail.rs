//! What is mailed, to whom, and how long it is worth sending. No text and no codes: those are made when
//! a mail is sent.

use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::ids::UserId;
use super::time::Timestamp;

/// How long a mailed code is valid.
pub const CODE_GOOD_FOR: Duration = Duration::from_secs(600);
/// How long an invitation is valid.
pub const INVITATION_GOOD_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long a mail without a code is worth sending.
pub const NOTICE_GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

macro_rules! kinds {
    ($($name:ident = $word:literal, $doc:literal;)*) => {
        /// What a mail says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MailKind {
            $(#[doc = $doc] $name,)*
        }

        impl MailKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            /// The names of the kinds, in the same order.
            pub const NAMES: &[&str] = &[$($word,)*];

            /// The name in templates, rows and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

kinds! {
    PasswordReset = "password_reset", "A code and a link to set a new password with.";
    EmailVerification = "email_verification", "A code that shows whose mailbox it is.";
    EmailChange = "email_change", "A code that makes this address the account's.";
    EmailChangeNotice = "email_change_notice", "To the old address: that another one is to take its place.";
    EmailChangeTaken = "email_change_taken", "Somebody wanted this address for another account.";
    SignupExists = "signup_exists", "Somebody signed up with an address that has an account.";
    PasswordChanged = "password_changed", "The password was changed.";
    FactorAdded = "factor_added", "A second factor was added.";
    FactorRemoved = "factor_removed", "A second factor was removed.";
    PasskeySuspicious = "passkey_suspicious", "A passkey's counter went back: there may be a copy.";
    SessionTheft = "session_theft", "An old refresh token came again: a session was ended.";
    Invitation = "invitation", "A link to set the first password with.";
    AccountDeletion = "account_deletion", "The account will be deleted, or was.";
}

impl MailKind {
    /// The kind with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// The recipient of a mail.
#[derive(Clone, PartialEq, Eq)]
pub enum MailTo {
    /// The address that the account has when the mail is sent.
    User(UserId),
    /// This address, on behalf of that account if there is one.
    Address(String, Option<UserId>),
}

/// Personal data: not in logs.
impl std::fmt::Debug for MailTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(user) => write!(f, "User({user})"),
            Self::Address(_, user) => write!(f, "Address(hidden, {user:?})"),
        }
    }
}

/// A mail to be sent, as it is stored with the change it reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// UUIDv7; also its `Message-ID`, which stays the same on every attempt.
    pub id: Uuid,
    /// What it says.
    pub kind: MailKind,
    /// The recipient.
    pub to: MailTo,
    /// The language; `None` for the account's language, or else the configured one.
    pub locale: Option<String>,
    /// Values for the templates, besides those that all mails have. Never a code.
    pub values: Map<String, Value>,
    /// The request whose code it carries.
    pub request: Option<Uuid>,
    /// It is not worth sending after this.
    pub useful_until: Timestamp,
}

/// A time as mails write it: `2026-11-27 17:00 UTC`.
#[must_use]
pub fn readable(at: Timestamp) -> String {
    let at = at.to_string();
    format!("{} UTC", at.get(..16).unwrap_or(&at).replace('T', " "))
}

/// What a mailed code may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodePurpose {
    /// Setting a new password.
    PasswordReset,
    /// Verifying the address of an account.
    EmailVerification,
    /// Changing the address of an account.
    EmailChange,
    /// Creating an account.
    Signup,
    /// Signing in to an account whose address must be verified first.
    Login,
    /// Setting the first password of an account that an operator created.
    Invitation,
}

impl CodePurpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [
        Self::PasswordReset,
        Self::EmailVerification,
        Self::EmailChange,
        Self::Signup,
        Self::Login,
        Self::Invitation,
    ];

    /// The name in rows and metrics; also an input to the derivation of the code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
            Self::EmailChange => "email_change",
            Self::Signup => "signup",
            Self::Login => "login",
            Self::Invitation => "invitation",
        }
    }

    /// The purpose with that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// How long its codes are valid.
    #[must_use]
    pub const fn good_for(self) -> Duration {
        match self {
            Self::Invitation => INVITATION_GOOD_FOR,
            _ => CODE_GOOD_FOR,
        }
    }
}

/// The waits between attempts to send a mail; the last one repeats.
const WAITS: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3600),
];

/// When to retry a mail whose `attempts` attempts have failed, the latest just now; `None` if it is no
/// longer useful by then.
#[must_use]
pub fn next_try(attempts: u32, now: Timestamp, useful_until: Timestamp) -> Option<Timestamp> {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let next = now.plus(WAITS[index.min(WAITS.len() - 1)]);
    (next <= useful_until).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_ever_further_apart_until_it_is_out_of_date() {
        let start = Timestamp::from_millis(1_000_000);
        let day = start.plus(NOTICE_GOOD_FOR);
        let waits: Vec<_> = (1..=6)
            .map(|attempts| start.until(next_try(attempts, start, day).unwrap_or(start)).as_secs())
            .collect();
        assert_eq!(waits, [10, 60, 300, 900, 3600, 3600]);
        let (mut now, mut tries) = (start, 1);
        while let Some(next) = next_try(tries, now, start.plus(CODE_GOOD_FOR)) {
            (now, tries) = (next, tries + 1);
        }
        assert_eq!((tries, start.until(now).as_secs()), (4, 370));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert!(MailKind::ALL.iter().all(|kind| MailKind::parse(kind.as_str()) == Some(*kind)));
        assert!(CodePurpose::ALL.iter().all(|it| CodePurpose::parse(it.as_str()) == Some(*it)));
    }
}
