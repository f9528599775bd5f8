//! The program. Exit codes: 0 done, 1 something cannot be opened or failed, 2 wrong configuration or usage.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use auth_service::app::{App, StartError};
use auth_service::bus::BusError;
use auth_service::cli::{
    self, Cli, Command, CommandError, ConfigCommand, Direction, RemoteArguments, ServiceCommand,
};
use auth_service::config::{Config, env_file};
use auth_service::io::Io;
use auth_service::mail::MailError;
use auth_service::security::keys::KeyError;
use auth_service::telemetry::{log_writer, logging};
use clap::Parser;

/// Gives freed memory back to the system: of retired users' actors the default allocator keeps most.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that talk to the database and to Redis.
const IO_THREADS: usize = 2;
/// How long the end of the process waits for its last log lines to be written.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let Cli { command, remote } = Cli::parse();
    let command = command.unwrap_or(Command::Service(ServiceCommand::Serve));
    if let Some(server) = &remote.server {
        return exit(remotely(server, &remote, command));
    }
    match command {
        Command::Standalone(command) => exit(cli::run_standalone(command)),
        Command::Config { command: ConfigCommand::Example } => exit(cli::show_example()),
        Command::Config { command: ConfigCommand::Check } => configured(|config| cli::show_config(&config)),
        Command::Health => configured(|config| cli::ask_health(&config.http)),
        Command::Service(command) => configured(|config| {
            logging::init(&config.log);
            on_actix(|io| run(command, config, io))
        }),
        Command::Administration(command) => configured(|config| {
            // What it prints is for people and scripts: the log must not be in it.
            logging::init_aside(&config.log);
            on_actix(async |io| cli::administer(&config, io, command).await)
        }),
    }
}

/// Needs neither settings nor a database.
fn remotely(server: &str, arguments: &RemoteArguments, command: Command) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(cli::run_remotely(server, arguments, command))
}

/// Runs what needs the settings.
fn configured(work: impl FnOnce(Config) -> Result<(), CommandError>) -> ExitCode {
    if let Err(error) = env_file::load(Path::new(".env")) {
        return fail(2, &error);
    }
    match Config::from_env() {
        Ok(config) => exit(work(config)),
        Err(errors) => fail(2, &errors),
    }
}

/// Runs work in an actix system, with a runtime of its own for sockets, and writes the last log lines.
fn on_actix(work: impl AsyncFnOnce(Io) -> Result<(), CommandError>) -> Result<(), CommandError> {
    logging::log_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("io")
        .enable_all()
        .build()?;
    let io = Io::new(runtime.handle().clone());
    // Boxed, because it is large and would be copied from future to future.
    let result = actix::System::new().block_on(Box::pin(work(io)));
    runtime.shutdown_background();
    log_writer::flush(LOG_TIMEOUT);
    result
}

async fn run(command: ServiceCommand, config: Config, io: Io) -> Result<(), CommandError> {
    match command {
        ServiceCommand::Serve => serve(config, io).await,
        ServiceCommand::Migrate { direction } => {
            cli::migrate(config, io, direction.unwrap_or(Direction::Up)).await
        }
    }
}

async fn serve(config: Config, io: Io) -> Result<(), CommandError> {
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if let Some(site) = &config.second_factors.passkeys {
        tracing::info!(rp_id = %site.rp_id, origins = %site.origins.join(","), "passkeys.on");
    }
    let app = App::start(config, io).await?;
    for address in app.addresses() {
        let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { host_of(*address) };
        tracing::info!(%address, docs = %format_args!("http://{host}:{}/docs", address.port()), "listening");
    }
    Ok(app.run().await?)
}

/// As it stands in a URL.
fn host_of(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn exit(result: Result<(), CommandError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_of_setting(&*error) => fail(2, &error),
        Err(error) => fail(1, &error),
    }
}

/// A key file is looked into only when keys are loaded, and is a setting all the same.
fn is_of_setting(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<KeyError>()
        || error.is::<MailError>()
        || matches!(
            error.downcast_ref(),
            Some(StartError::Keys(_) | StartError::Mail(_) | StartError::Redis(BusError::CaFile { .. }))
        )
}

/// To standard error, because the log may be off or on its way elsewhere.
fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    // Where it cannot be written, the exit code still tells.
    let _ = writeln!(std::io::stderr(), "auth-service: {error}");
    ExitCode::from(code)
}
