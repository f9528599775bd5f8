//! One mail, from its row to the server: recipient, code and text, and recording the outcome.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::PostOffice;
use crate::actors::registry::Registry;
use crate::domain::ids::UserId;
use crate::domain::mail::{CodePurpose, MailKind, MailTo, next_try};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::mail::SendError;
use crate::mail::message::Letter;
use crate::security::codes::CodeOf;
use crate::storage::StorageError;
use crate::storage::mail_requests::MailRequest;
use crate::storage::mails::{AFTER_TEXT, LeasedMail, MailOutcome};

/// How often, and at what interval, storing a mail's outcome is attempted: for as long as no other node
/// may take the mail.
const NOTES: u32 = 60;
const NOTE_PAUSE: Duration = Duration::from_secs(4);

/// A mail that this node has leased.
pub(super) struct Delivery {
    pub(super) registry: Registry,
    pub(super) office: Arc<PostOffice>,
    pub(super) mail: LeasedMail,
}

/// The actual recipient of a mail, and what it says.
struct Addressed {
    kind: MailKind,
    to: String,
    locale: Option<String>,
    about: Option<UserId>,
}

/// The outcome to be stored.
enum Result {
    Done(MailOutcome, Option<String>),
    Deferred(Timestamp, String),
    /// Another node has it, or will have it when the lease ends.
    Left,
}

impl Delivery {
    /// Sends it, and stores the outcome.
    pub(super) async fn run(self) {
        let (kind, about, result) = match Box::pin(self.send()).await {
            Ok(result) => result,
            Err(error) => {
                // The lease ends, and the mail is tried again.
                tracing::warn!(mail_id = %self.mail.mail.id, error = &error as &dyn std::error::Error, "mail.failed");
                return;
            }
        };
        let (outcome, error) = match &result {
            Result::Done(outcome, error) => (outcome.as_str(), error.as_deref()),
            Result::Deferred(_, error) => ("deferred", Some(error.as_str())),
            Result::Left => return,
        };
        self.registry.metrics().mails.with_label_values(&[kind.as_str(), outcome]).inc();
        let (mail_id, kind) = (self.mail.mail.id, kind.as_str());
        match &result {
            Result::Done(MailOutcome::Failed | MailOutcome::Expired, _) | Result::Deferred(..) => {
                tracing::warn!(%mail_id, kind, outcome, error, attempt = self.mail.attempt, "mail.not_sent");
            }
            _ => tracing::info!(%mail_id, kind, outcome, "mail.done"),
        }
        self.note(result, about).await;
    }

    /// A mail that the server has accepted must not be sent again, so storing the outcome is attempted
    /// for as long as no other node may take the mail.
    async fn note(&self, result: Result, about: Option<UserId>) {
        let store = self.registry.store();
        for _ in 0..NOTES {
            let noted = match &result {
                Result::Done(outcome, error) => {
                    let now = self.registry.clock().now();
                    store.finish_mail(&self.mail, *outcome, error.clone(), about, now).await
                }
                Result::Deferred(next_at, error) => {
                    store.defer_mail(&self.mail, *next_at, error.clone()).await
                }
                Result::Left => return,
            };
            match noted {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "mail.note_failed");
                    tokio::time::sleep(NOTE_PAUSE).await;
                }
            }
        }
    }

    async fn send(&self) -> std::result::Result<(MailKind, Option<UserId>, Result), StorageError> {
        let mail = &self.mail.mail;
        let now = self.registry.clock().now();
        if mail.useful_until <= now {
            return Ok((mail.kind, None, Result::Done(MailOutcome::Expired, None)));
        }
        let Some(request) = self.request(now).await? else {
            return Ok((mail.kind, None, Result::Done(MailOutcome::Dropped, Some("code_void".to_owned()))));
        };
        let Some(addressed) = self.address(request.as_ref()).await? else {
            return Ok((mail.kind, None, Result::Done(MailOutcome::Dropped, None)));
        };
        let (kind, about) = (addressed.kind, addressed.about);
        let Some(letter) = self.letter(addressed, request.as_ref()) else {
            return Ok((kind, about, Result::Done(MailOutcome::Failed, Some("template".to_owned()))));
        };
        Ok((kind, about, Box::pin(self.post(&letter)).await))
    }

    /// The request whose code the mail carries, if it carries one; the outer `None` if the code is no
    /// longer of use.
    async fn request(
        &self,
        now: Timestamp,
    ) -> std::result::Result<Option<Option<MailRequest>>, StorageError> {
        let Some(id) = self.mail.mail.request else { return Ok(Some(None)) };
        let found = self.registry.store().lookup_mail_request(id).await?;
        Ok(found.filter(|request| request.expires_at > now).map(Some))
    }

    /// Looks up the account here, and not during the request, whose answer was the same for every address.
    async fn address(
        &self,
        request: Option<&MailRequest>,
    ) -> std::result::Result<Option<Addressed>, StorageError> {
        let (store, mail) = (self.registry.store(), &self.mail.mail);
        let (to, user) = match &mail.to {
            MailTo::User(user) => {
                let found = store.lookup_user(*user).await?;
                return Ok(found.map(|user| addressed(mail.kind, &user, mail.locale.clone())));
            }
            MailTo::Address(to, user) => (to.clone(), *user),
        };
        let owner = async || -> std::result::Result<Option<User>, StorageError> {
            Ok(store.lookup_account(to.clone()).await?.map(|found| found.user))
        };
        let locale = mail.locale.clone();
        let purpose = request.map(|request| request.purpose);
        Ok(match (mail.kind, purpose) {
            (MailKind::PasswordReset, _) => {
                let owner = owner().await?.filter(|owner| owner.disabled_at.is_none());
                owner.map(|owner| addressed(mail.kind, &owner, locale))
            }
            (MailKind::EmailVerification, Some(CodePurpose::Signup)) => match owner().await? {
                Some(owner) => Some(addressed(MailKind::SignupExists, &owner, locale)),
                None => Some(Addressed { kind: mail.kind, to, locale, about: None }),
            },
            (MailKind::EmailChange, _) => match owner().await? {
                Some(owner) if Some(owner.id) != user => {
                    // It stays with the person who asked, who would see that it went over to another.
                    let taken = addressed(MailKind::EmailChangeTaken, &owner, None);
                    Some(Addressed { about: user, ..taken })
                }
                _ => Some(Addressed { kind: mail.kind, to, locale, about: user }),
            },
            _ => Some(Addressed { kind: mail.kind, to, locale, about: user }),
        })
    }

    fn letter(&self, to: Addressed, request: Option<&MailRequest>) -> Option<Letter> {
        let templates = &self.office.post.templates;
        let mut values = self.mail.mail.values.clone();
        if let Some(request) = request {
            add_code(&mut values, &self.office, request)?;
        }
        match templates.render(to.kind, to.locale.as_deref(), &to.to, &values) {
            Ok(words) => Some(Letter {
                id: self.mail.mail.id,
                kind: to.kind.as_str(),
                to: to.to,
                subject: words.subject,
                text: words.text,
                html: words.html,
            }),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "mail.template_failed");
                None
            }
        }
    }

    async fn post(&self, letter: &Letter) -> Result {
        let (store, clock, post) = (self.registry.store(), self.registry.clock(), &self.office.post);
        let Some(message) = post.message(letter, self.mail.created_at) else {
            return Result::Done(MailOutcome::Failed, Some("address".to_owned()));
        };
        let note = async {
            let noted = store.note_mail_text(&self.mail, clock.now()).await;
            noted.unwrap_or_else(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "mail.note_failed");
                false
            })
        };
        let sent = Box::pin(post.send(&message, clock.now(), note)).await;
        let (now, useful_until) = (clock.now(), self.mail.mail.useful_until);
        let attempts = self.mail.attempt.try_into().unwrap_or(u32::MAX);
        let (next, error) = match sent {
            Ok(()) => return Result::Done(MailOutcome::Sent, None),
            Err(SendError::NotNoted) => return Result::Left,
            Err(SendError::Refused(error)) => return Result::Done(MailOutcome::Failed, Some(error)),
            Err(SendError::NotYet(error)) => (next_try(attempts, now, useful_until), error),
            Err(SendError::Unknown(error)) => {
                let next = next_try(attempts, now, useful_until);
                let earliest = now.plus(AFTER_TEXT);
                let next = next.map(|next| next.max(earliest)).filter(|next| *next <= useful_until);
                (next, error)
            }
        };
        match next {
            Some(next) => Result::Deferred(next, error),
            None => Result::Done(MailOutcome::Expired, Some(error)),
        }
    }
}

/// In the language of the request, else that of the account.
fn addressed(kind: MailKind, user: &User, locale: Option<String>) -> Addressed {
    let locale = locale.or_else(|| user.locale.clone());
    Addressed { kind, to: user.email.as_str().to_owned(), locale, about: Some(user.id) }
}

/// Adds the code, how long it is valid, and the link if it may be followed. `None` if it cannot be derived.
fn add_code(values: &mut Map<String, Value>, office: &PostOffice, request: &MailRequest) -> Option<()> {
    let MailRequest { purpose, address, created_at, id, .. } = request;
    let of = CodeOf { purpose: *purpose, address, at: *created_at, request: *id };
    let code = office.keys.code(of).ok()?;
    let good_for = purpose.good_for().as_secs();
    let app = office.post.templates.app_url();
    let link = format!("{app}/reset-password#requestId={id}&code={code}");
    for (name, value) in [
        ("code", json!(code)),
        ("minutes", json!(good_for / 60)),
        ("hours", json!(good_for / 3600)),
        ("link", json!(link)),
    ] {
        values.insert(name.to_owned(), value);
    }
    Some(())
}
