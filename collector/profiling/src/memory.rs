//! Resident memory by what it is mapped for, as the kernel accounts for it.
//!
//! Go's heap profile knows which function allocated what; glibc's allocator keeps no such record, and one
//! that did would cost on every request. What can be said for nothing: how much of the process is heap,
//! other anonymous memory (large buffers, arenas of other threads), stacks and files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::profile::{Head, Place, Sample, encode};

/// Sizes of one kind of mapping, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// In memory now.
    pub resident: u64,
    /// Not shared with any other process, and written to.
    pub private: u64,
    /// Put aside.
    pub swapped: u64,
}

/// Mappings by what they are for.
pub type Mappings = BTreeMap<String, Sizes>;

/// Reads `/proc/self/smaps`; nothing where it cannot be read.
pub fn mappings() -> Mappings {
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

/// The same of a text in that form.
pub fn parse(smaps: &str) -> Mappings {
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
pub fn profile(mappings: &Mappings, time_nanos: i64) -> Vec<u8> {
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

/// The same for people.
pub fn text(mappings: &Mappings) -> String {
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_summed_by_what_they_are_for() {
        let smaps = "\
55d0-55d1 r--p 00000000 08:01 42 /usr/bin/phoenix collector\nRss: 4 kB\nPrivate_Dirty: 0 kB\n\
55d1-55d2 r-xp 00001000 08:01 42 /usr/bin/phoenix collector\nRss: 8 kB\nVmFlags: rd ex mr\n\
55d3-55d4 rw-p 00000000 00:00 0 [heap]\nRss: 100 kB\nPrivate_Dirty: 96 kB\nSwap: 4 kB\n\
7f00-7f01 rw-p 00000000 00:00 0\nRss: 10 kB\n\
7f02-7f03 rw-p 00000000 00:00 0 \nRss: 20 kB\n\
7f04-7f05 ---p 00000000 00:00 0\nRss: 0 kB\nnonsense\n";
        let mappings = parse(smaps);
        assert_eq!(mappings["phoenix collector: code"].resident, 8 << 10);
        assert_eq!(mappings["phoenix collector: constants"].resident, 4 << 10);
        let heap = mappings["heap (main arena)"];
        assert_eq!((heap.resident, heap.private, heap.swapped), (100 << 10, 96 << 10, 4 << 10));
        assert_eq!(mappings["anonymous: arenas and stacks of threads, large buffers"].resident, 30 << 10);
        assert!(parse("Rss: 4 kB\n\u{0}").is_empty());
    }
}
