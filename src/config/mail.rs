//! How mails are sent, from whom, and with which templates.
//!
//! It must never show the password of the mail server, nor let production send one over an unencrypted
//! connection.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::setting::{Form, Preset, Setting};
use super::source::Source;
use super::{Environment, Secret, origin};

const URL_WANTS: &str = "smtps://[USER:PASSWORD@]HOST[:PORT], or smtp://… with ?tls=required; \
                         without TLS only to this machine";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "SMTP_URL",
        Form::Other(
            "URL, secret",
            "`smtps://[USER:PASSWORD@]HOST[:PORT]`, or `smtp://…?tls=required` for STARTTLS; without TLS only to this \
             machine, elsewhere refused in production and warned about otherwise. What has a meaning in a URL is written \
             as `%3A` and so on",
        ),
        Preset::Told("none; no mail"),
        "The mail server.",
    )
    .secret(),
    Setting::new(
        "SMTP_CA_FILE",
        Form::Other("file", "a file that can be read"),
        Preset::Unset,
        "Authorities (PEM) trusted for the mail server beside the system's.",
    ),
    Setting::new(
        "MAIL_FROM",
        Form::Other("text", "`ADDRESS` or `NAME <ADDRESS>`; needed in production with `SMTP_URL`"),
        Preset::Value("no-reply@localhost"),
        "Who mails come from.",
    ),
    Setting::new(
        "MAIL_REPLY_TO",
        Form::Other("text", "as `MAIL_FROM`"),
        Preset::Told("`MAIL_FROM`"),
        "Where answers to mails go.",
    ),
    Setting::new(
        "APP_URL",
        Form::Other("URL", "`http(s)://HOST[:PORT][/PATH]`; needed in production with `SMTP_URL`"),
        Preset::Unset,
        "Where people use the service: links in mails begin with it.",
    ),
    Setting::new(
        "MAIL_TEMPLATES_DIR",
        Form::Other("folder", "a folder that can be read"),
        Preset::Unset,
        "Folder of mail templates that go before the built-in ones.",
    ),
    Setting::new(
        "MAIL_LOCALE",
        Form::Other("word", "a language such as `en`, `de`, `pt-BR`"),
        Preset::Value("en"),
        "Language of mails to people who have chosen none.",
    ),
    Setting::new(
        "REQUIRE_VERIFIED_EMAIL",
        Form::Boolean,
        Preset::Value("false"),
        "Whether an account is made only when its mailbox has been shown. Sign-up then answers alike for addresses with an \
         account and without.",
    )
    .note("`true` needs mail"),
];

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpConfig {
    /// The whole address, as given.
    pub url: Secret,
    /// Host name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// User and password, if the server requires them.
    pub credentials: Option<(String, Secret)>,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte.
    Implicit,
    /// By STARTTLS, without which nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// Mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailConfig {
    /// The mail server; `None` if mails are written to files, or mail is off.
    pub smtp: Option<SmtpConfig>,
    /// PEM file of certificate authorities to trust in addition to the usual ones.
    pub smtp_ca_file: Option<PathBuf>,
    /// Who mails come from, `address` or `Name <address>`.
    pub from: String,
    /// Where replies go, if not to `from`.
    pub reply_to: Option<String>,
    /// The address at which people use the service, without a trailing slash; links in mails begin with it.
    pub app_url: Option<String>,
    /// Templates that take precedence over the built-in ones.
    pub templates_dir: Option<PathBuf>,
    /// The language of mails to people who have chosen none.
    pub locale: String,
    /// Whether mails are written to files for lack of a server: only outside production.
    pub to_files: bool,
    /// Whether an account is created only after access to its mailbox has been proved.
    pub requires_verified_email: bool,
}

impl MailConfig {
    /// `has_secret`: whether `ENCRYPTION_SECRET` is set, which outside production suffices for mail.
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment, has_secret: bool) -> Self {
        let smtp = smtp(source, environment);
        if smtp.is_some() && environment.is_production() {
            for (name, wants) in [
                (
                    "APP_URL",
                    "where people use the service, such as https://app.example.com, for links in mails",
                ),
                ("MAIL_FROM", "the address that mails come from"),
            ] {
                if source.text(name).is_none() {
                    source.refuse_missing(name, format!("{wants}, because SMTP_URL is set"));
                }
            }
        }
        let to_files = smtp.is_none() && has_secret && !environment.is_production();
        let requires_verified_email = source.boolean("REQUIRE_VERIFIED_EMAIL");
        if requires_verified_email && smtp.is_none() && !to_files {
            source.refuse("REQUIRE_VERIFIED_EMAIL", "true", "SMTP_URL to be set with it");
        }
        MailConfig {
            requires_verified_email,
            to_files,
            smtp,
            smtp_ca_file: source.path("SMTP_CA_FILE"),
            from: source.short_text("MAIL_FROM"),
            reply_to: source.optional_text("MAIL_REPLY_TO"),
            app_url: app_url(source, environment),
            templates_dir: source.path("MAIL_TEMPLATES_DIR"),
            locale: locale(source),
        }
    }

    /// Whether mail is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.smtp.is_some() || self.to_files
    }
}

fn smtp(source: &mut Source<'_>, environment: Environment) -> Option<SmtpConfig> {
    let url = source.text("SMTP_URL").map(Secret::new);
    source.list_secret("SMTP_URL", url.as_ref());
    let url = url?;
    let length = url.expose().len();
    let Some(smtp) = parse_smtp(&url) else {
        source.refuse_secret("SMTP_URL", length, URL_WANTS);
        return None;
    };
    if smtp.tls == SmtpTls::None && !is_loopback(&smtp.host) {
        if environment.is_production() {
            source.refuse_secret("SMTP_URL", length, URL_WANTS);
        } else {
            source.warn("SMTP_URL: mails and their codes travel unprotected; production wants TLS");
        }
    }
    Some(smtp)
}

/// Parsed by hand, because a parser's error could show the secret.
fn parse_smtp(url: &Secret) -> Option<SmtpConfig> {
    let (scheme, rest) = url.expose().trim().split_once("://")?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (credentials, authority) = match rest.trim_end_matches('/').rsplit_once('@') {
        Some((credentials, authority)) => (Some(parse_credentials(credentials)?), authority),
        None => (None, rest.trim_end_matches('/')),
    };
    let (tls, default_port) = match (scheme.to_ascii_lowercase().as_str(), query) {
        ("smtps", "" | "tls=required") => (SmtpTls::Implicit, 465),
        ("smtp", "tls=required") => (SmtpTls::StartTls, 587),
        ("smtp", "") => (SmtpTls::None, 25),
        _ => return None,
    };
    let (host, port) = origin::split_port(authority)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.parse::<IpAddr>().is_err() && !origin::is_host_name(host) {
        return None;
    }
    let host = host.to_owned();
    Some(SmtpConfig { url: url.clone(), host, port: port.unwrap_or(default_port), tls, credentials })
}

fn parse_credentials(text: &str) -> Option<(String, Secret)> {
    let (user, password) = text.split_once(':')?;
    let decoded = |text| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    Some((decoded(user).filter(|user| !user.is_empty())?, Secret::new(decoded(password)?)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn app_url(source: &mut Source<'_>, environment: Environment) -> Option<String> {
    let url = given_app_url(source, environment);
    source.list_value("APP_URL", url.clone().unwrap_or_default());
    url
}

fn given_app_url(source: &mut Source<'_>, environment: Environment) -> Option<String> {
    let value = source.text("APP_URL")?;
    let url = value.trim_end_matches('/');
    let after_scheme = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = after_scheme.map(|rest| rest.split_once('/').map_or(rest, |(authority, _)| authority));
    let host = authority.and_then(origin::split_port).map(|(host, _)| host);
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\`{}|^@".contains(&byte));
    if !plain || !host.is_some_and(origin::is_host) {
        source.refuse("APP_URL", value, "http(s)://HOST[:PORT][/PATH], without a query or a fragment");
    } else if environment.is_production() && url.starts_with("http://") {
        source.warn("APP_URL: links with codes lead to a page without TLS; production wants https");
    }
    Some(url.to_owned())
}

fn locale(source: &mut Source<'_>) -> String {
    let locale = source.short_text("MAIL_LOCALE");
    if !is_locale(&locale) {
        source.refuse("MAIL_LOCALE", &locale, "a language such as en, de or pt-BR");
    }
    locale
}

/// Whether it is a language tag, possibly with subtags: short, and not usable as a path.
#[must_use]
pub fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && text.len() <= 16
        && parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests;
