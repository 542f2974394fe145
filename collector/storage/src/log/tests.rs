use std::io::{self, IoSlice};
use std::path::Path;

use super::*;
use crate::disk::simulated::{Fault, SimulatedDisk};
use crate::segment::{HEADER, RECORD, header};
use crate::{AppendError, OpenError};

pub(super) const DIR: &str = "/store/client.queue";

/// Small segments, so that there are many.
pub(super) fn options() -> Options {
    Options { fsync: true, max_bytes: None, segment_bytes: 600, marks_bytes: 400 }
}

pub(super) fn open(disk: &SimulatedDisk, options: Options) -> Log {
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options).expect("open")
}

pub(super) fn entry(id: u64, len: usize) -> Entry {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(8 + len, id as u8);
    let (head, rest) = body.split_at(8 + len / 2);
    let body = vec![Bytes::copy_from_slice(head), Bytes::copy_from_slice(rest)];
    Entry { weight: Weight::of(id, 8 + len as u64), body }
}

/// The id that [`entry`] put into a record.
pub(super) fn id_of(record: &Record) -> u64 {
    let (id, rest) = record.body.split_first_chunk().expect("an id");
    let id = u64::from_le_bytes(*id);
    assert!(rest.iter().all(|byte| *byte == id as u8), "the body is that of the id");
    assert_eq!(record.weight, Weight::of(id, record.body.len() as u64));
    id
}

/// Everything that is not done, in order.
pub(super) fn read_all(log: &mut Log) -> Vec<Record> {
    read_in_parts(log, usize::MAX)
}

/// The same, so many bytes at once, or more where that is too little.
fn read_in_parts(log: &mut Log, part: usize) -> Vec<Record> {
    let (mut from, mut records, mut most) = (0, Vec::new(), part);
    while let Some(plan) = log.plan_read(from, log.next, most) {
        let bytes = Bytes::from(plan.load().expect("readable"));
        match log.finish_read(&plan, &bytes) {
            None => most *= 2,
            Some(chunk) => {
                (from, most) = (chunk.next, part);
                records.extend(chunk.records);
            }
        }
    }
    records
}

fn ids(log: &mut Log) -> Vec<u64> {
    read_all(log).iter().map(id_of).collect()
}

fn append(log: &mut Log, ids: std::ops::Range<u64>) -> Vec<u64> {
    let entries: Vec<Entry> = ids.map(|id| entry(id, 40)).collect();
    log.append(&entries).into_iter().map(|number| number.expect("appended")).collect()
}

fn mark(log: &mut Log, ids: impl IntoIterator<Item = u64>) {
    let ids: Vec<u64> = ids.into_iter().collect();
    let records = read_all(log);
    let done: Vec<(u64, Weight)> = records
        .iter()
        .filter(|record| ids.contains(&id_of(record)))
        .map(|record| (record.number, record.weight))
        .collect();
    assert_eq!(done.len(), ids.len());
    log.mark(&done).expect("marked");
}

fn logs(disk: &SimulatedDisk, end: &str) -> Vec<String> {
    let mut names = disk.list(Path::new(DIR)).expect("a folder");
    names.retain(|name| name.ends_with(end));
    names.sort();
    names
}

#[test]
fn what_is_not_done_comes_again_in_order_after_a_restart() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, options());
    assert_eq!(append(&mut log, 0..30), (1..31).collect::<Vec<_>>());
    assert_eq!(ids(&mut log), (0..30).collect::<Vec<_>>());
    mark(&mut log, (0..30).filter(|id| id % 3 != 0));
    let left: Vec<u64> = (0..30).filter(|id| id % 3 == 0).collect();
    let held = Weight { records: 10, items: left.iter().sum(), bytes: 480 };
    assert_eq!(log.held(), held);
    drop(log);
    let mut log = open(&disk, options());
    assert_eq!((log.held(), log.take_damage()), (held, Damage::default()));
    assert_eq!(ids(&mut log), left);
    assert_eq!(append(&mut log, 30..31), [31], "numbers go on");
    mark(&mut log, left);
    assert_eq!(ids(&mut log), [30]);
    drop(log);
    assert_eq!(ids(&mut open(&disk, options())), [30]);
}

#[test]
fn segments_go_once_they_are_done_in_whatever_order() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, options());
    append(&mut log, 0..40);
    let before = logs(&disk, ".log").len();
    assert!(before >= 5);
    mark(&mut log, 1..40);
    assert_eq!(logs(&disk, ".log").len(), 2, "that of the one that is left, and the one that is open");
    log.seal_if_done();
    assert_eq!(logs(&disk, ".log").len(), 1);
    mark(&mut log, [0]);
    assert_eq!((logs(&disk, ".log").len(), log.bytes(), log.held()), (0, 0, Weight::default()));
    drop(log);
    assert_eq!(append(&mut open(&disk, options()), 0..1), [41]);
}

#[test]
fn a_full_disk_refuses_what_comes_and_has_room_for_marks() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, options());
    append(&mut log, 0..20);
    disk.limit(Some(disk.used() + 100));
    let entries: Vec<Entry> = (20..30).map(|id| entry(id, 40)).collect();
    let outcomes = log.append(&entries);
    let full = |outcome: &Result<u64, AppendError>| {
        matches!(outcome, Err(AppendError::Io { kind: io::ErrorKind::StorageFull, .. }))
    };
    let taken = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
    assert!(taken < 10 && outcomes[taken..].iter().all(full), "{outcomes:?}");
    let kept: Vec<u64> = (0..20 + taken as u64).collect();
    assert_eq!(ids(&mut log), kept);
    drop(log);
    let mut log = open(&disk, options());
    assert_eq!(ids(&mut log), kept, "what was refused is not there");
    for id in &kept[..15] {
        mark(&mut log, [*id]);
    }
    assert!(log.append(&[entry(99, 40)])[0].is_ok(), "what is done makes room");
    drop(log);
    let expected: Vec<u64> = kept[15..].iter().copied().chain([99]).collect();
    assert_eq!(ids(&mut open(&disk, options())), expected);
}

#[test]
fn a_disk_that_fails_costs_no_more_than_what_was_refused() {
    for fault in [Fault::Write, Fault::Sync] {
        let disk = SimulatedDisk::default();
        let mut log = open(&disk, options());
        append(&mut log, 0..3);
        disk.fail(Some(fault));
        for id in 3..6 {
            let outcome = log.append(&[entry(id, 40)]).remove(0);
            assert!(matches!(outcome, Err(AppendError::Io { .. })), "{fault:?}: {outcome:?}");
        }
        disk.fail(None);
        append(&mut log, 6..8);
        assert_eq!(ids(&mut log), [0, 1, 2, 6, 7], "{fault:?}");
        drop(log);
        assert_eq!(ids(&mut open(&disk, options())), [0, 1, 2, 6, 7], "{fault:?}");
    }
}

#[test]
fn a_log_has_a_limit_in_bytes() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, Options { max_bytes: Some(2000), ..options() });
    let entries: Vec<Entry> = (0..40).map(|id| entry(id, 40)).collect();
    let outcomes = log.append(&entries);
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    assert!((15..25).contains(&taken), "{taken}");
    assert_eq!(outcomes.last(), Some(&Err(AppendError::Full { limit: 2000 })));
    let huge = log.append(&[entry(0, 2000)]).remove(0);
    assert!(matches!(huge, Err(AppendError::TooLarge { limit: 2000, .. })), "{huge:?}");
    mark(&mut log, 0..taken);
    append(&mut log, 0..3);
    assert!(disk.used() < 2000 + 2 * 400, "with the room for marks");
}

#[test]
fn damage_costs_what_is_damaged_and_is_counted_and_kept() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, options());
    append(&mut log, 0..40);
    log.seal();
    let names = logs(&disk, ".log");
    let path = |place: usize| Path::new(DIR).join(&names[place]);
    // A record of the second segment, and the header of the third.
    disk.damage(&path(1), HEADER + 100);
    disk.damage(&path(2), 3);
    drop(log);
    let mut log = open(&disk, options());
    assert_eq!(log.take_damage().segments, 1, "only the headers are looked at");
    assert_eq!(logs(&disk, ".corrupt"), [format!("{}.corrupt", names[2])]);
    let held = log.held();
    let found = ids(&mut log);
    let damage = log.take_damage();
    assert_eq!((damage.segments, damage.lost.records), (1, 1));
    let mut expected = held;
    expected.sub(damage.lost);
    assert_eq!((log.held(), found.len() as u64), (expected, expected.records));
    assert_eq!(found.iter().sum::<u64>(), expected.items, "the items that are lost are known");
    assert_eq!(ids(&mut log), found, "read again, and counted once");
    assert_eq!(log.take_damage(), Damage::default());
    drop(log);
    let mut log = open(&disk, options());
    mark(&mut log, found);
    assert_eq!(logs(&disk, ".corrupt").len(), 2);
    assert_eq!((logs(&disk, ".log").len(), log.held()), (0, Weight::default()));
}

#[test]
fn damage_in_a_segment_without_a_footer_is_found_at_the_start() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, Options { segment_bytes: 1 << 20, ..options() });
    append(&mut log, 0..9);
    drop(log);
    let name = logs(&disk, ".log").remove(0);
    disk.damage(&Path::new(DIR).join(&name), HEADER + RECORD + 80 * 3);
    let mut log = open(&disk, options());
    let damage = log.take_damage();
    assert_eq!((damage.segments, damage.lost.records), (1, 1));
    assert_eq!(ids(&mut log), [0, 1, 2, 4, 5, 6, 7, 8]);
    assert_eq!(log.take_damage(), Damage::default(), "it is not counted again");
}

#[test]
fn a_segment_that_cannot_be_read_is_given_up_on_and_the_others_go_on() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, options());
    append(&mut log, 0..20);
    let held = log.held();
    let plan = log.plan_read(0, log.next, usize::MAX).expect("something to read");
    disk.fail(Some(Fault::Read));
    assert!(plan.load().is_err());
    disk.fail(None);
    let chunk = log.give_up(&plan);
    assert!(chunk.lost.records > 0);
    let mut left = held;
    left.sub(chunk.lost);
    assert_eq!((log.held(), read_all(&mut log).len() as u64), (left, left.records));
    append(&mut log, 20..30);
    assert_eq!(log.held().records, left.records + 10);
}

#[test]
fn a_later_format_is_refused_and_left_as_it_is() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, options());
    append(&mut log, 0..3);
    drop(log);
    let name = logs(&disk, ".log").remove(0);
    let mut later = header(1);
    later[8] = 2;
    let crc = crc32c::crc32c(&later[..12]);
    later[12..16].copy_from_slice(&crc.to_le_bytes());
    let file = disk.open(&Path::new(DIR).join(&name)).expect("a file");
    file.write(0, &mut [IoSlice::new(&later)]).expect("written");
    let refused = Log::open(Arc::new(disk.clone()), Path::new(DIR), options()).err().expect("refused");
    assert!(matches!(refused, OpenError::Version { version: 2, known: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("format 2"), "{refused}");
    assert_eq!(logs(&disk, ".log"), [name]);
}

#[test]
fn a_reader_goes_on_where_it_was_while_more_is_appended() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, Options { segment_bytes: 1 << 20, ..options() });
    let (mut from, mut seen) = (0, Vec::new());
    for round in 0..20 {
        append(&mut log, round * 3..round * 3 + 3);
        // One short of the end: what others have not been told of yet.
        let until = log.next - 1;
        let plan = log.plan_read(from, until, usize::MAX).expect("something new");
        assert!(plan.len <= 5 * 88, "only what is new is read");
        let bytes = Bytes::from(plan.load().expect("readable"));
        let chunk = log.finish_read(&plan, &bytes).expect("records");
        from = chunk.next;
        seen.extend(chunk.records.iter().map(id_of));
        assert_eq!(chunk.lost, Weight::default());
    }
    assert_eq!(seen, (0..59).collect::<Vec<_>>());
}

#[test]
fn parts_of_any_size_make_the_same_whole() {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk, Options { segment_bytes: 4000, ..options() });
    let entries: Vec<Entry> = (0..60).map(|id| entry(id, (id as usize * 37) % 400)).collect();
    assert!(log.append(&entries).iter().all(Result::is_ok));
    mark(&mut log, (0..60).filter(|id| id % 7 == 0));
    let whole = ids(&mut log);
    for part in [1, 50, 100, 333, 1000, 5000] {
        let read: Vec<u64> = read_in_parts(&mut log, part).iter().map(id_of).collect();
        assert_eq!(read, whole, "{part} bytes at once");
    }
    // A damaged record costs itself, however little is read at once.
    let name = logs(&disk, ".log").remove(1);
    disk.damage(&Path::new(DIR).join(&name), HEADER + RECORD + 2);
    for part in [1, 100, 5000] {
        let mut log = open(&disk, options());
        assert_eq!(read_in_parts(&mut log, part).len(), whole.len() - 1, "{part} bytes at once");
        assert_eq!(log.take_damage().lost.records, 1);
    }
}
