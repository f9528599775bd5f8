//! What an operator may set, read once at start, checked as a whole and passed down as typed sections.
//!
//! It must never be reached for as a global, never show a secret, and never stop at the first mistake.
//!
//! In reading order: [`setting`] is what a declaration says, [`declared`] lists them, `source` looks values
//! up and collects what is wrong, `error` says it, `secret` hides what must not be seen, `secret_files` reads
//! those kept in files, `near_miss` finds mistyped names, `generated` keeps the secrets of a developer's
//! machine, [`env_file`] reads `.env`, [`documents`] writes what is made of the declarations; then one file
//! per section.

mod cookie;
mod database;
pub mod declared;
pub mod documents;
mod encryption;
pub mod env_file;
mod environment;
mod error;
mod events;
mod features;
mod generated;
mod http;
mod limits;
mod log;
mod mail;
mod near_miss;
mod origin;
mod password;
mod postgres_url;
mod rate_limits;
mod redis;
mod second_factors;
mod secret;
mod secret_files;
mod sessions;
pub mod setting;
mod shutdown;
mod source;
#[cfg(test)]
mod tests;
mod token_secrets;
mod tokens;
mod traces;
mod variables;

use std::collections::HashMap;
use std::path::PathBuf;

pub use declared::VARIABLES;

pub use cookie::{CookieConfig, SameSite};
pub use database::{DatabaseConfig, DatabaseLocation};
pub use encryption::EncryptionConfig;
pub use environment::Environment;
pub use error::{ConfigError, ConfigErrors};
pub use events::EventConfig;
pub use features::Feature;
pub use http::HttpConfig;
pub use limits::LimitConfig;
pub use log::{LogConfig, LogFormat};
pub use mail::{MailConfig, SmtpConfig, SmtpTls, is_locale};
pub use password::PasswordConfig;
pub use postgres_url::{PostgresServer, postgres_servers};
pub use rate_limits::RateLimitConfig;
pub use redis::RedisConfig;
pub use second_factors::{PasskeyConfig, SecondFactorConfig};
pub use secret::Secret;
pub use sessions::{SessionConfig, SessionRules};
pub use shutdown::ShutdownConfig;
pub use tokens::{JwtAlgorithm, TokenConfig};
pub use traces::{TraceConfig, TraceSampler};

use source::{Listing, Source};

/// Everything that can be set, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How strict to be, and which defaults hold.
    pub environment: Environment,
    /// The name in events, health and, unless set otherwise, in tokens as their issuer.
    pub service_name: String,
    /// Where to listen, and whom to believe.
    pub http: HttpConfig,
    /// Where sessions are kept.
    pub database: DatabaseConfig,
    /// The bus between nodes; `None` is the in-process one.
    pub redis: Option<RedisConfig>,
    /// How tokens are signed and how long they live.
    pub tokens: TokenConfig,
    /// The secrets that keys are derived from.
    pub encryption: EncryptionConfig,
    /// Where mails go.
    pub mail: MailConfig,
    /// Who must have a second factor, and for which site passkeys are.
    pub second_factors: SecondFactorConfig,
    /// How the refresh cookie is marked.
    pub cookie: CookieConfig,
    /// The session rules.
    pub sessions: SessionConfig,
    /// What hashing a password may cost.
    pub password: PasswordConfig,
    /// How often one caller may ask.
    pub rate_limits: RateLimitConfig,
    /// What is kept for consumers that must catch up.
    pub events: EventConfig,
    /// The bounds of this node's memory.
    pub limits: LimitConfig,
    /// How long an orderly end may take.
    pub shutdown: ShutdownConfig,
    /// What is logged, and how it looks.
    pub log: LogConfig,
    /// Where traces go, and which.
    pub traces: TraceConfig,
    /// The folder of the SQLite file and of generated secrets.
    pub data_dir: PathBuf,
    /// What works but should be changed; to be logged once logging is set up. Holds no secret.
    pub warnings: Vec<String>,
    /// What [`Config::effective`] shows.
    listing: Listing,
}

impl Config {
    /// Reads the process environment; a `.env` file must have been loaded into it before.
    ///
    /// # Errors
    /// [`ConfigErrors`]: everything that is wrong.
    pub fn from_env() -> Result<Config, ConfigErrors> {
        let mut vars = HashMap::new();
        let mut unreadable = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => {
                    vars.insert(name, value);
                }
                Err(raw) => {
                    if let Some(name) = VARIABLES.iter().find(|known| **known == name) {
                        let got = format!("{} bytes that are not UTF-8", raw.len());
                        unreadable.push(ConfigError::new(name, got, "text in UTF-8"));
                    }
                }
            }
        }
        Config::check(vars, unreadable)
    }

    /// The same from a map. Its one side effect: outside production, secrets that are missing are made and
    /// kept in the data folder, and only when everything else is right.
    ///
    /// # Errors
    /// [`ConfigErrors`]: everything that is wrong.
    pub fn parse(vars: &HashMap<String, String>) -> Result<Config, ConfigErrors> {
        Config::check(vars.clone(), Vec::new())
    }

    fn check(
        mut vars: HashMap<String, String>,
        mut errors: Vec<ConfigError>,
    ) -> Result<Config, ConfigErrors> {
        errors.extend(secret_files::load(&declared::ALL, &mut vars));
        let mut source = Source::new(&vars, &declared::ALL, errors);
        near_miss::warnings(&declared::ALL, vars.keys()).into_iter().for_each(|warning| source.warn(warning));
        Config::read(source)
    }

    fn read(mut source: Source<'_>) -> Result<Config, ConfigErrors> {
        let environment = Environment::parse(&mut source);
        let service_name = source.short_text("SERVICE_NAME");
        let data_dir = PathBuf::from(source.short_text("DATA_DIR"));
        let encryption = EncryptionConfig::parse(&mut source, environment);
        let http = HttpConfig::parse(&mut source);
        let mail = MailConfig::parse(&mut source, environment, encryption.secret.is_some());
        // One is made where it is missing and mails are sent.
        let has_secret = encryption.secret.is_some() || mail.smtp.is_some();
        let mut config = Config {
            environment,
            second_factors: SecondFactorConfig::parse(&mut source, has_secret, &http, &mail),
            mail,
            encryption,
            http,
            database: DatabaseConfig::parse(&mut source, environment, &data_dir),
            redis: RedisConfig::parse(&mut source),
            cookie: CookieConfig::parse(&mut source, environment),
            sessions: SessionConfig::parse(&mut source),
            password: PasswordConfig::parse(&mut source, environment),
            rate_limits: RateLimitConfig::parse(&mut source),
            events: EventConfig::parse(&mut source),
            limits: LimitConfig::parse(&mut source),
            shutdown: ShutdownConfig::parse(&mut source, environment),
            log: LogConfig::parse(&mut source, environment),
            traces: TraceConfig::parse(&mut source, &service_name),
            // Last, because it may write secrets to disk, which it does only while nothing is wrong.
            tokens: TokenConfig::parse(&mut source, environment, &service_name, &data_dir),
            service_name,
            data_dir,
            warnings: Vec::new(),
            listing: Vec::new(),
        };
        if config.mail.smtp.is_some() {
            let (needed_for, folder) = ("SMTP_URL", &config.data_dir);
            config.encryption.make_if_missing(&mut source, environment, needed_for, folder);
        }
        config.encryption.list(&mut source);
        let (warnings, listing) = source.finish()?;
        Ok(Config { warnings, listing, ..config })
    }

    /// Every variable with the value in force, written as it could be set again; secrets as `(N bytes)`.
    /// `NODE_ENV` and `RUST_LOG` are other names of `APP_ENV` and `LOG_LEVEL` and are listed under these;
    /// those for a role where they are set.
    #[must_use]
    pub fn effective(&self) -> &[(&'static str, String)] {
        &self.listing
    }
}
