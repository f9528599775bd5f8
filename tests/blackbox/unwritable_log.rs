//! A log that cannot be written stops nothing: a pipe whose reader has gone or does not read, a full disk.

use std::fs::OpenOptions;
use std::io::{PipeReader, pipe};
use std::process::Stdio;
use std::time::Duration;

use crate::support::metrics::Metrics;
use crate::support::{Database, Person, Setup, TestApp};

/// Standard output and standard error, with which each way of losing the log is tried.
type Streams = (Stdio, Stdio);

fn full_disk() -> Streams {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    (full().into(), full().into())
}

/// Both streams in one pipe, as with `2>&1 |`.
fn piped() -> (Streams, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    ((writer.try_clone().unwrap().into(), writer.into()), reader)
}

fn reader_has_left() -> Streams {
    piped().0
}

async fn setup() -> Setup {
    Setup::on(Database::Sqlite).await.set("LOG_LEVEL", "debug")
}

/// Every request that changes something gets a response, and what was acknowledged was done.
async fn answers_everything(app: &TestApp, name: &str) {
    let ada = Person::named(name);
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);
    for _ in 0..20 {
        first.refresh().await.expect(200);
        first.session().await.expect(200);
        first.activity().await.expect(200);
    }
    first.terminate(&second.session_id).await.expect(204);
    second.session().await.expect_problem(401, "session_terminated");
    app.client().login(&Person::named("Nobody")).await.expect(401);
    app.client().get("/health").await.expect(200);
    first.logout().await.expect(204);
}

async fn lines_dropped(app: &TestApp) -> f64 {
    Metrics::read(&app.client()).await.sum("auth_log_lines_dropped_total").unwrap()
}

/// Nothing can be written from the start.
async fn serves_without_a_log((output, errors): Streams) {
    let mut app = setup().await.start_printing_to(output, errors).await;
    answers_everything(&app, "Ada").await;
    let dropped = lines_dropped(&app).await;
    assert!(dropped >= 20.0, "{dropped} lines counted");
    app.terminate().await.expect_code(0);
}

#[tokio::test]
async fn on_a_full_disk_everything_is_answered() {
    serves_without_a_log(full_disk()).await;
}

#[tokio::test]
async fn without_a_reader_everything_is_answered() {
    serves_without_a_log(reader_has_left()).await;
}

#[tokio::test]
async fn a_reader_who_leaves_is_not_missed() {
    let ((output, errors), reader) = piped();
    let mut app = setup().await.start_printing_to(output, errors).await;
    assert!(lines_dropped(&app).await < 1.0, "dropped while somebody read");
    drop(reader);
    answers_everything(&app, "Ada").await;
    assert!(lines_dropped(&app).await >= 20.0, "not counted");
    app.terminate().await.expect_code(0);
}

/// The pipe is full after 64 KB; then a write blocks for as long as the reader does not read.
#[tokio::test]
async fn a_reader_who_stands_still_is_not_waited_for() {
    let ((output, errors), reader) = piped();
    let mut app = setup().await.set("LOG_LEVEL", "trace").start_printing_to(output, errors).await;
    for round in 0..10 {
        answers_everything(&app, &format!("Ada{round}")).await;
    }
    let ended = app.terminate().await.expect_code(0);
    assert!(ended.took < Duration::from_secs(10), "ended after {:?}", ended.took);
    drop(reader);
}

#[tokio::test]
async fn a_refused_start_keeps_its_exit_code() {
    let setup = Setup::on(Database::Sqlite).await.set("SESSION_TIMEOUT_MINUTES", "soon");
    let (output, errors) = full_disk();
    setup.run_printing_to(output, errors).await.expect_code(2);
    let (output, errors) = reader_has_left();
    setup.run_printing_to(output, errors).await.expect_code(2);
}
