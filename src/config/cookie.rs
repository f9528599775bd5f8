//! The refresh cookie's name and attributes.
//!
//! They must never be a combination that browsers refuse.

use super::Environment;
use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "COOKIE_NAME",
        Form::Text,
        Preset::Value("refreshToken"),
        "The refresh cookie's name. With `__Host-refreshToken` browsers take it from this host alone and over TLS alone; the \
         plain name is then still read, so that nobody is signed out by the change.",
    )
    .note("up to 64 characters of a cookie's name; a prefix needs `COOKIE_SECURE=true`"),
    Setting::new(
        "COOKIE_SAMESITE",
        Form::Word(&["Lax", "Strict", "None"]),
        Preset::Value("Lax"),
        "The refresh cookie's `SameSite`.",
    )
    .note("`None` needs `COOKIE_SECURE=true`"),
    Setting::new(
        "COOKIE_SECURE",
        Form::Boolean,
        Preset::Told("`true` in production and staging, else `false`"),
        "Whether the refresh cookie travels over TLS only.",
    )
    .note("`false` in production is warned about"),
];

/// Prefixes that browsers reserve for cookies set over TLS; the first also binds a cookie to the host that
/// set it (RFC 6265bis).
const HOST_PREFIX: &str = "__Host-";
const SECURE_PREFIX: &str = "__Secure-";
/// Longest name, in bytes.
const NAME_MAX: usize = 64;

/// The refresh cookie's name and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    /// The name it is set under.
    pub name: String,
    /// Whether it is sent with requests from other sites.
    pub same_site: SameSite,
    /// Whether it is sent over TLS only.
    pub secure: bool,
}

/// The cookie's `SameSite` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent when links on other sites are followed, not with their forms and scripts.
    Lax,
    /// Sent from this site only.
    Strict,
    /// Sent from everywhere; needs `Secure`.
    None,
}

impl CookieConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let choices = [("Lax", SameSite::Lax), ("Strict", SameSite::Strict), ("None", SameSite::None)];
        let same_site = source.choice("COOKIE_SAMESITE", &choices);
        let served_over_tls = matches!(environment, Environment::Production | Environment::Staging);
        let secure = source.boolean_or("COOKIE_SECURE", served_over_tls);
        if same_site == SameSite::None && !secure {
            source.refuse(
                "COOKIE_SAMESITE",
                "None",
                "Lax or Strict, or COOKIE_SECURE=true with it: browsers drop it else",
            );
        }
        if environment.is_production() && !secure {
            source.warn("COOKIE_SECURE is false in production: the refresh token travels without TLS too");
        }
        CookieConfig { name: name(source, secure), same_site, secure }
    }

    /// The names it is read under: the one it is set under, and the plain one that browsers still have after
    /// a prefix was configured.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let prefixes = [HOST_PREFIX, SECURE_PREFIX];
        let plain = prefixes.iter().find_map(|prefix| self.name.strip_prefix(prefix));
        std::iter::once(self.name.as_str()).chain(plain)
    }
}

fn name(source: &mut Source<'_>, secure: bool) -> String {
    let name = source.short_text("COOKIE_NAME");
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let has_prefix =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let bare = name.strip_prefix(HOST_PREFIX).or_else(|| name.strip_prefix(SECURE_PREFIX));
    let is_prefixed = has_prefix(HOST_PREFIX) || has_prefix(SECURE_PREFIX);
    if name.len() > NAME_MAX || !name.bytes().all(is_of_token) || bare.is_some_and(str::is_empty) {
        source.refuse("COOKIE_NAME", &name, "up to 64 letters, digits and characters such as - and _");
    } else if is_prefixed && bare.is_none() {
        source.refuse("COOKIE_NAME", &name, "the prefix written as __Host- or __Secure-");
    } else if is_prefixed && !secure {
        source.refuse("COOKIE_NAME", &name, "a name without prefix, or COOKIE_SECURE=true with it");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, refused};
    use super::*;

    #[test]
    fn secure_by_environment() {
        for (environment, secure) in [("development", false), ("test", false), ("staging", true)] {
            assert_eq!(parse(&[("APP_ENV", environment)]).cookie.secure, secure, "{environment}");
        }
    }

    #[test]
    fn none_needs_secure() {
        let cookie = parse(&[("COOKIE_SAMESITE", "none"), ("COOKIE_SECURE", "true")]).cookie;
        assert_eq!(cookie.same_site, SameSite::None);
        assert_eq!(refused(&[("COOKIE_SAMESITE", "None")]), ["COOKIE_SAMESITE"]);
        assert_eq!(refused(&[("COOKIE_SAMESITE", "loose")]), ["COOKIE_SAMESITE"]);
    }

    #[test]
    fn a_prefix_needs_secure_and_the_plain_name_is_still_read() {
        let cookie = parse(&[("COOKIE_NAME", "__Host-refreshToken"), ("COOKIE_SECURE", "true")]).cookie;
        assert_eq!(cookie.names().collect::<Vec<_>>(), ["__Host-refreshToken", "refreshToken"]);
        assert_eq!(parse(&[]).cookie.names().collect::<Vec<_>>(), ["refreshToken"]);
        for name in ["__Host-refreshToken", "__Secure-x"] {
            assert_eq!(refused(&[("COOKIE_NAME", name)]), ["COOKIE_NAME"], "{name}");
        }
        for name in ["a b", "a=b", "ä", "__Host-", "__host-x"] {
            let set = [("COOKIE_NAME", name), ("COOKIE_SECURE", "true")];
            assert_eq!(refused(&set), ["COOKIE_NAME"], "{name}");
        }
    }
}
