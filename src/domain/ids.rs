//! Identifiers, each of its own type, so that one cannot be passed in place of another.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known to be such an id.
            #[must_use]
            pub const fn new(value: Uuid) -> Self {
                Self(value)
            }

            /// The UUID itself, for rows and hashing.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A user; UUIDv7, or the UUID that the user had in the application the account was imported from.
    UserId
}
id! {
    /// A session of a user; UUIDv7.
    SessionId
}

/// The random value that binds access tokens to their session (claim `stk`): 122 random bits.
///
/// Besides access tokens, only the termination event for other services carries it: it has no `Display`,
/// and its `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionToken(Uuid);

impl SessionToken {
    /// Wraps a random (version 4) UUID.
    #[must_use]
    pub const fn new(value: Uuid) -> Self {
        Self(value)
    }

    /// The value, for the token's claim, the row and the event.
    #[must_use]
    pub const fn expose(self) -> Uuid {
        self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(hidden)")
    }
}
