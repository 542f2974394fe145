use super::*;

const FIRST: u64 = 41;

/// A segment of these bodies, without its header.
fn segment(bodies: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (place, body) in bodies.iter().enumerate() {
        let weight = Weight::of(place as u64, body.len() as u64);
        bytes.extend_from_slice(&record_header(FIRST, FIRST + place as u64, weight, [*body].into_iter()));
        bytes.extend_from_slice(body);
    }
    bytes
}

fn numbers(scan: &Scan) -> Vec<u64> {
    scan.records.iter().map(|found| found.number - FIRST).collect()
}

#[test]
fn what_was_written_is_read_with_its_weight() {
    let mut bytes = segment(&[b"one", b"", b"three"]);
    let len = bytes.len();
    let totals = Totals { end: FIRST + 3, weight: Weight { records: 3, items: 3, bytes: 8 } };
    bytes.extend_from_slice(&footer(FIRST, totals));
    let scan = scan(FIRST, FIRST, &bytes);
    let bodies: Vec<&[u8]> = scan.records.iter().map(|found| &bytes[found.body.clone()]).collect();
    assert_eq!(bodies, [&b"one"[..], b"", b"three"]);
    assert_eq!((scan.len, scan.has_gap, scan.footer), (len, false, Some(totals)));
    assert_eq!(scan.records[2].weight, Weight::of(2, 5));
    assert_eq!(read_header(&header(FIRST)), Ok(FIRST));
}

#[test]
fn a_torn_end_is_left_out_wherever_it_was_torn() {
    let bytes = segment(&[b"one", b"two", b"three"]);
    let ends = [35, 70, 107];
    for cut in 0..=bytes.len() {
        let found = scan(FIRST, FIRST, &bytes[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!((found.records.len(), found.has_gap), (whole, false), "cut at {cut}");
        assert_eq!(found.len, if whole == 0 { 0 } else { ends[whole - 1] });
        // Zeros, as a file system leaves behind.
        let mut filled = bytes[..cut].to_vec();
        filled.resize(cut + 100, 0);
        assert_eq!(scan(FIRST, FIRST, &filled).records.len(), whole, "zeros from {cut} on");
    }
}

#[test]
fn a_damaged_record_costs_itself_alone() {
    let bytes = segment(&[b"one", b"two", b"three"]);
    for at in 35..70 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let found = scan(FIRST, FIRST, &damaged);
        assert_eq!((numbers(&found), found.has_gap), (vec![0, 2], true), "byte {at}");
    }
}

#[test]
fn what_another_segment_left_behind_is_no_record() {
    let bytes = segment(&[b"one"]);
    assert_eq!(scan(FIRST - 1, FIRST, &bytes), Scan::default());
    assert_eq!(scan(FIRST, FIRST + 1, &bytes), Scan::default(), "numbers go up");
}

#[test]
fn a_later_format_is_told_from_damage() {
    let mut later = header(FIRST);
    later[8] = 2;
    assert_eq!(read_header(&later), Err(BadHeader::Damaged), "a bit that flipped");
    let crc = crc32c::crc32c(&later[..12]);
    later[12..16].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(read_header(&later), Err(BadHeader::Version(2)));
    assert_eq!(read_header(&header(1)[..HEADER - 1]), Err(BadHeader::Damaged));
    assert_eq!(inspect(&header(1)), (0, 0));
}
