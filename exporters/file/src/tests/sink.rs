//! What is in the files, whatever happens.

use super::*;

struct Rig {
    folder: TempDir,
    disk: Faulty,
    sink: Sink,
}

fn layout() -> Layout {
    Layout::new(&FileConfig { path: "x".into(), ..FileConfig::default() })
}

fn rotating(max_bytes: u64, max_backups: Option<usize>) -> Layout {
    let limits = Limits { max_bytes, max_backups, max_days: None, localtime: false };
    Layout { rotation: Some(limits), ..layout() }
}

impl Rig {
    fn new(layout: Layout) -> Rig {
        let disk = Faulty::default();
        let zone = TimeZone::fixed(Offset::constant(2));
        let sink = Sink::new(Arc::new(disk.clone()), zone, layout);
        Rig { folder: tempfile::tempdir().expect("made"), disk, sink }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_at(&self, records: &[(&str, &str)], now: SystemTime) -> Result<Written, WriteError> {
        let record =
            |(name, text): &(&str, &str)| Record { path: self.path(name), bytes: text.as_bytes().to_vec() };
        let records: Vec<_> = records.iter().map(record).collect();
        self.sink.write(&self.sink.layout(), &records, now)
    }

    fn write(&self, text: &str) -> Result<Written, WriteError> {
        self.write_at(&[("data.json", text)], september())
    }

    fn text(&self, name: &str) -> String {
        text(self.path(name))
    }
}

#[test]
fn a_file_of_an_earlier_run_is_truncated_once_or_appended_to() {
    let rig = Rig::new(layout());
    fs::write(rig.path("data.json"), "old\n").expect("written");
    rig.sink.probe(&rig.path("data.json"), &layout()).expect("writable");
    assert_eq!(rig.text("data.json"), "old\n", "nothing is lost before it is sure");
    rig.sink.begin(&rig.path("data.json")).expect("truncated");
    assert_eq!(rig.text("data.json"), "");
    rig.write("a\n").expect("written");
    rig.write("b\n").expect("written");
    rig.sink.begin(&rig.path("data.json")).expect("nothing to do");
    assert_eq!(rig.text("data.json"), "a\nb\n");

    let rig = Rig::new(Layout { append: true, ..layout() });
    fs::write(rig.path("data.json"), "old\n").expect("written");
    rig.write("a\n").expect("written");
    assert_eq!(rig.text("data.json"), "old\na\n");
}

#[test]
fn a_full_disk_leaves_no_torn_record_and_works_again_with_room() {
    let rig = Rig::new(layout());
    rig.write("first\n").expect("room");
    rig.disk.0.room.store(3, SeqCst);
    let error = rig.write("second\n").expect_err("full");
    assert!(error.to_string().contains("free space") && !error.is_bad_name(), "{error}");
    assert_eq!(rig.text("data.json"), "first\n");
    rig.disk.0.room.store(u64::MAX, SeqCst);
    rig.write("third\n").expect("room again");
    assert_eq!(rig.text("data.json"), "first\nthird\n");
}

#[test]
fn where_a_torn_record_cannot_be_cut_off_nothing_follows_it() {
    let rig = Rig::new(layout());
    rig.write("first\n").expect("room");
    rig.disk.0.room.store(3, SeqCst);
    rig.disk.0.no_truncate.store(true, SeqCst);
    rig.write("second\n").expect_err("full");
    rig.disk.0.room.store(u64::MAX, SeqCst);
    rig.write("third\n").expect_err("still torn");
    assert_eq!(rig.text("data.json"), "first\nsec");
    rig.disk.0.no_truncate.store(false, SeqCst);
    rig.write("fourth\n").expect("repaired");
    assert_eq!(rig.text("data.json"), "first\nfourth\n");
}

#[test]
fn a_request_for_several_files_is_in_all_of_them_or_in_none() {
    let rig = Rig::new(Layout { max_open_files: 9, ..layout() });
    rig.write_at(&[("a", "1\n"), ("b", "1\n")], september()).expect("room");
    rig.disk.0.room.store(6, SeqCst);
    rig.write_at(&[("a", "222\n"), ("new", "2\n"), ("b", "222\n")], september()).expect_err("full");
    assert_eq!((rig.text("a"), rig.text("b"), rig.text("new")), ("1\n".into(), "1\n".into(), "".into()));
}

#[test]
fn the_file_is_replaced_before_it_grows_too_large() {
    let rig = Rig::new(rotating(10, Some(2)));
    fs::write(rig.path("data.json"), "1234\n").expect("written");
    fs::write(rig.path("data-other.json"), "not ours").expect("written");
    assert_eq!(rig.write("5678\n").expect("fits").rotations, 0);
    assert_eq!(rig.text("data.json"), "1234\n5678\n", "what is there counts and stays");
    assert_eq!(rig.write("9\n").expect("written").rotations, 1);
    assert_eq!(rig.text("data-2022-09-14T05-02-14.173.json"), "1234\n5678\n");
    assert_eq!(rig.text("data.json"), "9\n");
    // In the same millisecond, and with a record that is too large by itself.
    rig.write("a record of more\n").expect("written");
    assert_eq!(rig.text("data-2022-09-14T05-02-14.174.json"), "9\n");
    rig.write("z\n").expect("written");
    let expected = [
        "data-2022-09-14T05-02-14.174.json",
        "data-2022-09-14T05-02-14.175.json",
        "data-other.json",
        "data.json",
    ];
    assert_eq!(names(&rig.folder), expected, "two are kept");
    assert_eq!(rig.text("data-2022-09-14T05-02-14.175.json"), "a record of more\n");
}

#[test]
fn replaced_files_have_local_time_where_asked_and_go_when_old() {
    let limits = Limits { max_bytes: 3, max_days: Some(2), max_backups: None, localtime: true };
    let rig = Rig::new(Layout { rotation: Some(limits), ..layout() });
    // Left by otelcol's exporter: one too old, one not.
    fs::write(rig.path("data-2022-09-12T06-00-00.000-size.json"), "").expect("written");
    fs::write(rig.path("data-2022-09-12T07-30-00.000-time.json"), "").expect("written");
    fs::write(rig.path("data-2022-09-01T07-30-00.000-copy.json"), "not ours").expect("written");
    rig.write("1\n").expect("written");
    rig.write("2\n").expect("written");
    let expected = [
        "data-2022-09-01T07-30-00.000-copy.json",
        "data-2022-09-12T07-30-00.000-time.json",
        "data-2022-09-14T07-02-14.173.json",
        "data.json",
    ];
    assert_eq!(names(&rig.folder), expected);
}

#[test]
fn a_file_that_cannot_be_replaced_takes_nothing_until_it_can() {
    let rig = Rig::new(rotating(5, None));
    rig.write("1234\n").expect("fits");
    rig.disk.0.no_rename.store(true, SeqCst);
    let error = rig.write("5678\n").expect_err("cannot be replaced");
    assert!(error.to_string().starts_with("cannot replace"), "{error}");
    assert_eq!(rig.text("data.json"), "1234\n", "it does not grow without bound");
    rig.disk.0.no_rename.store(false, SeqCst);
    rig.disk.0.no_open.store(true, SeqCst);
    rig.write("5678\n").expect_err("the new one cannot be made");
    rig.disk.0.no_open.store(false, SeqCst);
    rig.write("5678\n").expect("written");
    assert_eq!(rig.text("data.json"), "5678\n");
    assert_eq!(rig.text("data-2022-09-14T05-02-14.173.json"), "1234\n");
}

#[test]
fn others_may_move_or_truncate_the_file() {
    let rig = Rig::new(layout());
    rig.write("1\n").expect("written");
    fs::rename(rig.path("data.json"), rig.path("data.json.1")).expect("moved");
    rig.write("2\n").expect("written");
    fs::OpenOptions::new().write(true).truncate(true).open(rig.path("data.json")).expect("truncated");
    rig.write("3\n").expect("written");
    fs::remove_file(rig.path("data.json.1")).expect("removed");
    assert_eq!(rig.text("data.json"), "3\n");
}

#[test]
fn the_files_that_were_not_used_for_longest_are_closed_and_not_truncated_later() {
    let rig = Rig::new(Layout { max_open_files: 2, ..layout() });
    for round in ["1\n", "2\n"] {
        for name in ["a", "b", "c", "d"] {
            rig.write_at(&[(name, round)], september()).expect("written");
        }
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(rig.text(name), "1\n2\n", "{name}");
    }
}

#[test]
fn the_newest_exporter_says_how_files_are_written() {
    let rig = Rig::new(layout());
    let (old, new) = (rig.sink.ticket(), rig.sink.ticket());
    rig.sink.claim(old, &layout(), september());
    let before = rig.sink.layout();
    rig.write("json\n").expect("written");
    let proto = Layout { format: Format::Proto, ..layout() };
    rig.sink.claim(new, &proto, september());
    let stale = rig.sink.write(&before, &[], september());
    assert!(matches!(stale, Err(WriteError::Stale)), "written in the new way, or not");
    rig.sink.claim(old, &layout(), september());
    assert_eq!(rig.sink.layout().format, Format::Proto, "the former one is not heard any more");
    rig.write("proto").expect("written");
    assert_eq!(rig.text("data.json"), "proto", "no file has two formats");

    let rotated = Layout { format: Format::Json, ..rotating(100, None) };
    rig.sink.claim(rig.sink.ticket(), &rotated, september());
    rig.write("json\n").expect("written");
    assert_eq!(rig.text("data.json"), "json\n");
    assert_eq!(rig.text("data-2022-09-14T05-02-14.173.json"), "proto", "moved aside");
    let more = Layout { rotation: None, ..layout() };
    rig.sink.claim(rig.sink.ticket(), &more, september());
    rig.write("more\n").expect("written");
    assert_eq!(rig.text("data.json"), "json\nmore\n", "the same format goes on");
}
