use super::{lines, number, words};

/// Bytes of a sector as `/proc/diskstats` counts them, whatever the device has.
const SECTOR: u64 = 512;

/// A line of `/proc/diskstats`; pairs are reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskStat<'a> {
    pub(crate) device: &'a [u8],
    pub(crate) operations: [u64; 2],
    pub(crate) merged: [u64; 2],
    pub(crate) bytes: [u64; 2],
    pub(crate) milliseconds: [u64; 2],
    pub(crate) pending: u64,
    pub(crate) busy_milliseconds: u64,
    pub(crate) weighted_milliseconds: u64,
}

/// Devices that were ever used; lines that cannot be read are left out.
pub(crate) fn disks(bytes: &[u8]) -> impl Iterator<Item = DiskStat<'_>> {
    lines(bytes).filter_map(disk)
}

fn disk(line: &[u8]) -> Option<DiskStat<'_>> {
    let mut words = words(line);
    let device = words.nth(2)?;
    let mut fields = [0; 11];
    for field in &mut fields {
        *field = number(words.next()?)?;
    }
    let [
        reads,
        merged_reads,
        read,
        reading,
        writes,
        merged_writes,
        written,
        writing,
        pending,
        busy,
        weighted,
    ] = fields;
    if fields.iter().all(|field| *field == 0) {
        return None;
    }
    Some(DiskStat {
        device,
        operations: [reads, writes],
        merged: [merged_reads, merged_writes],
        bytes: [read.saturating_mul(SECTOR), written.saturating_mul(SECTOR)],
        milliseconds: [reading, writing],
        pending,
        busy_milliseconds: busy,
        weighted_milliseconds: weighted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_were_used_are_read_and_odd_lines_left_out() {
        let text = b"   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\n   8       0 sda 10 1 80 5 20 2 160 7 3 9 12 0 0 0 0\n 8 1 sda1 4 0 8\n 8 2 sda2 x 0 0 0 0 0 0 0 0 0 0\n";
        let found: Vec<DiskStat<'_>> = disks(text).collect();
        assert_eq!(
            found,
            [DiskStat {
                device: b"sda",
                operations: [10, 20],
                merged: [1, 2],
                bytes: [40_960, 81_920],
                milliseconds: [5, 7],
                pending: 3,
                busy_milliseconds: 9,
                weighted_milliseconds: 12,
            }]
        );
    }
}
