//! API keys: `ak_<id>_<secret>`. The id is public; of the secret, 256 random bits, only the SHA-256 is
//! stored. That many bits need no slow hash: nobody can try them all.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::time::Timestamp;

/// The prefix of a key, by which it can be recognised wherever it is found.
const PREFIX: &str = "ak_";

macro_rules! scopes {
    ($($name:ident = $text:literal, $what:literal;)*) => {
        /// What may be done with a key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Scope {
            $(#[doc = $what] $name,)*
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name used in keys, challenges and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

scopes! {
    UsersRead = "users:read", "Look at accounts.";
    UsersWrite = "users:write", "Make and change accounts.";
    UsersDelete = "users:delete", "Delete accounts.";
    SessionsRead = "sessions:read", "Look at sessions, numbers and the live view.";
    SessionsEnd = "sessions:end", "End sessions.";
    TokensIntrospect = "tokens:introspect", "Ask whether a token is good.";
    KeysWrite = "keys:write", "Make and revoke keys.";
}

impl Scope {
    /// The scope of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == name)
    }
}

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// These scopes, each once, in the order of [`Scope::ALL`].
    #[must_use]
    pub fn of(wanted: &[Scope]) -> Self {
        Self(Scope::ALL.iter().copied().filter(|scope| wanted.contains(scope)).collect())
    }

    /// Parses stored scopes; a scope of a newer version allows nothing here.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.split_ascii_whitespace().filter_map(Scope::parse).collect())
    }

    /// Whether the scope is one of them.
    #[must_use]
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|scope| scope.as_str())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

/// A key as the service stores it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part.
    pub id: String,
    /// What the operator calls it.
    pub name: Option<String>,
    /// SHA-256 of the secret part.
    pub secret_hash: SecretHash,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// The SHA-256 of a key's secret, in hexadecimal.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// A hash as it is stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The hash, for the row.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn of(secret: &str) -> Self {
        Self(hex(digest(&SHA256, secret.as_bytes()).as_ref()))
    }

    fn is_of(&self, secret: &str) -> bool {
        verify_slices_are_equal(Self::of(secret).0.as_bytes(), self.0.as_bytes()).is_ok()
    }
}

/// A whole key that was just made, to be shown once.
pub struct NewKey {
    /// The part that is stored.
    pub key: ApiKey,
    /// `ak_<id>_<secret>`.
    pub text: String,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({})", self.key.id)
    }
}

impl NewKey {
    /// Generates a random key.
    #[must_use]
    pub fn generate(
        name: Option<String>,
        scopes: Scopes,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let (id, secret) = (hex(&rand::random::<[u8; 8]>()), hex(&rand::random::<[u8; 32]>()));
        let text = format!("{PREFIX}{id}_{secret}");
        let secret_hash = SecretHash::of(&secret);
        let key = ApiKey { id, name, secret_hash, scopes, created_at: now, expires_at, revoked_at: None };
        Self { key, text }
    }
}

/// A key that came with a request and has not been checked yet.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    /// The public part.
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// Whether a token is meant to be a key, even if it is not a valid one.
    #[must_use]
    pub fn is_one(token: &[u8]) -> bool {
        token.starts_with(PREFIX.as_bytes())
    }

    /// The parts of `ak_<id>_<secret>`.
    #[must_use]
    pub fn parse(token: &'a [u8]) -> Option<Self> {
        let (id, secret) = std::str::from_utf8(token).ok()?.strip_prefix(PREFIX)?.split_once('_')?;
        Some(Self { id, secret })
    }

    /// The parts as HTTP Basic has them; the id with or without the prefix.
    #[must_use]
    pub fn of_parts(id: &'a str, secret: &'a str) -> Self {
        Self { id: id.strip_prefix(PREFIX).unwrap_or(id), secret }
    }

    /// Whether it is that key. Takes the same time for every wrong secret.
    #[must_use]
    pub fn matches(&self, key: &ApiKey) -> bool {
        key.id == self.id && key.secret_hash.is_of(self.secret)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_key() -> NewKey {
        NewKey::generate(None, Scopes::of(&[Scope::UsersRead]), Timestamp::default(), None)
    }

    #[test]
    fn a_key_is_known_by_its_secret_and_nothing_else() {
        let (one, other) = (new_key(), new_key());
        assert!(PresentedKey::parse(one.text.as_bytes()).is_some_and(|shown| shown.matches(&one.key)));
        assert!(PresentedKey::parse(one.text.as_bytes()).is_some_and(|shown| !shown.matches(&other.key)));
        let mut wrong = one.text.clone();
        let last = wrong.pop();
        wrong.push(if last == Some('0') { '1' } else { '0' });
        assert!(PresentedKey::parse(wrong.as_bytes()).is_some_and(|shown| !shown.matches(&one.key)));
        assert_eq!(one.text.len(), "ak_".len() + 16 + "_".len() + 64);
    }

    #[test]
    fn nothing_of_the_secret_is_kept_or_printed() {
        let NewKey { key, text } = new_key();
        let secret = text.rsplit('_').next().unwrap_or_default();
        assert!(!key.secret_hash.expose().contains(secret));
        assert!(!format!("{key:?} {:?}", NewKey { key: key.clone(), text: text.clone() }).contains(secret));
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        let all = Scopes::of(Scope::ALL);
        assert_eq!(Scopes::from_stored(&all.to_string()), all);
        assert_eq!(Scopes::from_stored("users:read of:tomorrow"), Scopes::of(&[Scope::UsersRead]));
        assert!(!Scopes::default().contains(Scope::UsersRead));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in ["", "ak_", "ak_id", "ey_id_secret", "AK_id_secret"] {
            assert!(PresentedKey::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(PresentedKey::parse(b"ak_\xff_x").is_none());
    }
}
