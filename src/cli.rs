//! The commands beside serving: each does one thing and ends. What they print is for people and scripts, not the log.

mod health;
mod users;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{Config, JwtAlgorithm};
use crate::http::OPENAPI;
use crate::io::Io;
use crate::security::generate::private_key_pem;
use crate::storage::{Store, StoreOptions};
use crate::telemetry::metrics::Metrics;

pub use health::ask_health;
pub use users::{RoleName, UserCommand};

/// What a command may fail with; told in one line.
pub type Failure = Box<dyn std::error::Error>;

/// A session service: sign-up, login, rotating tokens, devices, timeouts and limits.
///
/// It is configured by environment variables and a .env file; see .env.example.
#[derive(Debug, Parser)]
#[command(name = "auth-service", version)]
pub struct Cli {
    /// What to do; to serve, if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve (the default).
    Serve,
    /// Bring the database schema up to date, or take it back.
    Migrate {
        /// Which way.
        #[command(subcommand)]
        direction: Option<Direction>,
    },
    /// Ask the service on this machine whether it can serve; exit code 0 if so, else 1.
    Health,
    /// Make keys.
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Look at the configuration.
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at, change or delete an account.
    User {
        /// What to do.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Print the OpenAPI document.
    Openapi,
}

/// Which way to migrate.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Direction {
    /// Apply what is missing (the default).
    Up,
    /// Revert the latest migrations.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Tell how many are missing; exit code 1 if any is.
    Status,
}

/// What to do with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a private key for access tokens: PKCS#8 in a PEM file that only the owner may read.
    Generate {
        /// For `JWT_ALGORITHM`.
        #[arg(long, value_enum, default_value_t = KeyAlgorithm::EdDSA)]
        algorithm: KeyAlgorithm,
        /// Where to write it; an existing file is left alone.
        #[arg(long, default_value = "jwt-private.pem")]
        out: PathBuf,
    },
}

/// Algorithms that have a key file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyAlgorithm {
    /// Ed25519: small and quick.
    #[value(name = "EdDSA")]
    EdDSA,
    /// ECDSA on P-256.
    #[value(name = "ES256")]
    ES256,
    /// RSA with 2,048 bits: what old libraries know.
    #[value(name = "RS256")]
    RS256,
}

/// What to do with the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check it, and print every variable with the value in force; of secrets only the length.
    Check,
}

/// Applies or reverts migrations, or tells how many are missing.
///
/// # Errors
/// When the database cannot be used, or, for the status, when migrations are missing.
pub async fn migrate(config: Config, io: Io, direction: Direction) -> Result<(), Failure> {
    let store = Store::open(StoreOptions { database: config.database, io, metrics: Metrics::new()? }).await?;
    match direction {
        Direction::Up => say(&format!("{} migrations applied", store.migrate().await?)),
        Direction::Down { steps } => {
            store.migrate_down(steps).await?;
            say(&format!("{steps} migrations reverted"));
        }
        Direction::Status => {
            let missing = store.pending_migrations().await?;
            say(&format!("{missing} migrations missing"));
            if missing > 0 {
                return Err("the schema is not up to date".into());
            }
        }
    }
    store.close().await;
    Ok(())
}

/// Looks at, changes or deletes an account.
///
/// # Errors
/// When there is no such account, or the database cannot be used.
pub async fn administer_user(config: Config, io: Io, command: UserCommand) -> Result<(), Failure> {
    let options = StoreOptions { database: config.database.clone(), io, metrics: Metrics::new()? };
    let store = Store::open(options).await?;
    let done = users::run(&config, &store, command).await;
    store.close().await;
    done
}

/// Prints every variable with the value in force.
pub fn show_config(config: &Config) {
    for (name, value) in config.effective() {
        say(&format!("{name}={value}"));
    }
}

/// Prints the OpenAPI document.
pub fn show_openapi() {
    say(OPENAPI);
}

/// Makes a key file.
///
/// # Errors
/// When the file is there already, or cannot be written.
pub fn generate_key(algorithm: KeyAlgorithm, out: &Path) -> Result<(), Failure> {
    let algorithm = match algorithm {
        KeyAlgorithm::EdDSA => JwtAlgorithm::EdDSA,
        KeyAlgorithm::ES256 => JwtAlgorithm::ES256,
        KeyAlgorithm::RS256 => JwtAlgorithm::RS256,
    };
    let pem = private_key_pem(algorithm)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .map_err(|error| format!("cannot write {}: {error}", out.display()))?;
    file.write_all(pem.as_bytes())?;
    say(&format!("JWT_ALGORITHM={algorithm:?}\nJWT_PRIVATE_KEY_FILE={}", out.display()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command's result goes to standard output")]
fn say(text: &str) {
    println!("{text}");
}
