//! The service as a process of its own, and what Linux tells of it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// Ticks per second in `/proc/PID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Service {
    child: Child,
    binary: PathBuf,
    folder: PathBuf,
    heartbeat_seconds: u64,
    pub(crate) api: SocketAddr,
    pub(crate) opamp: SocketAddr,
    /// The administrator's key, after the very first start.
    pub(crate) key: Option<String>,
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn spawn(
    binary: &Path,
    folder: &Path,
    heartbeat_seconds: u64,
    api: SocketAddr,
    opamp: SocketAddr,
) -> anyhow::Result<(Child, Option<String>)> {
    let is_first = !folder.join("control.db").exists();
    let mut child = Command::new(binary)
        .args(["serve", "--requests-per-second=2000"])
        .arg(format!("--heartbeat-seconds={heartbeat_seconds}"))
        .arg(format!("--database=sqlite:{}", folder.join("control.db").display()))
        .arg(format!("--listen={api}"))
        .arg(format!("--opamp-listen={opamp}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.join("control.log"))?)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let mut out = BufReader::new(child.stdout.take().context("its output")?);
    loop {
        let mut line = String::new();
        anyhow::ensure!(out.read_line(&mut line)? > 0, "the service ended before it was up");
        let line = line.trim();
        if line.starts_with("phx_key_") {
            return Ok((child, Some(line.to_owned())));
        }
        if !is_first && line.starts_with("OpAMP:") {
            return Ok((child, None));
        }
    }
}

impl Service {
    pub(crate) fn start(binary: &Path, folder: &Path, heartbeat_seconds: u64) -> anyhow::Result<Service> {
        let (api, opamp) = (free_address()?, free_address()?);
        let (child, key) = spawn(binary, folder, heartbeat_seconds, api, opamp)?;
        let (binary, folder) = (binary.to_owned(), folder.to_owned());
        Ok(Service { child, binary, folder, heartbeat_seconds, api, opamp, key })
    }

    /// Kills it at once and starts it again where it was.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = spawn(&self.binary, &self.folder, self.heartbeat_seconds, self.api, self.opamp)?.0;
        Ok(())
    }

    pub(crate) fn memory_mib(&self) -> anyhow::Result<f64> {
        Ok(memory_kib(self.child.id())? as f64 / 1024.0)
    }

    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.child.id())
    }

    /// Bytes that it handed to the system for files so far.
    pub(crate) fn written_bytes(&self) -> anyhow::Result<u64> {
        let io = read(self.child.id(), "io")?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).context("no write_bytes")?;
        Ok(line.trim().parse()?)
    }
}

fn read(process: u32, name: &str) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(format!("/proc/{process}/{name}"))?)
}

/// Resident memory of a process.
pub(crate) fn memory_kib(process: u32) -> anyhow::Result<u64> {
    let status = read(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().next().context("no figure")?.parse()?)
}

/// User and system time of a process so far.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let stat = read(process, "stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let ticks = |at: usize| anyhow::Ok(fields.get(at).context("too few fields")?.parse::<f64>()?);
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
