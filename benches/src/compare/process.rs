//! Processes that are started, waited for and stopped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

/// Pause between two looks at a port that is to open: short, because start times are measured with it.
const PORT_POLL: Duration = Duration::from_micros(200);
const EXIT_POLL: Duration = Duration::from_millis(5);
/// How long a process may take to stop before it is killed.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A child process, killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    started: Instant,
    started_at: SystemTime,
}

impl Process {
    /// Starts a program; its output goes to `log`, except standard output if `piped`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[impl AsRef<OsStr>],
        environment: &[(&str, String)],
        log: &Path,
        piped: bool,
    ) -> Result<Process> {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().map(|(key, value)| (key, value)));
        command.stderr(file.try_clone()?);
        if piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(file);
        }
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Process { child, name, log: log.to_owned(), started, started_at })
    }

    /// When it was started, for what other processes tell.
    pub(crate) fn started_at(&self) -> SystemTime {
        self.started_at
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `address` takes connections; returns the time since the process was started.
    pub(crate) fn wait_for_port(&mut self, address: &str, timeout: Duration) -> Result<Duration> {
        let address: SocketAddr = address.parse()?;
        loop {
            if TcpStream::connect(address).is_ok() {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before it listened: {}", self.name, self.last_lines());
            }
            ensure!(
                self.started.elapsed() < timeout,
                "{} does not listen on {address}: {}",
                self.name,
                self.last_lines()
            );
            std::thread::sleep(PORT_POLL);
        }
    }

    /// Takes standard output, if it was piped.
    pub(crate) fn output(&mut self) -> Result<BufReader<ChildStdout>> {
        Ok(BufReader::new(self.child.stdout.take().context("the output is not piped")?))
    }

    /// Sends one line to standard input.
    pub(crate) fn send_line(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("the input is not piped")?;
        Ok(input.write_all(b"\n")?)
    }

    /// Sends a signal, by name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        // There is no safe call for this in the standard library; every system has a shell.
        let script = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "cannot signal {}", self.name);
        Ok(())
    }

    /// Waits for the end, `None` if it does not come in time.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(EXIT_POLL);
        }
    }

    /// Asks it to stop, and kills it if it does not; says whether it did.
    pub(crate) fn stop(&mut self, timeout: Duration) -> Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(false);
        }
        self.signal("TERM")?;
        if self.wait(timeout)?.is_some() {
            return Ok(true);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(false)
    }

    /// The end of its log, on one line.
    pub(crate) fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Reads one line.
pub(crate) fn read_line(output: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    ensure!(!line.is_empty(), "the process ended without a word");
    Ok(line)
}

/// Reads the rest and takes it as JSON.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(output: &mut impl Read) -> Result<T> {
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    serde_json::from_str(&text).with_context(|| format!("unexpected output {text:?}"))
}
