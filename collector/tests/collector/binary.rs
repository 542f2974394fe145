//! Runs the binary.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of the log that a test which fails shows.
const SHOWN: usize = 300;

/// The root of the checkout.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("collector/ is in the repository").to_owned()
}

/// A command line for the collector.
pub(crate) struct CommandLine(Command);

/// The collector without arguments.
pub(crate) fn collector() -> CommandLine {
    collector_at(Path::new(env!("CARGO_BIN_EXE_phoenix-collector")))
}

/// The collector by another name.
pub(crate) fn collector_at(program: &Path) -> CommandLine {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    CommandLine(command)
}

/// A line of the documentation, as a shell runs it: `phoenix-collector` is the binary under test. Arguments that are
/// added go behind it where it ends with `"$@"`.
pub(crate) fn shell(line: &str) -> CommandLine {
    let folder = Path::new(env!("CARGO_BIN_EXE_phoenix-collector")).parent().expect("a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh"]).env("PATH", std::env::join_paths(folders).expect("no colons"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    CommandLine(command)
}

/// What a run left.
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandLine {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> CommandLine {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> CommandLine {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> CommandLine {
        self.0.env(name, value);
        self
    }

    /// Runs it in a folder.
    pub(crate) fn within(mut self, folder: &Path) -> CommandLine {
        self.0.current_dir(folder);
        self
    }

    /// Runs it to its end.
    pub(crate) fn finish(mut self) -> Finished {
        let output = self.0.output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Starts it, and returns once it takes data. Tests run side by side, so nobody gets the port of own
    /// metrics.
    pub(crate) fn start(self) -> Running {
        self.arg("--set=service.telemetry.metrics.level=none").start_with_metrics()
    }

    /// Starts it with own metrics as its configuration says, and returns once it takes data.
    pub(crate) fn start_with_metrics(mut self) -> Running {
        let mut child = self.0.spawn().expect("the binary runs");
        let log = Arc::new(Log::default());
        for stream in [
            Stream::Out(child.stdout.take().expect("piped")),
            Stream::Err(child.stderr.take().expect("piped")),
        ] {
            let log = log.clone();
            std::thread::spawn(move || match stream {
                Stream::Out(stream) => log.read(stream),
                Stream::Err(stream) => log.read(stream),
            });
        }
        let running = Running { child, log };
        running.wait_for_log("Everything is ready");
        running
    }
}

enum Stream {
    Out(std::process::ChildStdout),
    Err(std::process::ChildStderr),
}

#[derive(Default)]
struct Log {
    /// A test that fails while it has them still shows them.
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Log {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, stream: impl std::io::Read) {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            self.lines().push(line);
            self.more.notify_all();
        }
        self.more.notify_all();
    }
}

/// A collector that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    log: Arc<Log>,
}

impl Running {
    /// Of the process.
    #[allow(dead_code, reason = "for the fault suite, which shares this file")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, for example `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// Everything printed so far.
    pub(crate) fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    /// Waits until a line contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_for_log_count(text, 1);
    }

    /// Waits until `count` lines contain `text`.
    pub(crate) fn wait_for_log_count(&self, text: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines();
        while lines.iter().filter(|line| line.contains(text)).count() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no line with {text:?} came {count} times; the log:\n{}",
                lines.join("\n")
            );
            lines = self
                .log
                .more
                .wait_timeout(lines, left.min(Duration::from_millis(200)))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Stops it as an orchestrator does, and returns its exit code.
    pub(crate) fn terminate(self) -> i32 {
        self.signal("TERM");
        self.exit_code()
    }

    /// Waits for its end.
    pub(crate) fn exit_code(mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not stop; the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let latest = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
            let _ = writeln!(std::io::stderr(), "the latest of the collector's log:\n{latest}");
        }
        // Gone already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now, and that no other call gets. It is none of those that the system hands out for outgoing
/// connections, so that nobody has it by the time that it is used.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 5_900;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Other processes of tests begin elsewhere.
        let turn = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(131));
        let port = u16::try_from(FIRST + turn % COUNT).expect("below 65536");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
