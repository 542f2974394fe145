use super::{lines, number, pair, words};

/// `/proc/[pid]/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PidStat<'a> {
    /// The name, at most 15 bytes, whatever they are.
    pub(crate) name: &'a [u8],
    pub(crate) counts: Counts,
}

/// What is counted in it: times in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// A letter, for example `R`.
    pub(crate) state: u8,
    pub(crate) parent: i64,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) user: u64,
    pub(crate) system: u64,
    pub(crate) threads: u64,
    /// Since the start of the host.
    pub(crate) started: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) resident_pages: u64,
    /// In which it waited for blocks; 0 where the kernel does not account for that.
    pub(crate) waited: u64,
}

impl PidStat<'_> {
    /// None where it is cut short. The name may hold spaces and parentheses: it ends at the last one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<PidStat<'_>> {
        let open = bytes.iter().position(|byte| *byte == b'(')?;
        let close = bytes.iter().rposition(|byte| *byte == b')').filter(|close| *close > open)?;
        let mut fields = words(&bytes[close + 1..]);
        let mut counts = Counts { state: *fields.next()?.first()?, ..Counts::default() };
        // The state is field 3 of the manual.
        let mut field = 4;
        let mut next = |wanted: usize| {
            let word = fields.nth(wanted - field);
            field = wanted + 1;
            word
        };
        counts.parent = std::str::from_utf8(next(4)?).ok()?.parse().ok()?;
        counts.minor_faults = number(next(10)?)?;
        counts.major_faults = number(next(12)?)?;
        counts.user = number(next(14)?)?;
        counts.system = number(next(15)?)?;
        counts.threads = number(next(20)?)?;
        counts.started = number(next(22)?)?;
        counts.virtual_bytes = number(next(23)?)?;
        // Signed in the kernel, and below zero for a moment now and then.
        counts.resident_pages = next(24).and_then(number).unwrap_or(0);
        counts.waited = next(42).and_then(number).unwrap_or(0);
        Some(PidStat { name: &bytes[open + 1..close], counts })
    }
}

/// What is needed of `/proc/[pid]/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The real user.
    pub(crate) user: Option<u32>,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
    /// Signals for the process as a whole.
    pub(crate) pending_signals: u64,
}

impl Status {
    pub(crate) fn parse(bytes: &[u8]) -> Status {
        let mut status = Status::default();
        for (key, value) in lines(bytes).filter_map(pair) {
            let first = words(value).next().unwrap_or_default();
            match key {
                b"Uid" => status.user = number(first).and_then(|user| u32::try_from(user).ok()),
                b"voluntary_ctxt_switches" => status.voluntary_switches = number(first).unwrap_or(0),
                b"nonvoluntary_ctxt_switches" => status.involuntary_switches = number(first).unwrap_or(0),
                b"ShdPnd" => {
                    let mask =
                        std::str::from_utf8(first).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
                    status.pending_signals = u64::from(mask.unwrap_or(0).count_ones());
                }
                _ => {}
            }
        }
        status
    }
}

/// `/proc/[pid]/io`; pairs are reads and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Io {
    pub(crate) bytes: [u64; 2],
    pub(crate) operations: [u64; 2],
}

impl Io {
    pub(crate) fn parse(bytes: &[u8]) -> Io {
        let mut io = Io::default();
        for (key, value) in lines(bytes).filter_map(pair) {
            let value = number(value).unwrap_or(0);
            match key {
                b"rchar" => io.bytes[0] = value,
                b"wchar" => io.bytes[1] = value,
                b"syscr" => io.operations[0] = value,
                b"syscw" => io.operations[1] = value,
                _ => {}
            }
        }
        io
    }
}

/// The names of users in `/etc/passwd`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users(Vec<(u32, String)>);

impl Users {
    pub(crate) fn parse(bytes: &[u8]) -> Users {
        let user = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            let id = u32::try_from(number(fields.nth(1)?)?).ok()?;
            Some((id, String::from_utf8_lossy(name).into_owned()))
        };
        let mut users: Vec<_> = lines(bytes).filter_map(user).collect();
        // The first line of an id counts.
        users.sort_by_key(|user| user.0);
        Users(users)
    }

    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        let at = self.0.partition_point(|user| user.0 < id);
        self.0.get(at).filter(|user| user.0 == id).map(|user| user.1.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "S 1 2 3 0 -1 4194560 100 0 7 0 250 50 0 0 20 0 3 0 12345 104857600 2560 18446744073709551615 1 2 3 0 0 0 0 0 0 0 0 0 17 1 0 0 42 0 0";

    #[test]
    fn names_with_spaces_and_parentheses() {
        for name in ["bash", "tmux: server", "(sd-pam)", "a) R 1 (b", "", ")", "a\tb"] {
            let text = format!("77 ({name}) {REST}\n");
            let stat = PidStat::parse(text.as_bytes()).expect(name);
            assert_eq!(stat.name, name.as_bytes());
            let expected = Counts {
                state: b'S',
                parent: 1,
                minor_faults: 100,
                major_faults: 7,
                user: 250,
                system: 50,
                threads: 3,
                started: 12_345,
                virtual_bytes: 104_857_600,
                resident_pages: 2560,
                waited: 42,
            };
            assert_eq!(stat.counts, expected, "{name}");
        }
    }

    #[test]
    fn what_is_cut_short_is_no_process() {
        let whole = format!("77 (x) {REST}");
        let short = whole.split(" 104857600").next().expect("a part");
        for text in ["", "77", "77 (x", "77 )x(", "77 (x) ", "77 (x) S", short] {
            assert_eq!(PidStat::parse(text.as_bytes()), None, "{text}");
        }
        let old = whole.split(" 18446744073709551615").next().expect("a part");
        assert_eq!(PidStat::parse(old.as_bytes()).expect("old").counts.waited, 0);
        let negative = whole.replace(" 2560 ", " -1 ");
        assert_eq!(PidStat::parse(negative.as_bytes()).expect("odd").counts.resident_pages, 0);
    }

    #[test]
    fn status_io_and_users() {
        let status = Status::parse(b"Name:\tx: y\nUid:\t1000\t0\t0\t0\nShdPnd:\t0000000000000101\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n");
        assert_eq!(
            status,
            Status { user: Some(1000), voluntary_switches: 5, involuntary_switches: 6, pending_signals: 2 }
        );
        let io = Io::parse(b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\n");
        assert_eq!(io, Io { bytes: [1, 2], operations: [3, 4] });
        let users = Users::parse(b"root:x:0:0::/root:/bin/sh\ntoor:x:0:0\n#\nweb:x:33:33\nbad:x:y\n");
        assert_eq!([0, 33, 34].map(|id| users.name(id)), [Some("root"), Some("web"), None]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = (PidStat::parse(&bytes), Status::parse(&bytes), Io::parse(&bytes), Users::parse(&bytes));
            let _ = (super::super::mounts(&bytes).count(), super::super::disks(&bytes).count());
            let _ = (super::super::interfaces(&bytes).count(), super::super::swaps(&bytes));
            super::super::TcpStates::default().add(&bytes);
        }
    }
}
