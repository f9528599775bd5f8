//! Sets up the log: one line per event, to standard output.
//!
//! It must never stop the service: a filter that does not parse becomes `info`, a second setup changes
//! nothing, and a line that cannot be written is dropped and counted by [`super::log_writer`].

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Format, JsonFields};
use tracing_subscriber::util::SubscriberInitExt;

use super::log_writer::{self, LogWriter};
use super::serving::WithRequest;
use crate::config::{LogConfig, LogFormat};

/// How long a panic waits for its line to be written: the process may be about to end.
const PANIC_TIMEOUT: Duration = Duration::from_millis(100);

/// Starts logging for the whole process; only the first call counts.
pub fn init(config: &LogConfig) {
    init_to(config, &io::stdout());
}

/// The same to standard error, for commands whose result goes to standard output.
pub fn init_aside(config: &LogConfig) {
    init_to(config, &io::stderr());
}

fn init_to(config: &LogConfig, stream: &(impl AsFd + IsTerminal)) {
    // This fails if logging is already set up, as in tests that start the service many times.
    if dispatch(config, || LogWriter, stream.is_terminal()).try_init().is_ok() {
        log_writer::start(stream);
    }
}

/// Reports panics in the log: standard error may be a pipe that nobody reads, which would block the
/// thread forever.
pub fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!(panic = %panic, thread = std::thread::current().name(), "panicked");
            log_writer::flush(PANIC_TIMEOUT);
        } else {
            print(panic);
        }
    }));
}

fn dispatch<W>(config: &LogConfig, writer: W, colours: bool) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // The subscriber itself would report a failed write on standard error, and panic if that is gone too.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.filter))
        .with_writer(writer)
        .log_internal_errors(false);
    let format = config.format;
    let lines = Format::default().with_ansi(colours);
    match format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            let fields = JsonFields::default();
            builder.fmt_fields(fields).event_format(WithRequest { lines, format }).finish().into()
        }
        LogFormat::Text => {
            let lines = lines.with_target(false);
            builder.event_format(WithRequest { lines, format }).finish().into()
        }
    }
}

/// The wanted filter, with the database libraries at most at `warn` unless it names them: they log every
/// statement. The library for Redis logs every attempt to reach a dead server, which `redis.down` says once.
/// If clients send something other than HTTP, that is not worth an error either.
fn filter(wanted: &str) -> EnvFilter {
    let quiet = match wanted.parse::<LevelFilter>() {
        Ok(level) => level.min(LevelFilter::WARN),
        Err(_) => LevelFilter::WARN,
    };
    let with = |wanted: &str| {
        let database = format!("sqlx={quiet},sea_orm={quiet},sea_orm_migration={quiet}");
        format!("actix_http=off,redis=off,{database},{wanted}")
    };
    EnvFilter::try_new(with(wanted)).unwrap_or_else(|_| EnvFilter::new(with("info")))
}

#[cfg(test)]
mod tests;
