//! Files of `/proc` and `/sys`, read: functions of text, without I/O.

mod cpu;
mod disk;
mod memory;
mod mounts;
mod network;
mod nfs;
mod process;

pub(crate) use cpu::{CpuTimes, Frequencies, KernelStat, STATES, load_averages, logical_cpus, physical_cpus};
pub(crate) use disk::disks;
pub(crate) use memory::{MemInfo, Swap, VmStat, swaps};
pub(crate) use mounts::{Mount, filesystems, mounts, plain_mounts};
pub(crate) use network::{InterfaceStat, TCP_STATES, TcpStates, interfaces};
pub(crate) use nfs::{
    NfsClient, NfsServer, V3_PROCEDURES, V4_CLIENT_OPERATIONS, V4_OPERATIONS, V4_PROCEDURES,
};
pub(crate) use process::{Counts, Io, PidStat, Status, Users};

/// The lines of a file.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The words of a line.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A whole number; none where it is none.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// A number; none where it is none.
pub(crate) fn decimal(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Key and value of `key: value`.
pub(crate) fn pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
}
