//! Signing up: the one change without an actor, because there is no user yet who could have one. The
//! first session is decided by the same rule as any other, and account, session and events are stored in
//! one transaction. If the role must have a second factor, no session is opened with the account, but
//! only after the factor has been set up, as at any login.

use super::registry::Registry;
use crate::domain::account_details::AccountDetails;
use crate::domain::command::{Open, Opened, decide};
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Role, User};
use crate::events::announcement::Announcer;
use crate::security::password::PasswordHash;
use crate::storage::StorageError;
use crate::storage::accounts::Account;
use crate::storage::accounts::create::{RegisterError, Registration};
use crate::storage::mail_requests::MailedCode;
use crate::telemetry::audit::AuditEvent;

/// An account to be created.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// The account's id, which is new.
    pub id: UserId,
    /// Display name.
    pub name: String,
    /// Address.
    pub email: Email,
    /// Hash of the password.
    pub password_hash: PasswordHash,
    /// Whether the person has proved that the address is theirs.
    pub email_verified: bool,
    /// Language for mails.
    pub locale: Option<String>,
    /// The code that the person is mailed, stored with the account.
    pub code: Option<MailedCode>,
}

/// Why no account was created.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// There is an account with this address.
    #[error("the email address is taken")]
    EmailTaken,
    /// Not even one session is allowed.
    #[error("no session is allowed")]
    NoSessionAllowed,
    /// The database failed. It is unknown whether the account was stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<RegisterError> for SignUpError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::EmailTaken => Self::EmailTaken,
            RegisterError::Storage(error) => Self::Storage(error),
        }
    }
}

impl Registry {
    /// Creates an account with a session, and makes its user resident.
    ///
    /// # Errors
    /// [`SignUpError`].
    pub async fn sign_up(&self, sign_up: SignUp, open: Open) -> Result<(User, Opened), SignUpError> {
        let now = self.clock().now();
        let (user, password_hash, code) = sign_up.account(now);
        let mut ledger = Ledger::new(user.id, user.role, 0, now, Vec::new());
        let is_verified = user.email_verified_at.is_some();
        ledger.account.details =
            AccountDetails::of(&user.name, user.email.as_str(), password_hash.expose(), is_verified);
        let decision = decide(&open, &ledger, now, self.policy_ref(user.role));
        let opened = decision.reply.map_err(|_| SignUpError::NoSessionAllowed)?;
        let announcer = Announcer::new(self.service_name(), user.id, now);
        let registration = Registration {
            user: user.clone(),
            password_hash,
            session: opened.session.clone(),
            announcements: announcer.announce(&decision.events),
            code,
        };
        decision.events.iter().for_each(|event| ledger.apply(event));

        let news = self.news();
        let bus = &self.dependencies().bus;
        let announcements =
            bus.announcements_for_watchers(self.store().keeps_events(), &registration.announcements);
        self.store().add_user(registration).await?;
        bus.notify_watchers(announcements);
        AuditEvent::SignedUp(user.id).record(self.metrics());
        self.insert(ledger, news).await;
        Ok((user, opened))
    }

    /// Creates an account whose user has further steps to complete before a session is opened.
    ///
    /// # Errors
    /// [`SignUpError`].
    pub async fn register(&self, sign_up: SignUp) -> Result<User, SignUpError> {
        let now = self.clock().now();
        let (user, password_hash, code) = sign_up.account(now);
        let account = Account { user: user.clone(), password_hash };
        if !self.add_account(account, code).await? {
            return Err(SignUpError::EmailTaken);
        }
        AuditEvent::SignedUp(user.id).record(self.metrics());
        Ok(user)
    }

    /// Stores an account without a session, with the code that its user is mailed. False if its address or
    /// its id is taken.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn add_account(
        &self,
        account: Account,
        code: Option<MailedCode>,
    ) -> Result<bool, StorageError> {
        let user = account.user.id;
        let announcer = Announcer::new(self.service_name(), user, account.user.created_at);
        let announcement = announcer.registered(account.user.email.as_str());
        let bus = &self.dependencies().bus;
        let announcements =
            bus.announcements_for_watchers(self.store().keeps_events(), std::slice::from_ref(&announcement));
        let is_added = self.store().add_account_and_code(account, announcement, code).await?;
        if is_added {
            bus.notify_watchers(announcements);
            self.signal_outbox(user);
        }
        Ok(is_added)
    }
}

impl SignUp {
    fn account(self, now: Timestamp) -> (User, PasswordHash, Option<MailedCode>) {
        let mut user = User::new(self.id, self.name, self.email, Role::default(), now);
        user.email_verified_at = self.email_verified.then_some(now);
        user.locale = self.locale;
        (user, self.password_hash, self.code)
    }
}
