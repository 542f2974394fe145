//! Losses of power, thousands of them: what was answered with `fsync` is there afterwards.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::tests::{entry, id_of, open, options, read_all};
use super::*;
use crate::disk::simulated::{Fault, SimulatedDisk};

/// What is known of the ids that were handed to a log.
#[derive(Default)]
struct Book {
    /// Answered, and not marked as done.
    owed: BTreeSet<u64>,
    /// Handed over at some time, with the sizes of their bodies.
    known: BTreeMap<u64, usize>,
    /// Whether nothing that is done may come again: the power stayed, and every mark could be written.
    is_exact: bool,
}

/// One life of a log and its losses of power.
fn live(seed: u64, fsync: bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = SimulatedDisk::default();
    let options = Options { fsync, ..options() };
    let mut book = Book::default();
    let mut next_id = 0;
    for life in 0..3 {
        let mut log = open(&disk, options);
        let found = read_all(&mut log);
        let ids: Vec<u64> = found.iter().map(id_of).collect();
        let unique: BTreeSet<u64> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "seed {seed}, life {life}: an id twice in {ids:?}");
        assert!(ids.iter().all(|id| book.known.contains_key(id)), "seed {seed}: an id nobody handed over");
        if fsync {
            let lost: Vec<_> = book.owed.difference(&unique).collect();
            assert!(lost.is_empty(), "seed {seed}, life {life}: lost {lost:?}");
        }
        if book.is_exact {
            assert_eq!(book.owed, unique, "seed {seed}, life {life}: the process was killed, and no more");
        }
        assert_eq!(log.held().records, found.len() as u64, "seed {seed}, life {life}");
        (book.owed, book.is_exact) = (unique, true);
        let mut numbers: BTreeMap<u64, (u64, Weight)> =
            found.iter().map(|record| (id_of(record), (record.number, record.weight))).collect();
        for _ in 0..random.random_range(1..40) {
            match random.random_range(0..10) {
                0..5 => {
                    let count = random.random_range(1..5);
                    let entries: Vec<Entry> = (next_id..next_id + count)
                        .map(|id| {
                            let len = random.random_range(0..300);
                            book.known.insert(id, len);
                            entry(id, len)
                        })
                        .collect();
                    for (place, outcome) in log.append(&entries).into_iter().enumerate() {
                        let id = next_id + place as u64;
                        if let Ok(number) = outcome {
                            book.owed.insert(id);
                            numbers.insert(id, (number, entries[place].weight));
                        }
                    }
                    next_id += count;
                }
                5..9 => {
                    let picked: Vec<u64> =
                        book.owed.iter().copied().filter(|_| random.random_range(0..3) == 0).collect();
                    let marks: Vec<(u64, Weight)> = picked.iter().map(|id| numbers[id]).collect();
                    book.is_exact &= log.mark(&marks).is_ok();
                    book.owed.retain(|id| !picked.contains(id));
                }
                _ => {
                    let faults = [None, None, Some(Fault::Write), Some(Fault::Sync)];
                    disk.fail(faults[random.random_range(0..faults.len())]);
                    disk.limit((random.random_range(0..4) == 0).then(|| disk.used() + 700));
                }
            }
        }
        disk.fail(None);
        disk.limit(None);
        let held: Vec<u64> = read_all(&mut log).iter().map(id_of).collect();
        assert!(held.iter().eq(&book.owed), "seed {seed}, life {life}: {held:?}, not {:?}", book.owed);
        drop(log);
        match random.random_range(0..4) {
            // The process is killed: the disk has everything.
            0 => {}
            _ => {
                disk.lose_power(&mut |below| random.random_range(0..below));
                book.is_exact = false;
            }
        }
    }
}

/// `PHOENIX_POWER_SEEDS` says how many; the long form of the faults suite takes 10,000.
fn seeds() -> u64 {
    std::env::var("PHOENIX_POWER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000)
}

#[test]
fn what_was_answered_with_fsync_survives_every_loss_of_power() {
    (0..seeds()).for_each(|seed| live(seed, true));
}

#[test]
fn without_fsync_a_loss_of_power_may_cost_data_but_nothing_is_invented_or_doubled() {
    (0..seeds()).for_each(|seed| live(seed, false));
}
