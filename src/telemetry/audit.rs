//! The audit log: security-relevant acts, one log line each, under a name that does not change, and a
//! count.
//!
//! Users and sessions are identified by id, accounts and networks by pseudonyms; never a name, an email,
//! an address, a password or a token.

use crate::domain::event::Ending;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::reason::EndReason;
use crate::domain::user::Role;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::pseudonyms::Pseudonym;

/// A security-relevant act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditEvent<'a> {
    /// A node signs with that key, given by its `kid`, from now on; and how many others still verify.
    KeyLoaded(&'a str, usize),
    /// A person signed up.
    SignedUp(UserId),
    /// A person logged in.
    LoggedIn(UserId, SessionId),
    /// A login with that account failed: unknown address and wrong password alike.
    LoginFailed(Pseudonym),
    /// The account's password was changed.
    PasswordChanged(UserId),
    /// The account's address was changed.
    EmailChanged(UserId),
    /// The person showed that the account's address is theirs.
    EmailVerified(UserId),
    /// An operator mailed the person a code to set a password with; the kind of the mail.
    CodeMailed(UserId, &'static str),
    /// An operator had that many mails tried again.
    MailsRetried(u64),
    /// An operator imported accounts: how many were added, and how many updated.
    Imported(u64, u64),
    /// A limit refused a request; which limit, and whose request.
    LimitHit(&'static str, Subject<'a>),
    /// An account was deleted.
    Deleted(UserId),
    /// A person scheduled the account's deletion.
    DeletionRequested(UserId),
    /// An account was disabled.
    Disabled(UserId),
    /// A disabled account may be used again.
    Enabled(UserId),
    /// A user was given a role.
    RoleChanged(UserId, Role),
    /// An account was changed in a way that has no name of its own here.
    AccountChanged(UserId),
    /// An operator resealed that many stored secrets with the newest secret.
    SecretsRewrapped(usize),
    /// An API key of that id was made.
    KeyCreated(&'a str),
    /// An API key of that id was revoked.
    KeyRevoked(&'a str),
    /// A person set up a second factor of that kind.
    FactorAdded(UserId, &'static str),
    /// A second factor of that kind was removed.
    FactorRemoved(UserId, &'static str),
    /// A second factor of that kind was presented and was wrong.
    FactorRefused(UserId, &'static str),
    /// The signature counter of a device-bound passkey went back: there may be a copy of its key.
    CounterRegressed(UserId),
    /// A session ended for another reason than time or the person's own sign-out on it; and what caused
    /// that.
    Ended(UserId, Ending, Cause),
}

/// What caused an ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The command of that name to the user's actor: from a request, whose id the line has, or from the
    /// actor's own timer.
    Decided(&'static str),
    /// An operator, on the command line or over HTTP: the line says who.
    Operator,
}

/// Whose request it was, as far as that is known and may be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Unknown.
    Unknown,
    /// A request that names that account.
    Account(Pseudonym),
    /// A request of that session.
    Session(SessionId),
    /// A request of that user.
    User(UserId),
    /// A request with the API key of that id.
    ApiKey(&'a str),
}

impl Subject<'_> {
    /// The fields `account`, `session_id`, `user_id` and `key_id`.
    fn fields(self) -> [Option<String>; 4] {
        match self {
            Self::Unknown => [None, None, None, None],
            Self::Account(account) => [Some(account.to_string()), None, None, None],
            Self::Session(session) => [None, Some(session.to_string()), None, None],
            Self::User(user) => [None, None, Some(user.to_string()), None],
            Self::ApiKey(id) => [None, None, None, Some(id.to_owned())],
        }
    }
}

/// The actor (`by`), if that was an operator on the command line.
pub const COMMAND_LINE: &str = "command_line";

/// The names that are counted in `auth_security_events_total`. Most of what only commands do is only
/// logged.
pub const NAMES: [&str; 17] = [
    "signing_key.loaded",
    "account.created",
    "login.succeeded",
    "login.failed",
    "password.changed",
    "email.changed",
    "email.verified",
    "rate_limit.hit",
    "session.terminated",
    "session.evicted",
    "refresh_token.reused",
    "account.deleted",
    "account.deletion_requested",
    "factor.added",
    "factor.removed",
    "factor.refused",
    "passkey.counter_regressed",
];

impl AuditEvent<'_> {
    /// The event for the ending of a session, if it is one to be recorded.
    #[must_use]
    pub fn ending(user: UserId, ending: &Ending, command: &'static str) -> Option<Self> {
        match ending.reason {
            EndReason::Terminated
            | EndReason::Evicted
            | EndReason::CredentialsChanged
            | EndReason::RefreshTokenReused => Some(Self::Ended(user, *ending, Cause::Decided(command))),
            // The deletion itself is the act.
            EndReason::UserDeleted
            | EndReason::Logout
            | EndReason::Replaced
            | EndReason::IdleTimeout
            | EndReason::Expired => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::KeyLoaded(..) => "signing_key.loaded",
            Self::SignedUp(_) => "account.created",
            Self::LoggedIn(..) => "login.succeeded",
            Self::LoginFailed(_) => "login.failed",
            Self::PasswordChanged(_) => "password.changed",
            Self::EmailChanged(_) => "email.changed",
            Self::EmailVerified(_) => "email.verified",
            Self::CodeMailed(..) => "code.mailed",
            Self::MailsRetried(_) => "mails.retried",
            Self::Imported(..) => "accounts.imported",
            Self::LimitHit(..) => "rate_limit.hit",
            Self::Deleted(_) => "account.deleted",
            Self::DeletionRequested(_) => "account.deletion_requested",
            Self::Disabled(_) => "account.disabled",
            Self::Enabled(_) => "account.enabled",
            Self::RoleChanged(..) => "role.given",
            Self::AccountChanged(_) => "account.changed",
            Self::SecretsRewrapped(_) => "secrets.rewrapped",
            Self::KeyCreated(_) => "api_key.created",
            Self::KeyRevoked(_) => "api_key.revoked",
            Self::FactorAdded(..) => "factor.added",
            Self::FactorRemoved(..) => "factor.removed",
            Self::FactorRefused(..) => "factor.refused",
            Self::CounterRegressed(_) => "passkey.counter_regressed",
            Self::Ended(_, ending, _) => match ending.reason {
                EndReason::Evicted => "session.evicted",
                EndReason::RefreshTokenReused => "refresh_token.reused",
                EndReason::Terminated
                | EndReason::UserDeleted
                | EndReason::Logout
                | EndReason::Replaced
                | EndReason::CredentialsChanged
                | EndReason::IdleTimeout
                | EndReason::Expired => "session.terminated",
            },
        }
    }

    /// Writes the line and counts it.
    pub fn record(self, metrics: &Metrics) {
        self.count(metrics);
        self.log();
    }

    /// Only counts it.
    pub fn count(self, metrics: &Metrics) {
        metrics.security_events.with_label_values(&[self.name()]).inc();
    }

    /// Only writes the line.
    pub fn log(self) {
        self.write(None);
    }

    /// Writes the line of what an operator does on the command line, whose metrics nobody scrapes.
    pub fn log_on_command_line(self) {
        self.write(Some(COMMAND_LINE));
    }

    /// Writes the line of what an operator does: `key:ID`, `user:ID` or [`COMMAND_LINE`].
    pub fn log_by(self, by: &str) {
        self.write(Some(by));
    }

    fn write(self, by: Option<&str>) {
        let act = self.name();
        match self {
            Self::KeyLoaded(kid, previous) => tracing::info!(target: "audit", act, kid, previous, "audit"),
            Self::SignedUp(user)
            | Self::PasswordChanged(user)
            | Self::EmailChanged(user)
            | Self::EmailVerified(user)
            | Self::Deleted(user)
            | Self::DeletionRequested(user)
            | Self::Disabled(user)
            | Self::Enabled(user)
            | Self::AccountChanged(user) => {
                tracing::info!(target: "audit", act, user_id = %user, by, "audit")
            }
            Self::LoggedIn(user, session) => {
                tracing::info!(target: "audit", act, user_id = %user, session_id = %session, "audit");
            }
            Self::RoleChanged(user, role) => {
                tracing::info!(target: "audit", act, user_id = %user, role = role.as_str(), by, "audit");
            }
            Self::CodeMailed(user, mail) => {
                tracing::info!(target: "audit", act, user_id = %user, mail, by, "audit");
            }
            Self::Imported(added, updated) => {
                tracing::info!(target: "audit", act, added, updated, by, "audit");
            }
            Self::MailsRetried(count) => tracing::info!(target: "audit", act, count, by, "audit"),
            Self::SecretsRewrapped(count) => tracing::info!(target: "audit", act, count, by, "audit"),
            Self::KeyCreated(key_id) | Self::KeyRevoked(key_id) => {
                tracing::info!(target: "audit", act, key_id, by, "audit");
            }
            Self::FactorAdded(user, method)
            | Self::FactorRemoved(user, method)
            | Self::FactorRefused(user, method) => {
                tracing::info!(target: "audit", act, user_id = %user, method, by, "audit");
            }
            Self::CounterRegressed(user) => tracing::info!(target: "audit", act, user_id = %user, "audit"),
            Self::LoginFailed(account) => tracing::info!(target: "audit", act, %account, "audit"),
            Self::LimitHit(limit, subject) => {
                let [account, session_id, user_id, key_id] = subject.fields();
                tracing::info!(target: "audit", act, limit, account, session_id, user_id, key_id, "audit");
            }
            Self::Ended(user, ending, cause) => {
                let (by, cause) = match cause {
                    Cause::Operator => {
                        let is_command = by == Some(COMMAND_LINE);
                        (by.map(str::to_owned), if is_command { COMMAND_LINE } else { "operator" })
                    }
                    Cause::Decided(command) => (ending.by.map(|by| by.to_string()), command),
                };
                let session = ending.session;
                tracing::info!(target: "audit", act, user_id = %user, session_id = %session, by, cause, "audit");
            }
        }
    }
}
