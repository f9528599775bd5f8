//! The command line. Exit codes: 0 done, 1 something cannot be opened or failed, 2 wrong configuration or usage.

use std::process::ExitCode;

use auth_service::app::App;
use auth_service::config::Config;
use auth_service::io::Io;
use auth_service::storage::{Store, StoreOptions};
use auth_service::telemetry::logging;
use auth_service::telemetry::metrics::Metrics;
use clap::{Parser, Subcommand};

/// Gives freed memory back to the system: of retired users' actors the default allocator keeps most.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that talk to the database and to Redis.
const IO_THREADS: usize = 2;

type Failure = Box<dyn std::error::Error>;

/// A session service: sign-up, login, rotating tokens, devices, timeouts and limits.
///
/// It is configured by environment variables and a .env file; see .env.example.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Bring the database schema up to date, or take it back.
    Migrate {
        #[command(subcommand)]
        direction: Option<Direction>,
    },
}

#[derive(Clone, Copy, Subcommand)]
enum Direction {
    /// Apply what is missing (the default).
    Up,
    /// Revert the latest migrations.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = load_env_file() {
        return fail(2, &error);
    }
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(errors) => return fail(2, &errors),
    };
    logging::init(&config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match run(cli.command.unwrap_or(Command::Serve), config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

/// A missing file is fine; one that cannot be read is not.
fn load_env_file() -> Result<(), dotenvy::Error> {
    match dotenvy::from_path(".env") {
        Err(error) if !error.not_found() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn run(command: Command, config: Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("io")
        .enable_all()
        .build()?;
    let io = Io::new(runtime.handle().clone());
    let result = actix::System::new().block_on(async {
        match command {
            Command::Serve => serve(config, io).await,
            Command::Migrate { direction } => migrate(config, io, direction.unwrap_or(Direction::Up)).await,
        }
    });
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, io: Io) -> Result<(), Failure> {
    let app = App::start(config, io).await?;
    for address in app.addresses() {
        tracing::info!(%address, docs = %format_args!("http://{address}/docs/"), "listening");
    }
    Ok(app.run().await?)
}

async fn migrate(config: Config, io: Io, direction: Direction) -> Result<(), Failure> {
    let store = Store::open(StoreOptions { database: config.database, io, metrics: Metrics::new()? }).await?;
    match direction {
        Direction::Up => {
            let applied = store.migrate().await?;
            tracing::info!(migrations = applied, "database.migrated");
        }
        Direction::Down { steps } => {
            store.migrate_down(steps).await?;
            tracing::info!(migrations = steps, "database.reverted");
        }
    }
    store.close().await;
    Ok(())
}

/// To standard error, because the log may be off or on its way elsewhere.
#[expect(clippy::print_stderr, reason = "the last words of a process that could not start")]
fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("auth-service: {error}");
    ExitCode::from(code)
}
