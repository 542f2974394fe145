//! Resident memory by what it is mapped for, as the kernel accounts for it.
//!
//! Go's heap profile knows which function allocated what; glibc's allocator keeps no such record, and one
//! that did would cost on every request. What can be said for nothing: how much of the process is heap,
//! other anonymous memory (large buffers, arenas of other threads), stacks and files, and how much of the
//! budget of bytes is in use.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use phoenix_component::Host;

use crate::profile::{Head, Place, Sample, encode};

/// Sizes of one kind of mapping, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) resident: u64,
    /// Not shared with any other process, and written to.
    pub(crate) private: u64,
    pub(crate) swapped: u64,
}

/// Mappings by what they are for.
pub(crate) type Mappings = BTreeMap<String, Sizes>;

/// Reads `/proc/self/smaps`; nothing where it cannot be read.
pub(crate) fn mappings() -> Mappings {
    parse(&std::fs::read_to_string("/proc/self/smaps").unwrap_or_default())
}

/// What a mapping with the last column `name` and the access `access` is for.
fn purpose(name: &str, access: &str) -> String {
    match name {
        "[heap]" => "heap (main arena)".to_owned(),
        "[stack]" => "stack of the main thread".to_owned(),
        "" if access.starts_with("---") => "guards".to_owned(),
        "" => "anonymous: arenas and stacks of threads, large buffers".to_owned(),
        name if name.starts_with('[') => name.to_owned(),
        path => {
            let file = path.rsplit('/').next().unwrap_or(path);
            let part = if access.contains('x') {
                "code"
            } else if access.contains('w') {
                "data"
            } else {
                "constants"
            };
            format!("{file}: {part}")
        }
    }
}

pub(crate) fn parse(smaps: &str) -> Mappings {
    let mut mappings = Mappings::new();
    let mut current: Option<String> = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some(key) = first.strip_suffix(':') {
            let bytes = words.next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024;
            let Some(sizes) = current.as_ref().map(|name| mappings.entry(name.clone()).or_default()) else {
                continue;
            };
            match key {
                "Rss" => sizes.resident += bytes,
                "Private_Dirty" => sizes.private += bytes,
                "Swap" => sizes.swapped += bytes,
                _ => {}
            }
        } else {
            // address access offset device inode path
            let access = words.next().unwrap_or_default();
            let path: Vec<_> = words.skip(3).collect();
            current = Some(purpose(&path.join(" "), access));
        }
    }
    mappings
}

/// A profile with one sample for each kind of mapping.
pub(crate) fn profile(mappings: &Mappings, time_nanos: i64) -> Vec<u8> {
    let named = |function: &str| vec![Place { function: function.to_owned(), ..Place::default() }];
    let value = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let samples: Vec<_> = mappings
        .iter()
        .filter(|(_, sizes)| sizes.resident + sizes.swapped > 0)
        .map(|(name, sizes)| Sample {
            stack: vec![named(name), named("process")],
            values: vec![value(sizes.swapped), value(sizes.private), value(sizes.resident)],
            label: None,
        })
        .collect();
    let head = Head {
        types: vec![("swapped", "bytes"), ("private_dirty", "bytes"), ("inuse_space", "bytes")],
        period: Some(("space", "bytes", 1)),
        time_nanos,
        duration_nanos: 0,
        comment: "resident memory by mapping; not by the function that allocated it".to_owned(),
    };
    encode(&head, &samples)
}

/// The same for people, with what the collector knows of its own.
pub(crate) fn text(mappings: &Mappings, host: &Host) -> String {
    let mut out = String::from("# Resident memory by mapping, in KiB\n#  resident    private    swapped\n");
    let kib = |bytes: u64| bytes / 1024;
    let mut all: Vec<_> = mappings.iter().collect();
    all.sort_by_key(|(_, sizes)| std::cmp::Reverse(sizes.resident));
    for (name, sizes) in all {
        let (resident, private, swapped) = (kib(sizes.resident), kib(sizes.private), kib(sizes.swapped));
        let _ = writeln!(out, "{resident:>11}{private:>11}{swapped:>11}  {name}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    out += "\n# The process\n";
    let wanted = ["VmPeak", "VmSize", "VmHWM", "VmRSS", "RssAnon", "RssFile", "VmData", "VmSwap", "Threads"];
    for line in status.lines().filter(|line| wanted.iter().any(|key| line.starts_with(key))) {
        let _ = writeln!(out, "{line}");
    }
    let limit = match host.budget.limit() {
        usize::MAX => "unlimited".to_owned(),
        limit => limit.to_string(),
    };
    let _ = writeln!(
        out,
        "\n# The budget of bytes\nused:\t{}\nlimit:\t{limit}\nrefusals:\t{}",
        host.budget.used(),
        host.budget.refusals()
    );
    out
}
