//! What hardly changes of a process, read once and kept while it lives.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::Failures;
use crate::config::{Attributes, ProcessConfig};
use crate::host;
use crate::output::{self, text};
use crate::parse::{Status, Users};
use crate::processes::{Process, file_of};

/// The kernel keeps so many bytes of a name; longer ones are completed from the command line.
const CUT_NAME: usize = 15;
/// The most that is kept of a command line.
const LONGEST_COMMAND_LINE: usize = 4096;

/// What a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    command: String,
    command_line: String,
    executable: String,
    owner: Option<String>,
    cgroup: String,
    /// What could not be read of it: metrics that are missing, and why.
    failed: Vec<(u64, String)>,
}

/// A process that is known, until it ends or becomes another program.
#[derive(Debug)]
pub(crate) struct Known {
    started: u64,
    kernel_name: Vec<u8>,
    /// Unix nanoseconds.
    read: u64,
    pub(crate) identity: Identity,
    /// Ticks and time of the last scrape, for utilization.
    pub(crate) last: Option<([u64; 3], u64)>,
    seen: bool,
}

/// The processes that are known.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    known: HashMap<u32, Known>,
    refresh: u64,
    users: Users,
    buffer: Vec<u8>,
}

impl Identities {
    /// What is known is read again after `refresh`; 0 is never.
    pub(crate) fn new(refresh: Duration) -> Identities {
        let refresh = if refresh.is_zero() { u64::MAX } else { refresh.as_nanos() as u64 };
        Identities { refresh, ..Identities::default() }
    }

    /// Reads the names of users.
    pub(crate) fn read_users(&mut self, etc: &Path) {
        // A host without them has numbers only; each process then says so.
        if host::read_into(&etc.join("passwd"), &mut self.buffer).is_ok() {
            self.users = Users::parse(&self.buffer);
        }
    }

    /// The identity of a process. A number that is used again is another process: it started at another time.
    pub(crate) fn of(
        &mut self,
        proc: &Path,
        process: &Process,
        kernel_name: &[u8],
        now: u64,
        config: &ProcessConfig,
        attributes: Attributes,
    ) -> &mut Known {
        let started = process.counts.started;
        let is_same = |known: &Known| {
            known.started == started
                && known.kernel_name == kernel_name
                && now.saturating_sub(known.read) < self.refresh
        };
        if !self.known.get(&process.pid).is_some_and(is_same) {
            let identity = self.read(proc, process.pid, kernel_name, config, attributes);
            let before = self.known.remove(&process.pid).filter(|known| known.started == started);
            let last = before.and_then(|known| known.last);
            let kernel_name = kernel_name.to_vec();
            self.known
                .insert(process.pid, Known { started, kernel_name, read: now, identity, last, seen: true });
        }
        let known = self.known.get_mut(&process.pid).expect("it was there or is now");
        known.seen = true;
        known
    }

    /// Forgets those that were not asked for since the last call.
    pub(crate) fn forget_others(&mut self) {
        self.known.retain(|_, known| std::mem::take(&mut known.seen));
    }

    fn read(
        &mut self,
        proc: &Path,
        pid: u32,
        kernel_name: &[u8],
        config: &ProcessConfig,
        attributes: Attributes,
    ) -> Identity {
        let mut identity = Identity::default();
        let fail = |identity: &mut Identity, metrics, is_muted: bool, error: &dyn std::fmt::Display| {
            if !is_muted {
                identity.failed.push((metrics, format!("process {pid}: {error}")));
            }
        };
        if attributes.executable_path {
            match host::read_link(&file_of(proc, pid, "exe")) {
                Ok(path) => identity.executable = path.to_string_lossy().into_owned(),
                Err(error) => fail(&mut identity, 1, config.mute_process_exe_error, &error),
            }
        }
        let name = text(kernel_name);
        identity.name = name.clone().into_owned();
        if attributes.command || attributes.command_line || kernel_name.len() >= CUT_NAME {
            match host::read_into(&file_of(proc, pid, "cmdline"), &mut self.buffer) {
                Ok(()) => {
                    let (command, line) = command_line(&self.buffer);
                    let base = command.rsplit('/').next().unwrap_or_default();
                    if kernel_name.len() >= CUT_NAME && base.starts_with(&*name) {
                        identity.name = base.to_owned();
                    }
                    (identity.command, identity.command_line) = (command, line);
                }
                Err(error) => fail(&mut identity, 0, false, &error),
            }
        }
        if attributes.owner {
            match host::read_into(&file_of(proc, pid, "status"), &mut self.buffer) {
                Ok(()) => {
                    let user = Status::parse(&self.buffer).user;
                    identity.owner = user.and_then(|user| self.users.name(user)).map(str::to_owned);
                    if identity.owner.is_none() {
                        let user = user
                            .map_or_else(|| "no user".to_owned(), |user| format!("user {user} has no name"));
                        fail(&mut identity, 0, config.mute_process_user_error, &user);
                    }
                }
                Err(error) => fail(&mut identity, 0, config.mute_process_user_error, &error),
            }
        }
        if attributes.cgroup {
            match host::read_into(&file_of(proc, pid, "cgroup"), &mut self.buffer) {
                Ok(()) => {
                    let groups = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
                    identity.cgroup = text(groups).into_owned();
                }
                Err(error) => fail(&mut identity, 0, config.mute_process_cgroup_error, &error),
            }
        }
        identity
    }
}

impl Identity {
    /// Records again what could not be read.
    pub(crate) fn report(&self, failures: &mut Failures) {
        self.failed.iter().for_each(|(metrics, what)| failures.add(*metrics, what));
    }

    /// Writes the resource that the process is.
    pub(crate) fn put(&self, out: &mut output::Attributes<'_>, process: &Process, attributes: Attributes) {
        if attributes.pid {
            out.int("process.pid", i64::from(process.pid));
        }
        if attributes.parent_pid {
            out.int("process.parent_pid", process.counts.parent);
        }
        let texts = [
            (attributes.executable_name, "process.executable.name", &self.name),
            (attributes.executable_path, "process.executable.path", &self.executable),
            (attributes.cgroup, "process.cgroup", &self.cgroup),
            (attributes.command, "process.command", &self.command),
            (attributes.command_line, "process.command_line", &self.command_line),
        ];
        for (_, key, value) in texts.iter().filter(|(is_on, ..)| *is_on) {
            out.text(key, value);
        }
        if let Some(owner) = self.owner.as_ref().filter(|_| attributes.owner) {
            out.text("process.owner", owner);
        }
    }
}

/// The command, and all words of the line.
fn command_line(bytes: &[u8]) -> (String, String) {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let bytes = &bytes[..end.min(LONGEST_COMMAND_LINE)];
    let command = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let line: Vec<u8> = bytes.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
    (text(command).into_owned(), text(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_end_where_their_words_do() {
        let cases: [(&[u8], &str, &str); 4] = [
            (b"/bin/cat\0-n\0a b\0", "/bin/cat", "/bin/cat -n a b"),
            (b"nginx: worker process\0\0\0", "nginx: worker process", "nginx: worker process"),
            (b"", "", ""),
            (b"\xff\0x", "\u{fffd}", "\u{fffd} x"),
        ];
        for (bytes, command, line) in cases {
            assert_eq!(command_line(bytes), (command.to_owned(), line.to_owned()));
        }
    }
}
