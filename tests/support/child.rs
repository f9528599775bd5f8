//! One run of the real program: a child process, what it printed, and the signals sent to it.
//!
//! It never outlives its owner: dropping it sends SIGKILL, and fails the test if the program has panicked.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::time::{Stopwatch, eventually};

/// Most lines kept of one run; older ones are dropped.
const LINES_KEPT: usize = 5_000;

/// What the readers of stdout and stderr have collected.
#[derive(Default)]
struct Printed {
    lines: VecDeque<Line>,
    /// From the log line which says that the program listens.
    address: Option<SocketAddr>,
    /// The first line that reports a panic.
    panic: Option<String>,
}

struct Line {
    /// Whether it was printed to stdout, as part of a command's output.
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
    /// Time since the signal, or since the start if there was none.
    pub(crate) took: Duration,
    /// Everything printed to stdout and stderr, interleaved in any order.
    pub(crate) output: String,
    /// What was printed to stdout alone.
    answer: String,
}

impl Ended {
    /// Asserts the exit code.
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit status {}; printed:\n{}", self.status, self.output);
        self
    }

    /// The JSON that was printed to stdout; there may be logs on stderr.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.answer).unwrap_or_else(|error| panic!("{error} in {}", self.output))
    }

    /// Asserts that a text was printed, in upper or lower case.
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

    /// Spawns it with standard input, which must be short enough to fit in the pipe.
    pub(crate) fn spawn_with_input(mut command: Command, input: &str) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that does not read it may already have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let printed = Arc::new(Mutex::new(Printed::default()));
        let readers = vec![
            keep_reading(child.stdout.take().unwrap(), true, Arc::clone(&printed)),
            keep_reading(child.stderr.take().unwrap(), false, Arc::clone(&printed)),
        ];
        Self { child, printed, readers, watch: Stopwatch::start() }
    }

    /// Spawns it with its output redirected: none of it is captured here.
    pub(crate) fn spawn_printing_to(mut command: Command, output: Stdio, errors: Stdio) -> Self {
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().unwrap();
        Self { child, printed: Arc::default(), readers: Vec::new(), watch: Stopwatch::start() }
    }

    /// The address on which the program listens, from its log line.
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
        // The name before may contain spaces. The 14th and 15th fields are in hundredths of a second on every
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

    /// Sends a signal by its name, as `kill -NAME`; does nothing if the process has already ended.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.id(), name);
    }

    /// Stops all its threads, and blocks until they have stopped: a signal takes effect some time after it
    /// is sent.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        let sent = Instant::now();
        while !self.stands_still() {
            assert!(sent.elapsed() < Duration::from_secs(10), "the program goes on after SIGSTOP");
            std::thread::yield_now();
        }
    }

    /// Whether the system shows `T` (stopped) for each thread, or `Z` (ended).
    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let stats =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        // The name before may contain anything.
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
        // An error here means that it has already ended, which is what was wanted.
        let _ = self.child.kill();
        self.wait();
    }

    /// Waits until it ends by itself; the time counts from now.
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

    /// The time since it was started.
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

/// A port on which nobody listens, outside the range from which the system assigns ports: so a server that
/// was down for a while finds its port free again.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = 15_000 + u16::try_from(Uuid::new_v4().as_u128() % 15_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Sends a signal to any process of the test.
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
