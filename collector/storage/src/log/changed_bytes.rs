//! Directories with bytes changed anywhere: what is read is what was appended, and the books hold. A small part of what the
//! fuzz targets do, with every test run.

use std::collections::BTreeSet;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::tests::{DIR, entry, id_of, open, options, read_all};
use super::*;
use crate::disk::simulated::SimulatedDisk;

/// One directory, changed in a few places, opened twice, and used.
fn play(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = SimulatedDisk::default();
    let count = random.random_range(1..60);
    {
        let mut log = open(&disk, options());
        let entries: Vec<Entry> = (0..count).map(|id| entry(id, random.random_range(0..200))).collect();
        assert!(log.append(&entries).iter().all(Result::is_ok));
        let all = read_all(&mut log);
        let done = all.iter().filter(|_| random.random_range(0..3) == 0);
        let marks: Vec<(u64, Weight)> = done.map(|record| (record.number, record.weight)).collect();
        log.mark(&marks).expect("written");
    }
    let names = disk.list(Path::new(DIR)).expect("a folder");
    for _ in 0..random.random_range(1..8) {
        let path = Path::new(DIR).join(&names[random.random_range(0..names.len())]);
        let file = disk.open(&path).expect("there");
        let len = file.len().expect("known");
        match random.random_range(0..4) {
            0 => file.set_len(random.random_range(0..=len)).expect("cut"),
            1 => file.set_len(len + random.random_range(0..100)).expect("grown"),
            _ if len == 0 => {}
            _ => {
                let at = random.random_range(0..len);
                let bytes = [random.random::<u8>(), random.random::<u8>()];
                let bytes = &bytes[..bytes.len().min((len - at) as usize)];
                file.write(at, &mut [std::io::IoSlice::new(bytes)]).expect("written");
            }
        }
    }
    let mut known: BTreeSet<u64> = (0..count).collect();
    for life in 0..2 {
        let mut log = open(&disk, options());
        let ids: Vec<u64> = read_all(&mut log).iter().map(id_of).collect();
        let unique: BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "seed {seed}, life {life}: an id twice in {ids:?}");
        assert!(unique.is_subset(&known), "seed {seed}, life {life}: an id that nobody appended in {ids:?}");
        assert_eq!(log.held().records, ids.len() as u64, "seed {seed}, life {life}");
        // It goes on as if nothing had been.
        let more = entry(1_000 + life, 30);
        assert!(log.append(&[more])[0].is_ok(), "seed {seed}, life {life}");
        known.insert(1_000 + life);
        let last = read_all(&mut log).last().map(id_of);
        assert_eq!(last, Some(1_000 + life), "seed {seed}, life {life}");
    }
}

#[test]
fn changed_directories_are_read_as_far_as_they_go() {
    (0..1_000).for_each(play);
}
