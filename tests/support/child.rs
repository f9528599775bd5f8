//! One run of the real program: a child process, what it printed, and the signals sent to it.
//!
//! It never outlives its owner: dropping it is SIGKILL. A program that has panicked fails its test then.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::time::{Stopwatch, eventually};

/// Lines kept of one run; older ones are forgotten.
const LINES_KEPT: usize = 5_000;

/// What the readers of stdout and stderr have gathered.
#[derive(Default)]
struct Printed {
    lines: VecDeque<Line>,
    /// From the line that tells that the program listens.
    address: Option<SocketAddr>,
    /// The first line that tells of a panic.
    panic: Option<String>,
}

struct Line {
    /// Of stdout: part of a command's answer.
    is_answer: bool,
    text: String,
}

impl Printed {
    fn text(&self, wanted: impl Fn(&Line) -> bool) -> String {
        self.lines.iter().filter(|line| wanted(line)).map(|line| format!("{}\n", line.text)).collect()
    }
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// From the signal, or from the start where there was none.
    pub(crate) took: Duration,
    /// Everything printed, stdout and stderr together, in any order of the two.
    pub(crate) output: String,
    /// What was printed to stdout alone.
    answer: String,
}

impl Ended {
    /// Insists on an exit code.
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit status {}; printed:\n{}", self.status, self.output);
        self
    }

    /// The JSON that was printed to stdout; logs may stand beside it on stderr.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.answer).unwrap_or_else(|error| panic!("{error} in {}", self.output))
    }

    /// Insists that a text was printed, in whatever case.
    pub(crate) fn expect_output(self, part: &str) -> Self {
        let found = self.output.to_lowercase().contains(&part.to_lowercase());
        assert!(found, "{part:?} was not printed, but:\n{}", self.output);
        self
    }
}

pub(crate) struct Process {
    child: Child,
    printed: Arc<Mutex<Printed>>,
    readers: Vec<std::thread::JoinHandle<()>>,
    watch: Stopwatch,
}

impl Process {
    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_with_input(command, "")
    }

    /// With something to read: little enough to wait in the pipe.
    pub(crate) fn spawn_with_input(mut command: Command, input: &str) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that does not care may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let printed = Arc::new(Mutex::new(Printed::default()));
        let readers = vec![
            keep_reading(child.stdout.take().unwrap(), true, Arc::clone(&printed)),
            keep_reading(child.stderr.take().unwrap(), false, Arc::clone(&printed)),
        ];
        Self { child, printed, readers, watch: Stopwatch::start() }
    }

    /// One whose output goes elsewhere: nothing of it is seen here.
    pub(crate) fn spawn_printing_to(mut command: Command, output: Stdio, errors: Stdio) -> Self {
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().unwrap();
        Self { child, printed: Arc::default(), readers: Vec::new(), watch: Stopwatch::start() }
    }

    /// Where the program listens, as its own log line tells it.
    pub(crate) async fn address(&mut self) -> SocketAddr {
        eventually("the program tells where it listens", Duration::from_secs(30), async || {
            if let Some(address) = self.printed.lock().unwrap().address {
                return Ok(address);
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the program ended at its start ({status}):\n{}", self.logs());
            }
            Err(self.logs())
        })
        .await
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn logs(&self) -> String {
        self.printed.lock().unwrap().text(|_| true)
    }

    /// User and system time of the process so far, in steps of 10 ms.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name before may hold blanks. The 14th and 15th fields, in hundredths of a second on every
        // Linux.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// `VmRSS` of the process, in bytes.
    pub(crate) fn resident_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, as `kill -NAME`; quiet where the process is gone already.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.id(), name);
    }

    /// Stops all its threads from running, and blocks until they stand still: a signal is sent sooner than it
    /// is heard.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        let sent = Instant::now();
        while !self.stands_still() {
            assert!(sent.elapsed() < Duration::from_secs(10), "the program goes on after SIGSTOP");
            std::thread::yield_now();
        }
    }

    /// Whether the system shows `T` for each thread; `Z` has ended.
    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let stats =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        // The name before may hold anything.
        stats
            .into_iter()
            .all(|stat| stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(['T', 'Z'])))
    }

    /// Blocks until it has ended.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
        self.drain();
    }

    pub(crate) fn kill(&mut self) {
        // An error here means that it has ended already, which is what was wanted.
        let _ = self.child.kill();
        self.wait();
    }

    /// Waits for its own end; counts from now.
    pub(crate) async fn end(&mut self, within: Duration) -> Ended {
        let watch = Stopwatch::start();
        let status = eventually("the program ends", within, async || {
            self.child.try_wait().unwrap().ok_or_else(|| self.logs())
        })
        .await;
        let took = watch.elapsed();
        self.drain();
        let answer = self.printed.lock().unwrap().text(|line| line.is_answer);
        Ended { status, took, output: self.logs(), answer }
    }

    /// Since it was started.
    pub(crate) fn age(&self) -> Duration {
        self.watch.elapsed()
    }

    fn drain(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let panic = self.printed.lock().ok().and_then(|printed| printed.panic.clone());
        if std::thread::panicking() {
            eprintln!("--- what the program printed:\n{}---", self.logs());
        } else if let Some(line) = panic {
            panic!("the program panicked: {line}");
        }
    }
}

/// One where nobody listens, of those that the system gives to nobody who asks for any: a server that is down
/// for a while finds its own free again.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = 15_000 + u16::try_from(Uuid::new_v4().as_u128() % 15_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Sends a signal to any process of the test's.
pub(crate) fn send_signal(pid: u32, name: &str) {
    let sent =
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "the command `kill` is needed: {sent:?}");
}

fn keep_reading(
    stream: impl Read + Send + 'static,
    is_answer: bool,
    printed: Arc<Mutex<Printed>>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for text in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut printed = printed.lock().unwrap();
            printed.address = printed.address.or_else(|| listening(&text));
            if printed.panic.is_none() && text.contains("panicked at") {
                printed.panic = Some(text.clone());
            }
            if printed.lines.len() == LINES_KEPT {
                printed.lines.pop_front();
            }
            printed.lines.push_back(Line { is_answer, text });
        }
    })
}

/// The address in `{"message":"listening","address":"127.0.0.1:4001",…}`, fields flat or under `fields`.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    (fields["message"] == "listening").then(|| fields["address"].as_str()?.parse().ok())?
}
