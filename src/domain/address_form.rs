//! How much of a client's address is stored, displayed and mailed. Rate limits count the whole address
//! and do not store it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How much of an address to store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressForm {
    /// All of it.
    #[default]
    Full,
    /// Its network: /24 of IPv4, /48 of IPv6.
    Truncated,
    /// Nothing.
    None,
}

impl AddressForm {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Full, Self::Truncated, Self::None];
    /// The names of the forms, in the same order.
    pub const NAMES: &[&str] = &["full", "truncated", "none"];

    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Truncated => "truncated",
            Self::None => "none",
        }
    }

    /// The part of the address to store.
    #[must_use]
    pub fn of(self, address: Option<IpAddr>) -> Option<IpAddr> {
        match (self, address?.to_canonical()) {
            (Self::Full, address) => Some(address),
            (Self::Truncated, IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Some(Ipv4Addr::new(a, b, c, 0).into())
            }
            (Self::Truncated, IpAddr::V6(address)) => {
                let [a, b, c, ..] = address.segments();
                Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into())
            }
            (Self::None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_kept_as_is_asked_for() {
        for (form, address, kept) in [
            (AddressForm::Full, "203.0.113.7", Some("203.0.113.7")),
            (AddressForm::Truncated, "203.0.113.7", Some("203.0.113.0")),
            (AddressForm::Truncated, "::ffff:203.0.113.7", Some("203.0.113.0")),
            (AddressForm::Truncated, "2001:db8:1:2:3:4:5:6", Some("2001:db8:1::")),
            (AddressForm::None, "203.0.113.7", None),
        ] {
            let found = form.of(Some(address.parse().unwrap())).map(|address| address.to_string());
            assert_eq!(found.as_deref(), kept, "{form:?} {address}");
        }
        assert_eq!(AddressForm::Full.of(None), None);
    }
}
