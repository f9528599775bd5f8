//! Mails: their text ([`templates`], checked with [`samples`]), their format ([`message`]), and delivery to
//! the server ([`smtp`]), or to a folder if no server is set ([`files`]). Knows neither the database nor the
//! request behind a mail.

pub mod files;
pub mod message;
pub mod samples;
pub mod smtp;
pub mod templates;

use std::path::Path;

use lettre::message::{Mailbox, Mailboxes};

use crate::config::Config;
use crate::domain::time::Timestamp;
use files::Folder;
use message::{Letter, Message, Sender};
use smtp::Smtp;
use templates::{TemplateError, Templates};

/// Why mail cannot be set up, in words for the operator, who has to change a setting.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Not an address that mails can be sent from.
    #[error("{variable}: wants ADDRESS or NAME <ADDRESS>")]
    Address {
        /// The setting.
        variable: &'static str,
    },
    /// The certificate authorities of the mail server cannot be used.
    #[error("SMTP_CA_FILE: {path}: {cause}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// Why a mail was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The server refused it permanently.
    Refused(String),
    /// The server did not accept it this time.
    NotYet(String),
    /// Its text was sent and no reply arrived: the server may have accepted it.
    Unknown(String),
    /// Another node has taken over the mail, or it could not be recorded that its text is about to be sent:
    /// nothing was sent.
    NotNoted,
}

/// How a mail is delivered.
enum Way {
    Server(Box<Smtp>),
    Folder(Folder),
}

/// Creates mails and sends them.
pub struct Post {
    /// The templates.
    pub templates: Templates,
    sender: Sender,
    way: Way,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Post")
    }
}

impl Post {
    /// Creates it from the configuration; `None` if mail is off. Every template is test-rendered.
    ///
    /// # Errors
    /// [`MailError`].
    pub fn new(config: &Config) -> Result<Option<Self>, MailError> {
        let mail = &config.mail;
        let from = mailbox("MAIL_FROM", &mail.from)?;
        let reply_to = mail.reply_to.as_deref().map(|text| mailbox("MAIL_REPLY_TO", text)).transpose()?;
        let way = match &mail.smtp {
            Some(smtp) => Way::Server(Box::new(Smtp::new(smtp, mail.smtp_ca_file.as_deref(), &from)?)),
            None if mail.to_files => Way::Folder(Folder::new(config.data_dir.join("mails"))),
            None => return Ok(None),
        };
        let port = config.http.port;
        let app_url = mail.app_url.clone().unwrap_or_else(|| format!("http://localhost:{port}"));
        let service = config.service_name.clone();
        let folder = mail.templates_dir.as_deref();
        let templates = Templates::load(folder.map(Path::new), &mail.locale, service, app_url)?;
        Ok(Some(Self { templates, sender: Sender { from, reply_to }, way }))
    }

    /// Creates the message of a letter; `None` if mail cannot be sent to its address.
    #[must_use]
    pub fn message(&self, letter: &Letter, now: Timestamp) -> Option<Message> {
        self.sender.message(letter, now)
    }

    /// Sends a message. `note` is awaited right before the text is sent; if it returns `false`, nothing is.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send<N>(&self, message: &Message, now: Timestamp, note: N) -> Result<(), SendError>
    where
        N: Future<Output = bool> + Send,
    {
        match &self.way {
            Way::Server(smtp) => smtp.send(message, note).await,
            Way::Folder(folder) if note.await => folder.keep(message, now).await,
            Way::Folder(_) => Err(SendError::NotNoted),
        }
    }
}

fn mailbox(variable: &'static str, text: &str) -> Result<Mailbox, MailError> {
    let wrong = || MailError::Address { variable };
    let mailboxes: Mailboxes = text.parse().map_err(|_| wrong())?;
    let mut mailboxes = mailboxes.into_iter();
    match (mailboxes.next(), mailboxes.next()) {
        (Some(mailbox), None) => Ok(mailbox),
        _ => Err(wrong()),
    }
}
