//! What an operator may set, read once at start, checked as a whole and passed down as typed sections.
//!
//! It must never be used as a global, never show a secret, and never stop at the first mistake.
//!
//! In reading order: [`setting`] defines what a declaration contains, [`declared`] lists the declarations,
//! `source` looks up values and collects errors, `error` describes them, `secret` hides what must not be
//! seen, `secret_files` reads secrets from files, `near_miss` finds mistyped names, `generated` stores the
//! secrets of a developer's machine, [`env_file`] reads `.env`, [`documents`] writes the documents generated
//! from the declarations; then one file per section.

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
pub use redis::{RedisConfig, RedisMode};
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
    /// How strict to be, and which defaults apply.
    pub environment: Environment,
    /// The name in events, health and, unless set otherwise, in tokens as their issuer.
    pub service_name: String,
    /// Where to listen, and which peers to trust.
    pub http: HttpConfig,
    /// Where sessions are stored.
    pub database: DatabaseConfig,
    /// The bus between nodes; `None` is the in-process one.
    pub redis: Option<RedisConfig>,
    /// How tokens are signed and how long they live.
    pub tokens: TokenConfig,
    /// The secrets that keys are derived from.
    pub encryption: EncryptionConfig,
    /// How mails are sent.
    pub mail: MailConfig,
    /// Who must have a second factor, and which site passkeys belong to.
    pub second_factors: SecondFactorConfig,
    /// The refresh cookie's name and attributes.
    pub cookie: CookieConfig,
    /// The session rules.
    pub sessions: SessionConfig,
    /// What hashing a password may cost.
    pub password: PasswordConfig,
    /// How many requests one caller may make.
    pub rate_limits: RateLimitConfig,
    /// What is retained for consumers that must catch up.
    pub events: EventConfig,
    /// The bounds of this node's memory.
    pub limits: LimitConfig,
    /// How long an orderly shutdown may take.
    pub shutdown: ShutdownConfig,
    /// What is logged, and in which format.
    pub log: LogConfig,
    /// Which requests are traced, and where traces are sent.
    pub traces: TraceConfig,
    /// The folder of the SQLite file and of generated secrets.
    pub data_dir: PathBuf,
    /// What works but should be changed; to be logged once logging is set up. Contains no secret.
    pub warnings: Vec<String>,
    /// What [`Config::effective`] shows.
    listing: Listing,
}

impl Config {
    /// Reads the process environment; a `.env` file must already have been loaded into it.
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

    /// The same from a map. Its only side effect: outside production, missing secrets are generated and
    /// stored in the data folder, but only if everything else is valid.
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
        // If it is missing and mails are sent, one is generated.
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
            // Last, because it may write secrets to disk, which it does only if there are no errors so far.
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

    /// Every variable with its effective value, written as it could be set again; secrets as `(N bytes)`.
    /// `NODE_ENV` and `RUST_LOG` are aliases of `APP_ENV` and `LOG_LEVEL` and are listed under these;
    /// variables for a role are listed only if they are set.
    #[must_use]
    pub fn effective(&self) -> &[(&'static str, String)] {
        &self.listing
    }
}
