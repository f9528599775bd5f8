//! The disk under an embedded database is full: people who are signed in stay signed in, nothing new is
//! acknowledged, and nothing acknowledged is lost.
//!
//! A full disk is simulated by a limit on the size of files, which needs no privileges and can be lifted
//! while the program runs. To the program it looks like the end of the disk: the write that reaches it is cut
//! short, the next is refused.

use std::process::Command;
use std::time::Duration;

use crate::support::metrics::Metrics;
use crate::support::time::Stopwatch;
use crate::support::writer::{Writer, write_until};
use crate::support::{Database, Person, Setup, TestApp, eventually};

const WRITERS: usize = 3;
/// Space left, in bytes: less than the next commit writes.
const ROOM: u64 = 100;
/// SQLite's own waits do not apply, since there is nothing to wait for.
const REFUSED_WITHIN: Duration = Duration::from_secs(6);
const MENDED_WITHIN: Duration = Duration::from_secs(10);

/// A program for which a file over the limit is an error, rather than a signal that would end it.
async fn app() -> TestApp {
    let setup = Setup::on(Database::Sqlite).await.set("MAX_SESSIONS_PER_USER", 1_000);
    setup.run_by(&["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).start().await
}

/// Lets no file of the program grow beyond this size, until the limit is changed.
fn limit_files(app: &TestApp, bytes: &impl ToString) {
    let limit = format!("--fsize={}:unlimited", bytes.to_string());
    let status = Command::new("prlimit").arg("--pid").arg(app.id().to_string()).arg(limit).status();
    assert!(status.is_ok_and(|status| status.success()), "the command `prlimit` is needed");
}

fn fill_the_disk(app: &TestApp) {
    let log = app.setup.data_dir().join("auth.db-wal");
    limit_files(app, &(std::fs::metadata(log).unwrap().len() + ROOM));
}

async fn logs_in_again(app: &TestApp, person: &Person) {
    eventually("people log in again", MENDED_WITHIN, async || {
        let answer = app.client().login(person).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn who_is_signed_in_stays_so_and_nothing_acknowledged_is_lost() {
    let mut app = app().await;
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer::new(app.base(), number).await);
    }
    let ada = Person::named("Ada");
    let mut device = app.devices(&ada, 1).await.remove(0);
    let base = app.base().to_owned();
    write_until(&[&base], &mut writers, async { fill_the_disk(&app) }).await;
    // At times the write-ahead log restarts from its beginning, where there is room.
    limit_files(&app, &0);

    let asked = Stopwatch::start();
    app.client().login(&ada).await.expect_problem(503, "unavailable");
    app.client().signup(&Person::named("Eve")).await.expect_problem(503, "unavailable");
    device.clone().logout().await.expect_problem(503, "unavailable");
    assert!(asked.elapsed() < REFUSED_WITHIN, "refused after {:?}", asked.elapsed());
    device.session().await.expect(200);
    device.me().await.expect(200);
    let active = device.activity().await.expect(200).json["lastActivity"].clone();
    for writer in &writers {
        writer.check_reads().await;
    }

    limit_files(&app, &"unlimited");
    logs_in_again(&app, &ada).await;
    for writer in &mut writers {
        writer.check().await;
    }
    eventually("the activity that waited for room is stored", MENDED_WITHIN, async || {
        let batches = Metrics::read(&app.client()).await.sum("auth_activity_flush_batch_size_count").unwrap();
        if batches > 0.0 { Ok(()) } else { Err("no batch was written".to_owned()) }
    })
    .await;

    // The same again, and then the program ends while the disk is still full.
    write_until(&[&base], &mut writers, async { fill_the_disk(&app) }).await;
    app.restart().await;
    logs_in_again(&app, &ada).await;
    for writer in &mut writers {
        writer.check_at(app.base()).await;
    }
    device.follow(app.base());
    let session = device.session().await.expect(200).json;
    assert_eq!(session["session"]["lastActivity"], active, "the activity that waited for room");
}
