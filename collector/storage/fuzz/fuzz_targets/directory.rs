//! A log with bytes changed behind its back: it opens, gives what it has, and takes more.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use phoenix_storage::disk::{Disk as _, simulated::SimulatedDisk};
use phoenix_storage::{Entry, Log, OpenError, Options, Weight};

const DIR: &str = "/fuzz";

fn open(disk: &SimulatedDisk) -> Result<Log, OpenError> {
    let options = Options { segment_bytes: 600, marks_bytes: 400, ..Options::default() };
    Log::open(Arc::new(disk.clone()), Path::new(DIR), options)
}

// Two bytes at a time: which file, and where in it a bit flips.
fuzz_target!(|data: &[u8]| {
    let disk = SimulatedDisk::default();
    let mut log = open(&disk).expect("an empty disk");
    let entry = || Entry { weight: Weight::of(1, 40), body: vec![vec![7_u8; 40].into()] };
    let entries: Vec<Entry> = (0..30).map(|_| entry()).collect();
    assert!(log.append(&entries).iter().all(Result::is_ok));
    let done: Vec<(u64, Weight)> = (3..9).map(|number| (number, Weight::of(1, 40))).collect();
    log.mark(&done).expect("marked");
    drop(log);
    let mut names = disk.list(Path::new(DIR)).expect("a folder");
    names.sort();
    for flip in data.chunks_exact(3) {
        let name = &names[usize::from(flip[0]) % names.len()];
        disk.damage(&Path::new(DIR).join(name), usize::from(u16::from_le_bytes([flip[1], flip[2]])));
    }
    // Flips may make a later version of a header: that alone is refused.
    let Ok(mut log) = open(&disk) else { return };
    assert!(log.held().records <= 30);
    let number = log.append(&[entry()]).remove(0).expect("appended");
    assert!(number > 0);
    drop(log);
    assert!(open(&disk).expect("open again").held().records >= 1);
});
