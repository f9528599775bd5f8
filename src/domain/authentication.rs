//! How a person proved who they are: when, and by which methods (RFC 8176).

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::time::Timestamp;

/// A set of authentication methods.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Methods(u8);

/// The methods, in the order of their bits. Rows store the bits, so a bit never changes its meaning.
const NAMES: [&str; 7] = ["pwd", "otp", "hwk", "swk", "user", "mfa", "rcv"];

impl Methods {
    /// A password.
    pub const PASSWORD: Self = Self(1);
    /// A one-time code.
    pub const OTP: Self = Self(1 << 1);
    /// A key that cannot leave its device.
    pub const HARDWARE_KEY: Self = Self(1 << 2);
    /// A key that is synchronised between devices.
    pub const SOFTWARE_KEY: Self = Self(1 << 3);
    /// The device verified its user.
    pub const USER_VERIFIED: Self = Self(1 << 4);
    /// Two factors were presented.
    pub const MULTIPLE_FACTORS: Self = Self(1 << 5);
    /// A recovery code.
    pub const RECOVERY_CODE: Self = Self(1 << 6);

    /// The union of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it contains all of `other`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set as stored in a row.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set that a row stores; `None` if a newer version wrote a method that this one does not know.
    #[must_use]
    pub fn from_bits(bits: i32) -> Option<Self> {
        u8::try_from(bits).ok().filter(|bits| bits >> NAMES.len() == 0).map(Self)
    }

    /// The names from RFC 8176 (`rcv` is our own), for the `amr` claim.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| name)
    }

    /// The assurance level that these methods reach.
    #[must_use]
    pub const fn level(self) -> Level {
        if self.contains(Self::MULTIPLE_FACTORS) { Level::Aal2 } else { Level::Aal1 }
    }
}

impl std::fmt::Debug for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Serialize for Methods {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names = serializer.serialize_seq(None)?;
        for name in self.names() {
            names.serialize_element(name)?;
        }
        names.end()
    }
}

/// How certain the service is of the person's identity (NIST SP 800-63B), for the `acr` claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// One factor.
    Aal1,
    /// Two factors.
    Aal2,
}

impl Level {
    /// The name in the claim.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aal1 => "aal1",
            Self::Aal2 => "aal2",
        }
    }
}

/// The latest authentication of the session's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// When the person authenticated.
    pub at: Timestamp,
    /// By which methods.
    pub methods: Methods,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        let both = Methods::PASSWORD.with(Methods::OTP).with(Methods::MULTIPLE_FACTORS);
        assert_eq!(Methods::from_bits(both.bits().into()), Some(both));
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"["pwd","otp","mfa"]"#);
        assert_eq!((both.level(), Methods::PASSWORD.level()), (Level::Aal2, Level::Aal1));
        assert_eq!(serde_json::to_string(&both.level()).unwrap(), "\"aal2\"");
    }

    #[test]
    fn a_method_of_a_newer_version_is_not_guessed() {
        assert_eq!((Methods::from_bits(1 << 7), Methods::from_bits(-1)), (None, None));
    }
}
