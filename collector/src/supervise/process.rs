//! A child process: its end, its last words, and how it is stopped.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Lines of standard error that are kept for who asks why it ended.
const LAST_LINES: usize = 8;
/// The longest line that is passed on in one piece.
const MAX_LINE: u64 = 64 << 10;
/// The end of a process is looked for this often, should its signal get lost.
const LOOK: Duration = Duration::from_secs(1);
/// How long what a process last said is waited for, once it has ended.
const PATIENCE: Duration = Duration::from_millis(500);

/// A child; killed where it is let go while it runs.
pub(super) struct Process {
    child: Child,
    last: Arc<Mutex<VecDeque<String>>>,
    said_all: Option<oneshot::Receiver<()>>,
}

impl Process {
    /// Starts it. What it writes is passed on, line by line.
    pub(super) fn start(command: &mut Command) -> std::io::Result<Process> {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let last: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let (done, said_all) = oneshot::channel();
        if let Some(errors) = child.stderr.take() {
            let last = last.clone();
            std::thread::spawn(move || {
                pass_on(errors, &last);
                // Nobody may wait for it.
                let _ = done.send(());
            });
        }
        Ok(Process { child, last, said_all: Some(said_all) })
    }

    /// Its resident memory, in bytes; 0 where it has ended.
    pub(super) fn memory(&self) -> u64 {
        let told = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let resident = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    }

    /// The CPU time that it has used so far; 0 where it has ended.
    pub(super) fn cpu(&self) -> Duration {
        phoenix_component::cpu::time_of(self.child.id()).unwrap_or_default()
    }

    /// Waits for its end; may be dropped and asked again.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let mut children = signal(SignalKind::child())?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            // Whether it was the signal or the time: it is looked at again.
            let _ = timeout(LOOK, children.recv()).await;
        }
    }

    /// Asks it to stop, and kills it after `patience`.
    pub(super) async fn stop(&mut self, patience: Duration) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It is not yet waited for, so that the number is still its own.
        if let (Ok(None), Some(id)) = (self.child.try_wait(), id) {
            let _ = kill_process(id, Signal::TERM);
        }
        if timeout(patience, self.ended()).await.is_err() {
            tracing::warn!(?patience, "the supervised collector did not stop in time and is killed");
            let _ = self.child.kill();
            let _ = self.ended().await;
        }
    }

    /// What it wrote last on standard error.
    pub(super) async fn last_words(&mut self) -> String {
        if let Some(said_all) = self.said_all.take() {
            let _ = timeout(PATIENCE, said_all).await;
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Writes each line to the own standard error and keeps the last.
fn pass_on(errors: std::process::ChildStderr, last: &Mutex<VecDeque<String>>) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    loop {
        line.clear();
        match errors.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        // A closed standard error must not stop the child.
        let _ = std::io::stderr().write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().chars().take(500).collect();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text);
    }
}
