//! The form of a log line, and what becomes of one that cannot be written.

use std::sync::{Arc, Mutex};

use super::*;
use crate::telemetry::serving::serve_request;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, filter: &str, log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let config = LogConfig { format, filter: filter.to_owned() };
    let writer = lines.clone();
    tracing::dispatcher::with_default(&dispatch(&config, move || writer.clone(), false), log);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn json_lines_are_flat_and_carry_the_request_id() {
    let told = logged(LogFormat::Json, "info", || {
        serving("r1", || tracing::info!(session.count = 2, "sessions listed"));
        tracing::info!("and outside of a request");
    });
    let lines: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line, outside] = &lines[..] else { panic!("{told}") };
    assert_eq!((&line["message"], &line["session.count"]), (&"sessions listed".into(), &2.into()));
    assert_eq!((&line["level"], &line["request_id"]), (&"INFO".into(), &"r1".into()));
    assert!(outside.get("request_id").is_none(), "{outside}");
}

fn serving(id: &str, work: impl FnOnce()) {
    let serving = serve_request(id.parse().unwrap(), None, async { work() });
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(serving);
}

#[test]
fn text_lines_have_no_target() {
    let told = logged(LogFormat::Text, "info", || tracing::info!("started"));
    assert!(told.contains("INFO started"), "{told}");
    let told = logged(LogFormat::Text, "info", || serving("r1", || tracing::info!("told")));
    assert!(told.ends_with("INFO told request_id=r1\n"), "{told}");
}

#[test]
fn the_database_is_quiet_unless_named() {
    let count = |filter| {
        let log = || {
            tracing::info!(target: "sqlx::query", "a statement");
            tracing::warn!(target: "sqlx::query", "a slow one");
        };
        logged(LogFormat::Json, filter, log).lines().count()
    };
    assert_eq!([count("debug"), count("error"), count("off"), count("info,sqlx=info")], [1, 0, 0, 2]);
}

#[test]
fn a_bad_filter_becomes_info() {
    let told = logged(LogFormat::Json, "auth_service=loud", || {
        tracing::debug!("hidden");
        tracing::info!("shown");
    });
    assert!(told.contains("shown") && !told.contains("hidden"), "{told}");
}

#[test]
fn twice_is_once() {
    let config = LogConfig { format: LogFormat::Text, filter: "off".to_owned() };
    init(&config);
    init(&config);
}
