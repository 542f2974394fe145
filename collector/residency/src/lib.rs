//! Gives the memory of code that has done its work back to the kernel.
//!
//! Reading a configuration and building a graph run through most of a binary once; afterwards a collector at
//! rest needs a tenth of it. What was touched stays resident all the same, until the machine is short of
//! memory: a good half of what a sidecar shows as its resident size. [`give_back`] unmaps such pages. They
//! stay in the page cache, and whoever needs one again finds it there, for less than a microsecond.
//!
//! Only mappings whose every resident page is that of the file are given back, so that nothing is lost: what
//! is writable, and what has pages of its own (relocated data, the breakpoints of a debugger) is left alone.
//!
//! This crate has the collector's only `unsafe` code, one call of `madvise`, which Miri cannot run.

use std::io;

/// What was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    /// Mappings of files.
    pub mappings: usize,
    /// Their resident bytes before.
    pub bytes: usize,
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
    use super::*;

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
    fn the_program_goes_on_as_before() {
        let work = || format!("{:?}", (0..100).map(|n: u32| n.pow(2) % 7).collect::<Vec<_>>());
        let before = work();
        let given = give_back().unwrap();
        assert!(given.mappings > 0 && given.bytes > 0, "{given:?}");
        assert_eq!(work(), before);
    }
}
