//! Writes the log on a thread of its own, so that nothing stops if the log cannot be written: to a pipe
//! whose reader has left or is stuck, or to a full disk.
//!
//! Bound: [`MAX_WAITING`] bytes wait; a line beyond that is dropped, as is one that the system refuses.
//! Both are counted in `auth_log_lines_dropped_total`.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Most bytes that wait for a reader that is slow or stuck.
const MAX_WAITING: usize = 4 * 1024 * 1024;
/// How long the thread gathers lines after the first: at thousands of lines a second it writes many at once,
/// and a crash loses no more than this.
const GATHERING: Duration = Duration::from_millis(1);
/// A buffer that has grown beyond this in a burst is shrunk.
const KEPT_CAPACITY: usize = 64 * 1024;

/// The queue of this process: there is one log.
static QUEUE: Queue = Queue {
    waiting: Mutex::new(Waiting { bytes: Vec::new(), lines: 0, writing: false }),
    changed: Condvar::new(),
    dropped: AtomicU64::new(0),
};

struct Queue {
    waiting: Mutex<Waiting>,
    /// Notified when lines have been added or written.
    changed: Condvar,
    /// Lines that were lost since the process began.
    dropped: AtomicU64,
}

struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    /// Whether the thread is writing what it has taken.
    writing: bool,
}

/// Log lines that could not be written since the process began.
#[must_use]
pub fn lines_dropped() -> u64 {
    QUEUE.dropped.load(Ordering::Relaxed)
}

/// Waits until what was logged is written, but no longer than `timeout`: the last lines of a process say
/// why it ended.
pub fn flush(timeout: Duration) {
    let until = Instant::now() + timeout;
    let mut waiting = QUEUE.lock();
    while waiting.writing || !waiting.bytes.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let woken = QUEUE.changed.wait_timeout(waiting, left);
        waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Starts the thread that writes to this stream. Without it all lines are dropped once the queue is full.
pub(super) fn start(stream: &impl AsFd) {
    // Not through the standard library's handle, which buffers what it could not write, and retries it
    // with each line.
    let Ok(file) = stream.as_fd().try_clone_to_owned().map(File::from) else { return };
    // An error means that the system cannot create threads, and then the service does not start either.
    let _ = thread::Builder::new().name("log".to_owned()).spawn(move || write_for_ever(file));
}

fn write_for_ever(mut file: File) {
    let mut taken = Vec::new();
    let mut is_torn = false;
    loop {
        let mut waiting = QUEUE.lock();
        while waiting.bytes.is_empty() {
            waiting = QUEUE.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        // From here on a flush waits for the end of the write.
        waiting.writing = true;
        drop(waiting);
        thread::sleep(GATHERING);
        let lines = QUEUE.lock().take(&mut taken);
        let lost = write_lines(&mut file, &taken, lines, &mut is_torn);
        QUEUE.dropped.fetch_add(lost, Ordering::Relaxed);
        taken.clear();
        taken.shrink_to(KEPT_CAPACITY);
        QUEUE.lock().writing = false;
        QUEUE.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > MAX_WAITING {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        let wakes = was_empty && !waiting.writing;
        drop(waiting);
        if wakes {
            self.changed.notify_all();
        }
    }
}

impl Waiting {
    /// Swaps the waiting bytes for an empty buffer, and returns how many lines they are.
    fn take(&mut self, taken: &mut Vec<u8>) -> u64 {
        std::mem::swap(&mut self.bytes, taken);
        std::mem::take(&mut self.lines)
    }
}

/// Writes as much as the system accepts, and returns how many lines were lost. A line that was torn in
/// the middle is ended before the next, which would otherwise be glued to it.
fn write_lines(out: &mut impl Write, bytes: &[u8], lines: u64, is_torn: &mut bool) -> u64 {
    if *is_torn && write_all(out, b"\n") > 0 {
        return lines;
    }
    *is_torn = false;
    let left = write_all(out, bytes);
    if left == 0 {
        return 0;
    }
    let (written, rest) = bytes.split_at(bytes.len() - left);
    *is_torn = written.last().is_some_and(|last| *last != b'\n');
    let ends = rest.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(ends).unwrap_or(u64::MAX).min(lines)
}

/// Returns how many bytes could not be written.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> usize {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    bytes.len()
}

/// Where the log's lines go: each `write` is a whole line, and none fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for that many bytes.
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.written.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_no_line_is_glued_to_another() {
        let mut disk = Disk { room: 9, written: Vec::new() };
        let mut is_torn = false;
        assert_eq!(write_lines(&mut disk, b"one\ntwo\nthree\nfour\n", 4, &mut is_torn), 2);
        assert_eq!(write_lines(&mut disk, b"five\n", 1, &mut is_torn), 1);
        disk.room = 100;
        assert_eq!(write_lines(&mut disk, b"six\n", 1, &mut is_torn), 0);
        assert_eq!(String::from_utf8(disk.written).unwrap(), "one\ntwo\nt\nsix\n");
    }

    #[test]
    fn a_line_that_is_whole_is_not_ended_twice() {
        let mut disk = Disk { room: 4, written: Vec::new() };
        let mut is_torn = false;
        assert_eq!(write_lines(&mut disk, b"one\ntwo\n", 2, &mut is_torn), 1);
        disk.room = 100;
        assert_eq!(write_lines(&mut disk, b"six\n", 1, &mut is_torn), 0);
        assert_eq!(String::from_utf8(disk.written).unwrap(), "one\nsix\n");
    }
}
