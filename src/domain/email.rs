//! Email addresses, and the canonical form in which each is stored and compared.
//!
//! It must never let two spellings of one mailbox's domain be two accounts, nor let an address contain
//! invisible characters.

use std::fmt;

use validator::ValidateEmail;

use super::field_problem::FieldProblem;
use super::text::is_invisible;

/// Most bytes of an email address (RFC 5321, section 4.5.3.1.3, less the angle brackets).
pub const EMAIL_MAX_BYTES: usize = 254;

/// An email address: trimmed, lower case, at most 254 bytes, with the domain in its ASCII form (UTS #46,
/// non-transitional).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Checks the syntax (HTML's definition of a valid address).
    ///
    /// # Errors
    /// [`FieldProblem`]: why it is not an address.
    pub fn parse(text: &str) -> Result<Self, FieldProblem> {
        let email = canonical(text).ok_or(FieldProblem::Invalid)?;
        match email.as_str() {
            text if text.len() > EMAIL_MAX_BYTES => Err(FieldProblem::TooLong),
            text if !text.is_ascii() || !text.validate_email() => Err(FieldProblem::Invalid),
            _ => Ok(Self(email)),
        }
    }

    /// The form in which addresses are stored and compared, without validation: for the look-up at
    /// login. Text without such a form is looked up in lower case, since it may have been stored before
    /// this form was introduced.
    #[must_use]
    pub fn lookup_key(text: &str) -> String {
        canonical(text).unwrap_or_else(|| text.trim().to_lowercase())
    }

    /// An address that was checked when it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Personal data: not in logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(hidden)")
    }
}

/// `None` if it contains an invisible character, or if the domain has no ASCII form.
fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    let Some((mailbox, domain)) = text.rsplit_once('@') else {
        return Some(text.to_lowercase()).filter(|text| !text.chars().any(is_invisible));
    };
    // Some scripts write words with joiners; the mapping checks that they are where they are allowed. It
    // would silently drop any other invisible character.
    let is_joiner = |letter: char| matches!(letter, '\u{200c}' | '\u{200d}');
    if mailbox.chars().any(is_invisible) || domain.chars().any(|c| is_invisible(c) && !is_joiner(c)) {
        return None;
    }
    let domain = idna::domain_to_ascii(domain).ok()?;
    Some(format!("{}@{domain}", mailbox.to_lowercase()))
}

#[cfg(test)]
mod tests;
