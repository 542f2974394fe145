//! What a connection costs that waits.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::compare::process::STOP_TIMEOUT;
use crate::compare::procfs;
use crate::compare::run::{Bench, LOAD_TIMEOUT, LONG_REST, Run};
use crate::compare::sample::Sample;
use crate::compare::workloads::Shape;

/// Resident memory for each connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Connections {
    pub(crate) count: u64,
    /// Once they are open, in KiB.
    pub(crate) fresh_kib: f64,
    /// Once each has sent a request, in KiB.
    pub(crate) used_kib: f64,
}

/// Opens connections, looks, lets each send once, and looks again.
pub(crate) fn sample(bench: &Bench, run: &Run<'_>) -> Result<Option<Sample>> {
    raise_open_files()?;
    let Some(stand) = bench.stand(run.variant, run.subject, &[])? else { return Ok(None) };
    let mut sample = stand.at_rest(bench, run, LONG_REST)?;
    let before_mib = sample.idle_mib.context("its memory at rest is known")?;
    let pid = stand.subject.pid();
    let count = run.requests();
    let shape = Shape { connections: usize::try_from(count)?, ..run.shape() };
    let mut load = bench.start_load(shape, count, &stand.ports)?;
    std::thread::sleep(LONG_REST);
    let fresh_mib = procfs::resident_mib(pid)?;
    load.run_and_hold().with_context(|| stand.complaint())?;
    std::thread::sleep(LONG_REST);
    let used_mib = procfs::resident_mib(pid)?;
    sample.peak_mib = Some(procfs::peak_mib(pid)?);
    sample.load = Some(load.release(LOAD_TIMEOUT)?);
    let each_kib = |mib: f64| (mib - before_mib) * 1024.0 / count as f64;
    sample.connections =
        Some(Connections { count, fresh_kib: each_kib(fresh_mib), used_kib: each_kib(used_mib) });
    stand.stop(&mut sample, STOP_TIMEOUT)?;
    Ok(Some(sample))
}

/// Raises the soft limit of open files to the hard one, for this process and those that it starts: load and subject
/// need one for each connection. The load says what to do if that is not enough.
fn raise_open_files() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise the number of open files")
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::*;

    #[test]
    fn as_many_files_as_allowed_may_be_open() {
        raise_open_files().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
