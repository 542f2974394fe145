use super::{lines, number, pair, words};

macro_rules! table {
    ($(#[$doc:meta])* $table:ident $($field:ident $key:literal)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $table { $(pub(crate) $field: Option<u64>,)* }

        impl $table {
            fn set(&mut self, key: &[u8], value: u64) {
                $(if key == $key.as_bytes() { self.$field = Some(value); })*
            }
        }
    };
}

table! {
    /// `/proc/meminfo`, in bytes and pages.
    MemInfo
    total "MemTotal" free "MemFree" available "MemAvailable" buffers "Buffers" page_cache "Cached"
    reclaimable "SReclaimable" unreclaimable "SUnreclaim" dirty "Dirty"
    huge_total "HugePages_Total" huge_free "HugePages_Free" huge_reserved "HugePages_Rsvd"
    huge_surplus "HugePages_Surp" huge_size "Hugepagesize"
}

impl MemInfo {
    pub(crate) fn parse(bytes: &[u8]) -> MemInfo {
        let mut info = MemInfo::default();
        for (key, value) in lines(bytes).filter_map(pair) {
            let mut words = words(value);
            let Some(value) = words.next().and_then(number) else { continue };
            let unit = if words.next() == Some(b"kB") { 1024 } else { 1 };
            info.set(key, value.saturating_mul(unit));
        }
        info
    }

    /// The cache as otelcol has it: with the slabs that can be given back.
    pub(crate) fn cached(&self) -> u64 {
        self.page_cache.unwrap_or(0).saturating_add(self.reclaimable.unwrap_or(0))
    }

    /// What programs can have; on kernels that do not say: what is free, and the cache.
    pub(crate) fn available(&self) -> u64 {
        self.available.unwrap_or_else(|| self.free.unwrap_or(0).saturating_add(self.cached()))
    }
}

table! {
    /// `/proc/vmstat`: pages and faults.
    VmStat
    swapped_in "pswpin" swapped_out "pswpout" paged_in "pgpgin" paged_out "pgpgout"
    faults "pgfault" major_faults "pgmajfault"
}

impl VmStat {
    pub(crate) fn parse(bytes: &[u8]) -> VmStat {
        let mut stat = VmStat::default();
        for line in lines(bytes) {
            let mut words = words(line);
            if let (Some(key), Some(value)) = (words.next(), words.next().and_then(number)) {
                stat.set(key, value);
            }
        }
        stat
    }
}

/// A line of `/proc/swaps`, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Swap<'a> {
    pub(crate) device: &'a [u8],
    pub(crate) total: u64,
    pub(crate) used: u64,
}

/// The areas of `/proc/swaps`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn swaps(bytes: &[u8]) -> Result<Vec<Swap<'_>>, &'static str> {
    let mut lines = lines(bytes);
    let mut header = words(lines.next().ok_or("it is empty")?);
    if header.next() != Some(b"Filename") || header.nth(1) != Some(b"Size") || header.next() != Some(b"Used")
    {
        return Err("its columns are not Filename, Type, Size and Used");
    }
    let swap = |line| {
        let mut words = words(line);
        let device = words.next()?;
        let total = number(words.nth(1)?)?.saturating_mul(1024);
        let used = number(words.next()?)?.saturating_mul(1024);
        Some(Swap { device, total, used })
    };
    lines.map(|line| swap(line).ok_or("a line has no numbers for Size and Used")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes_and_what_is_missing_is_none() {
        let info = MemInfo::parse(
            b"MemTotal:  1000 kB\nMemFree: 100 kB\nBuffers: 10 kB\nCached: 20 kB\nSReclaimable: 5 kB\nHugePages_Total: 8\nHugepagesize: 2048 kB\nOdd\nDirty: x kB\n",
        );
        assert_eq!((info.total, info.free, info.dirty), (Some(1_024_000), Some(102_400), None));
        assert_eq!((info.huge_total, info.huge_size), (Some(8), Some(2_097_152)));
        assert_eq!(info.cached(), 25_600);
        assert_eq!(info.available(), 128_000, "estimated where the kernel does not say");
    }

    #[test]
    fn paging_is_read_by_name() {
        let stat = VmStat::parse(b"nr_free_pages 1\npgpgin 2\npgfault 40\npgmajfault 4\npswpout\n");
        assert_eq!((stat.paged_in, stat.faults, stat.major_faults), (Some(2), Some(40), Some(4)));
        assert_eq!(stat.swapped_out, None);
    }

    #[test]
    fn swap_areas_need_their_header() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/dm-2                               partition\t67022844\t490788\t-2\n/swap\\040file file 8 4 -3\n";
        let found = swaps(text).expect("valid");
        assert_eq!(found[0].device, b"/dev/dm-2");
        assert_eq!((found[0].used, found[1].total), (490_788 * 1024, 8192));
        assert_eq!(swaps(b"Filename Type Size Used Priority\n").expect("no area").len(), 0);
        for bad in [&b""[..], b"Filename Type Used Size\n", b"Filename Type Size Used\n/dev/x part 1 y\n"] {
            swaps(bad).expect_err("not swaps");
        }
    }
}
