//! The format of a mail: text and HTML, the sender, and marked as generated automatically (RFC 3834).

use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use uuid::Uuid;

use crate::domain::time::Timestamp;

/// A mail's content and recipient.
#[derive(Clone)]
pub struct Letter {
    /// The mail's id, from which its `Message-ID` is derived.
    pub id: Uuid,
    /// The mail's kind, for the name of a file.
    pub kind: &'static str,
    /// The recipient's address.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A mail in the form in which it is sent.
#[derive(Clone)]
pub struct Message {
    pub(super) kind: &'static str,
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

/// The sender of mails.
pub(super) struct Sender {
    pub(super) from: Mailbox,
    pub(super) reply_to: Option<Mailbox>,
}

impl Sender {
    /// Creates the message; `None` if mail cannot be sent to the address.
    pub(super) fn message(&self, letter: &Letter, now: Timestamp) -> Option<Message> {
        let to = Mailbox::new(None, letter.to.parse().ok()?);
        let domain = self.from.email.domain();
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject.clone())
            .date(UNIX_EPOCH + Duration::from_millis(now.millis().try_into().unwrap_or(0)))
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Auto-Response-Suppress", "All"));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let parts = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
        let message = builder.multipart(parts).ok()?;
        Some(Message { kind: letter.kind, envelope: message.envelope().clone(), bytes: message.formatted() })
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: &str) -> Option<String> {
        let sender = Sender { from: "Example <no-reply@example.com>".parse().unwrap(), reply_to: None };
        let letter = Letter {
            id: Uuid::from_u128(7),
            kind: "password_reset",
            to: to.to_owned(),
            subject: "Grüße\r\nBcc: eve@example.com".to_owned(),
            text: "ä".to_owned(),
            html: "<p>ä</p>".to_owned(),
        };
        let message = sender.message(&letter, Timestamp::from_millis(1_700_000_000_000))?;
        Some(String::from_utf8(message.bytes).unwrap())
    }

    #[test]
    fn it_is_ascii_and_says_who_made_it() {
        let text = message("ada@example.com").unwrap();
        assert!(text.is_ascii(), "{text}");
        for line in [
            "From: Example <no-reply@example.com>",
            "To: ada@example.com",
            "Message-ID: <00000000-0000-0000-0000-000000000007@example.com>",
            "Auto-Submitted: auto-generated",
            "Date: Tue, 14 Nov 2023 22:13:20 +0000",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }

    #[test]
    fn what_is_no_address_is_told() {
        assert!(message("nobody").is_none() && message("a@b.c\r\nBcc: x@y.z").is_none());
    }
}
