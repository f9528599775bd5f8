//! The commands beside serving: each does one thing and ends. What they print is for people and scripts, not
//! the log.

mod account;
mod api_keys;
mod command;
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

use clap::CommandFactory;
use clap_complete::Shell;

use crate::config::Config;
use crate::config::documents::env_example;
use crate::http::OPENAPI;
use crate::io::Io;
use crate::mail::Post;
use crate::security::keys::Keyring;
use crate::storage::{Store, StoreOptions};
use crate::telemetry::metrics::Metrics;

pub use command::{
    AdministrationCommand, Cli, Command, ConfigCommand, Direction, ServiceCommand, StandaloneCommand,
};
pub use health::ask_health;
use keys::{KeysCommand, generate_key};
use mail::MailCommand;
use output::{remark, say};
pub use remote::{RemoteArguments, run as run_remotely};

/// What a command may fail with; told in one line.
pub type CommandError = Box<dyn std::error::Error>;

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

/// Runs a command on the service's data, beside the service.
///
/// # Errors
/// Why it failed; what was done before that is printed.
pub async fn administer(config: &Config, io: Io, command: AdministrationCommand) -> Result<(), CommandError> {
    use AdministrationCommand::{ApiKeys, Events, Import, Mail, Secrets, Sessions, User};
    match command {
        Events { command } => events::run(config, io, command).await,
        Mail { command: MailCommand::Test { address } } => mail::test(config, io, address).await,
        Mail { command: MailCommand::Stored(command) } => {
            with_store(config, &io, async |store| mail::run(config, store, command).await).await
        }
        User { command } => {
            with_store(config, &io, async |store| users::run(config, store, io.clone(), command).await).await
        }
        Sessions { command } => {
            with_store(config, &io, async |store| sessions::run(config, store, command).await).await
        }
        ApiKeys { command } => {
            with_store(config, &io, async |store| api_keys::run(store, command).await).await
        }
        Secrets { command } => {
            with_store(config, &io, async |store| secrets::run(config, store, command).await).await
        }
        Import { command } => {
            let import = async |store: &Store| {
                let operators = account::operators(config, store);
                Box::pin(import::run(&operators, store, io.clone(), command)).await
            };
            with_store(config, &io, import).await
        }
    }
}

/// Opens the database, refuses one whose schema is not up to date, and closes it when the work is done.
async fn with_store(
    config: &Config,
    io: &Io,
    work: impl AsyncFnOnce(&Store) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let store = Store::open(store_options(config, io.clone())?).await?;
    let done = match store.pending_migrations().await? {
        0 => work(&store).await,
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

/// Runs a command that needs no settings.
///
/// # Errors
/// When what it makes cannot be written.
pub fn run_standalone(command: StandaloneCommand) -> Result<(), CommandError> {
    match command {
        StandaloneCommand::Keys { command: KeysCommand::Generate { algorithm, out } } => {
            generate_key(algorithm, &out)
        }
        StandaloneCommand::Openapi => say(OPENAPI),
        StandaloneCommand::Completions { shell } => show_completions(shell),
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

fn show_completions(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "auth-service", &mut script);
    say(String::from_utf8(script)?.trim_end())
}

/// `1 session`, `2 sessions`.
fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
