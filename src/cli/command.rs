//! What can be typed after the program's name. Commands have types of their own by what they need: nothing,
//! the settings, the service's data.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use super::api_keys::ApiKeysCommand;
use super::events::EventsCommand;
use super::import::ImportCommand;
use super::keys::KeysCommand;
use super::mail::MailCommand;
use super::remote::RemoteArguments;
use super::secrets::SecretsCommand;
use super::sessions::SessionsCommand;
use super::users::UserCommand;

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

/// A command, by what it needs.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// What runs the service.
    #[command(flatten)]
    Service(ServiceCommand),
    /// Check whether the service on this machine is ready (exit code 0) or not (1).
    Health,
    /// Inspect the configuration.
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// What works on the service's data.
    #[command(flatten)]
    Administration(AdministrationCommand),
    /// What needs no settings.
    #[command(flatten)]
    Standalone(StandaloneCommand),
}

/// A command that runs the service or prepares for it. What it prints is the log.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ServiceCommand {
    /// Serve (the default).
    Serve,
    /// Run or revert database migrations.
    Migrate {
        /// Which way.
        #[command(subcommand)]
        direction: Option<Direction>,
    },
}

/// A command that works on the service's data. What it prints is for people and scripts.
#[derive(Clone, Debug, Subcommand)]
pub enum AdministrationCommand {
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
    /// Test the mail server, or manage mails that were not sent.
    Mail {
        /// What to do.
        #[command(subcommand)]
        command: MailCommand,
    },
    /// Manage what is stored encrypted.
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
}

/// A command that needs neither settings nor a database.
#[derive(Clone, Debug, Subcommand)]
pub enum StandaloneCommand {
    /// Generate keys.
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: KeysCommand,
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
