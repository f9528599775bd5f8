//! The commands beside serving: each does one thing and ends. What they print is for people and scripts, not
//! the log.

mod account;
mod api_keys;
mod events;
mod health;
mod import;
mod keys;
mod mail;
mod output;
mod remote;
mod secrets;
mod sessions;
mod users;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Config;
use crate::config::documents::env_example;
use crate::http::OPENAPI;
use crate::io::Io;
use crate::mail::Post;
use crate::security::keys::Keyring;
use crate::storage::{Store, StoreOptions};
use crate::telemetry::metrics::Metrics;

pub use api_keys::ApiKeysCommand;
pub use events::EventsCommand;
pub use health::ask_health;
pub use import::ImportCommand;
pub use keys::{KeysCommand, generate_key};
pub use mail::MailCommand;
use output::{remark, say};
pub use remote::{RemoteArguments, run as run_remotely};
pub use secrets::SecretsCommand;
pub use sessions::SessionsCommand;
pub use users::UserCommand;

/// What a command may fail with; told in one line.
pub type CommandError = Box<dyn std::error::Error>;

/// A session service: sign-up, login, rotating tokens, devices, timeouts and limits.
///
/// It is configured by environment variables and a .env file; see .env.example.
#[derive(Debug, Parser)]
#[command(name = "auth-service", version)]
pub struct Cli {
    /// The command; `serve` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where `user` and `sessions` are done, if not on the database.
    #[command(flatten)]
    pub remote: RemoteArguments,
}

/// A command.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve (the default).
    Serve,
    /// Run or revert database migrations.
    Migrate {
        /// Which way.
        #[command(subcommand)]
        direction: Option<Direction>,
    },
    /// Check whether the service on this machine is ready (exit code 0) or not (1).
    Health,
    /// Generate keys.
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Inspect the configuration.
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Manage user accounts.
    User {
        /// What to do.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// List or end a user's sessions.
    Sessions {
        /// What to do.
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Manage API keys, for other services and operators.
    ApiKeys {
        /// What to do.
        #[command(subcommand)]
        command: ApiKeysCommand,
    },
    /// Follow the events that other services receive.
    Events {
        /// What to do.
        #[command(subcommand)]
        command: EventsCommand,
    },
    /// Try the mail server out, or look after mails that were not sent.
    Mail {
        /// What to do.
        #[command(subcommand)]
        command: MailCommand,
    },
    /// Look after what is stored encrypted.
    Secrets {
        /// What to do.
        #[command(subcommand)]
        command: SecretsCommand,
    },
    /// Import users from another application.
    Import {
        /// What to do.
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Generate shell completions.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Which way to migrate.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Direction {
    /// Apply pending migrations (the default).
    Up,
    /// Revert the latest migrations.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Show how many migrations are pending; exit code 1 if there are any.
    Status,
}

/// What to do with the configuration.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check it and print the value in force of every variable; secrets show only their length.
    Check,
    /// Print an example of a .env file: every variable, commented out, with its default.
    Example,
}

/// Applies or reverts migrations, or tells how many are missing.
///
/// # Errors
/// When the database cannot be used, or, for the status, when migrations are missing.
pub async fn migrate(config: Config, io: Io, direction: Direction) -> Result<(), CommandError> {
    let store = Store::open(store_options(&config, io)?).await?;
    match direction {
        Direction::Up => say(&format!("{} migrations applied", store.migrate().await?))?,
        Direction::Down { steps } => {
            store.migrate_down(steps).await?;
            say(&format!("{steps} migrations reverted"))?;
        }
        Direction::Status => {
            let missing = store.pending_migrations().await?;
            say(&format!("{missing} migrations pending"))?;
            if missing > 0 {
                return Err("the schema is not up to date".into());
            }
        }
    }
    store.close().await;
    Ok(())
}

/// Does one of the commands that need the database or Redis, beside the service.
///
/// # Errors
/// Why it could not be done; what was done before that is printed.
pub async fn administer(config: Config, io: Io, command: Command) -> Result<(), CommandError> {
    if let Command::Events { command } = command {
        return events::run(&config, io, command).await;
    }
    if let Command::Mail { command: MailCommand::Test { address } } = command {
        return mail::test(&config, io, address).await;
    }
    let store = Store::open(store_options(&config, io.clone())?).await?;
    let done = match store.pending_migrations().await? {
        0 => administer_store(&config, &store, io, command).await,
        missing => Err(format!("{missing} migrations are pending; run `auth-service migrate`").into()),
    };
    store.close().await;
    done
}

fn store_options(config: &Config, io: Io) -> Result<StoreOptions, CommandError> {
    Ok(StoreOptions {
        keeps_events: config.redis.is_some(),
        database: config.database.clone(),
        io,
        metrics: Metrics::new()?,
        default_idle_timeout: config.sessions.timeout,
        addresses: config.http.addresses,
    })
}

async fn administer_store(
    config: &Config,
    store: &Store,
    io: Io,
    command: Command,
) -> Result<(), CommandError> {
    match command {
        Command::User { command } => users::run(config, store, io, command).await,
        Command::Sessions { command } => sessions::run(config, store, command).await,
        Command::ApiKeys { command } => api_keys::run(store, command).await,
        Command::Mail { command } => mail::run(config, store, command).await,
        Command::Secrets { command } => secrets::run(config, store, command).await,
        Command::Import { command } => {
            Box::pin(import::run(&account::operators(config, store), store, io, command)).await
        }
        Command::Serve
        | Command::Migrate { .. }
        | Command::Health
        | Command::Keys { .. }
        | Command::Config { .. }
        | Command::Events { .. }
        | Command::Openapi
        | Command::Completions { .. } => Err("this command needs no database".into()),
    }
}

/// Prints every variable with the value in force, if all of them can be used; beside it, what works but
/// should be changed.
///
/// # Errors
/// [`KeyError`](crate::security::keys::KeyError) where a key file cannot be used; or when standard output
/// cannot be written to.
pub fn show_config(config: &Config) -> Result<(), CommandError> {
    Keyring::load(&config.tokens)?;
    Post::new(config)?;
    config.warnings.iter().for_each(|warning| remark(&format!("warning: {warning}")));
    config.effective().iter().try_for_each(|(name, value)| say(&format!("{name}={value}")))
}

/// Prints an example of a `.env` file.
///
/// # Errors
/// When standard output cannot be written to.
pub fn show_example() -> Result<(), CommandError> {
    say(env_example().trim_end())
}

/// Prints the OpenAPI document.
///
/// # Errors
/// When standard output cannot be written to.
pub fn show_openapi() -> Result<(), CommandError> {
    say(OPENAPI)
}

/// Prints what completes the commands in that shell.
///
/// # Errors
/// When standard output cannot be written to.
pub fn show_completions(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "auth-service", &mut script);
    say(String::from_utf8(script)?.trim_end())
}

/// `1 session`, `2 sessions`.
fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
