//! What stays resident: gives the memory of code that has done its work back to the kernel.
//!
//! Reading a configuration and building a graph run through most of a binary once; afterwards a collector at
//! rest needs a tenth of it. What was touched stays resident all the same, until the machine is short of
//! memory: a good half of what a sidecar shows as its resident size. [`give_back`] unmaps such pages. They
//! stay in the page cache, and whoever needs one again finds it there, for less than a microsecond.
//!
//! Only mappings whose every resident page is that of the file are given back, so that nothing is lost: what
//! is writable, and what has pages of its own (relocated data, the breakpoints of a debugger) is left alone.
//!
//! [`keep_freed`] is the other half: memory that is freed after one request and needed by the next stays, until
//! [`give_back_freed`] gives it back, for when memory is short.
//!
//! This crate has the collector's only `unsafe` code, calls of `madvise`, `mallopt` and `malloc_trim`, which Miri cannot run.

use std::io;

/// What was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// Mappings of files.
    pub mappings: usize,
    /// Their resident bytes before.
    pub bytes: usize,
}

/// Free memory at the end of a heap that stays there, in bytes; a request of 100 spans that is edited takes and frees
/// a few tenths of a MiB. There is a heap for each thread, so this is what a collector may hold for nothing.
const KEPT_BYTES: libc::c_int = 1 << 20;
/// What a heap grows by.
const GROWTH_BYTES: libc::c_int = 256 << 10;
/// From here on an allocation has a mapping of its own, which ends with it.
const MAPPED_BYTES: libc::c_int = 4 << 20;

/// Has the allocator keep what is freed, within bounds. By default glibc gives everything beyond 128 KiB at the end of
/// a heap back to the kernel at once, and the next request faults it in again: a fifth of the time of a collector
/// that edits (`perf`, page faults and `madvise`). Call it first in `main`; elsewhere than with glibc it does nothing.
#[allow(unsafe_code)]
pub fn keep_freed() {
    #[cfg(target_env = "gnu")]
    for (setting, value) in [
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES),
        (libc::M_TOP_PAD, GROWTH_BYTES),
        // Otherwise setting one of the others would fix it at 128 KiB.
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES),
    ] {
        // SAFETY: `mallopt` takes two integers, checks them, and locks what it changes.
        unsafe { libc::mallopt(setting, value) };
    }
}

/// Has the allocator give back what is free, wherever in its heaps: a heap is kept whole as long as anything at its end
/// is in use. It takes milliseconds for each hundred MiB that are free, and whoever allocates meanwhile may wait for
/// it. Elsewhere than with glibc it does nothing.
#[allow(unsafe_code)]
pub fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes an integer, and locks each heap while it looks for free pages in it; no page of memory
    // that is in use is touched.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// A mapping of a file that may be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    len: usize,
    resident: usize,
}

/// Gives back the clean pages of the program and of its libraries.
///
/// # Errors
/// Where the kernel does not say what is mapped, or refuses.
pub fn give_back() -> io::Result<GivenBack> {
    let mut given = GivenBack::default();
    for mapping in clean_mappings(&std::fs::read_to_string("/proc/self/smaps")?) {
        discard(mapping)?;
        given.mappings += 1;
        given.bytes += mapping.resident;
    }
    Ok(given)
}

/// Reads `smaps` (see proc_pid_smaps(5)): private mappings of files that are not writable and of which no page
/// differs from the file.
fn clean_mappings(smaps: &str) -> Vec<Mapping> {
    let mut clean = Vec::new();
    let mut open: Option<Mapping> = None;
    for line in smaps.lines() {
        if let Some(header) = header(line) {
            open = header;
            continue;
        }
        let Some(mapping) = &mut open else { continue };
        let mut words = line.split_ascii_whitespace();
        let (key, kibibytes) = (words.next(), words.next().and_then(|word| word.parse::<usize>().ok()));
        match (key, kibibytes) {
            (Some("Rss:"), Some(resident)) => mapping.resident = resident << 10,
            // Comes behind `Rss:`.
            (Some("Anonymous:"), Some(0)) if mapping.resident > 0 => {
                clean.push(*mapping);
                open = None;
            }
            (Some("Anonymous:"), _) => open = None,
            _ => {}
        }
    }
    clean
}

/// The first line of a mapping, for example `5581c000-5582f000 r-xp 00001000 fe:00 1234  /usr/bin/program`. The
/// inner option is empty for those that are to be left alone.
fn header(line: &str) -> Option<Option<Mapping>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let (permissions, path) = (words.next()?, words.nth(3));
    let is_program = permissions.starts_with("r-") && permissions.ends_with('p');
    let is_file = path.is_some_and(|path| path.starts_with('/'));
    Some((is_program && is_file).then_some(Mapping { start, len: end - start, resident: 0 }))
}

#[allow(unsafe_code)]
fn discard(mapping: Mapping) -> io::Result<()> {
    let start = std::ptr::with_exposed_provenance_mut(mapping.start);
    // SAFETY: `start` and `len` are those of a whole mapping, as the kernel says. It is a private mapping of a
    // file that cannot be written to, and none of its pages differs from the file, so that dropping them
    // changes no byte that anybody can read: the next access maps the same page of the file again, as it would
    // after the kernel had evicted it. Were the mapping gone meanwhile the call would fail; the program and its
    // libraries are never unmapped.
    let outcome = unsafe { libc::madvise(start, mapping.len, libc::MADV_DONTNEED) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Heaps are those of the process: tests that look at them take turns.
    #[cfg(target_env = "gnu")]
    static HEAPS: Mutex<()> = Mutex::new(());

    #[test]
    fn only_clean_mappings_of_files_are_given_back() {
        let one = |permissions: &str, path: &str, anonymous: u32, resident: u32| {
            format!(
                "5581c000-5582f000 {permissions} 00001000 fe:00 1234  {path}\nSize: 76 kB\nRss: {resident} kB\n\
                 Pss: 8 kB\nAnonymous: {anonymous} kB\nVmFlags: rd ex mr mw me\n"
            )
        };
        let mapping = Mapping { start: 0x5581_c000, len: 0x1_3000, resident: 64 << 10 };
        for (case, smaps, expected) in [
            ("code", one("r-xp", "/usr/bin/program", 0, 64), vec![mapping]),
            ("constants", one("r--p", "/usr/bin/program", 0, 64), vec![mapping]),
            ("relocated, or with breakpoints", one("r-xp", "/usr/bin/program", 4, 64), vec![]),
            ("data", one("rw-p", "/usr/bin/program", 0, 64), vec![]),
            ("shared", one("r--s", "/tmp/shared", 0, 64), vec![]),
            ("no file", one("r-xp", "[vdso]", 0, 64), vec![]),
            ("without a name", one("r--p", "", 0, 64), vec![]),
            ("not resident", one("r-xp", "/usr/bin/program", 0, 0), vec![]),
        ] {
            assert_eq!(clean_mappings(&smaps), expected, "{case}");
            let twice = [smaps.as_str(), smaps.as_str()].concat();
            assert_eq!(clean_mappings(&twice).len(), 2 * expected.len(), "{case}");
        }
        assert_eq!(clean_mappings("nonsense\n12-zz r-xp\nRss: 1 kB\nAnonymous: 0 kB\n"), []);
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_is_freed_at_the_end_of_a_heap_is_not_faulted_in_again() {
        // The tenth field of proc_pid_stat(5): page faults of this thread without I/O.
        let faults = || -> usize {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(7).unwrap().parse().unwrap()
        };
        let _turn = HEAPS.lock().unwrap_or_else(PoisonError::into_inner);
        let work = || drop((0..8).map(|_| vec![1_u8; 100_000]).collect::<Vec<_>>());
        keep_freed();
        work();
        let before = faults();
        work();
        // The blocks have 195 pages.
        assert!(faults() - before < 50, "{} faults", faults() - before);
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_is_free_in_the_middle_of_a_heap_is_given_back() {
        let resident = || -> usize {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let _turn = HEAPS.lock().unwrap_or_else(PoisonError::into_inner);
        keep_freed();
        let mut blocks: Vec<Vec<u8>> = (0..1_000).map(|_| vec![1; 64 << 10]).collect();
        // The last one keeps the heap from shrinking.
        let last = blocks.pop();
        drop(blocks);
        let before = resident();
        give_back_freed();
        let after = resident();
        assert!(before > after + (32 << 20), "{before} bytes before, {after} after");
        drop(last);
    }

    #[test]
    fn the_program_goes_on_as_before() {
        let work = || format!("{:?}", (0..100).map(|n: u32| n.pow(2) % 7).collect::<Vec<_>>());
        let before = work();
        let given = give_back().unwrap();
        assert!(given.mappings > 0 && given.bytes > 0, "{given:?}");
        assert_eq!(work(), before);
    }
}
