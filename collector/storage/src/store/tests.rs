use std::sync::mpsc;

use super::*;
use crate::disk::simulated::SimulatedDisk;
use crate::{AppendError, Entry, Place, Weight};

const PATIENCE: Duration = Duration::ZERO;

fn simulated(disk: &SimulatedDisk, options: Options) -> Store {
    Store::on_disk(Arc::new(disk.clone()), Path::new("/store"), PATIENCE, options).expect("open")
}

fn entry(id: u64) -> Entry {
    Entry { weight: Weight::of(id, 8), body: vec![id.to_le_bytes().to_vec().into()] }
}

/// Appends, and waits for the answer.
fn append(client: &Arc<Client>, id: u64) -> Result<u64, AppendError> {
    let (answer, answered) = mpsc::channel();
    client.append(entry(id), move |outcome| {
        answer.send(outcome.map(|place| place.number)).expect("somebody waits")
    });
    answered.recv().expect("answered")
}

fn items(client: &Client) -> Vec<u64> {
    let (_, end) = client.held_below();
    let chunk = client.read(0, end, bytes::Bytes::from).expect("readable").unwrap_or_default();
    chunk.records.iter().map(|record| record.weight.items).collect()
}

#[test]
fn one_record_is_read_wherever_it_stands() {
    let disk = SimulatedDisk::default();
    let options = Options { segment_bytes: 600, ..Options::default() };
    let store = simulated(&disk, options);
    let client = store.client("one").expect("open");
    let body = |id: u64| vec![id as u8; 50 + id as usize];
    let append = |id: u64| {
        let (answer, answered) = mpsc::channel();
        let entry = Entry { weight: Weight::of(1, 1), body: vec![body(id).into()] };
        client.append(entry, move |outcome| answer.send(outcome.expect("room")).expect("somebody waits"));
        answered.recv().expect("answered")
    };
    let places: Vec<Place> = (0..40).map(append).collect();
    for (id, place) in places.iter().enumerate().rev().map(|(id, place)| (id as u64, place)) {
        assert_eq!(client.read_one(*place, body(id).len()).expect("readable"), body(id), "{id}");
    }
    let at = |path: &str| Path::new("/store/one.queue").join(path);
    disk.damage(&at("00000000000000000001.log"), places[2].offset as usize + 60);
    assert!(client.read_one(places[2], body(2).len()).is_err(), "damaged");
    assert!(client.read_one(places[1], body(1).len()).is_ok(), "and those beside it are not");
    assert!(client.read_one(Place { number: 1000, ..places[1] }, 50).is_err(), "nobody's");
}

#[test]
fn clients_share_a_directory_and_nobody_else_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = Store::prepare(&dir.path().join("a/b"), Some(0o750)).expect("made");
    let store = Store::open(&path, PATIENCE, Options::default()).expect("open");
    let (one, two) = (store.client("one").expect("open"), store.client("two").expect("open"));
    assert!(Arc::ptr_eq(&one, &store.client("one").expect("open")));
    assert_eq!((append(&one, 1), append(&two, 2), append(&one, 3)), (Ok(1), Ok(1), Ok(2)));
    let refused = Store::open(&path, PATIENCE, Options::default()).err().expect("refused");
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    assert!(matches!(Store::prepare(&dir.path().join("c"), None), Err(OpenError::Missing { .. })));

    one.mark(1, Weight::of(1, 8));
    // The clients keep the directory.
    drop(store);
    assert!(Store::open(&path, PATIENCE, Options::default()).is_err());
    drop((one, two));
    // The thread may still hold a client for the mark that it is about to write.
    let patience = Duration::from_secs(10);
    let store = Store::open(&path, patience, Options::default()).expect("it was let go of");
    assert_eq!(items(&store.client("one").expect("open")), [3], "the mark was written before the end");
    assert_eq!(items(&store.client("two").expect("open")), [2]);
}

#[test]
fn answers_come_in_the_order_of_the_log_and_share_their_syncs() {
    let disk = SimulatedDisk::default();
    let store = simulated(&disk, Options { fsync: true, ..Options::default() });
    let client = store.client("one").expect("open");
    let before = disk.syncs();
    let (answer, answered) = mpsc::channel();
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let (client, answer) = (client.clone(), answer.clone());
            std::thread::spawn(move || {
                for turn in 0..500 {
                    let answer = answer.clone();
                    let id = turn * 4 + thread;
                    client.append(entry(id), move |outcome| {
                        answer.send((outcome.expect("appended").number, id)).expect("somebody waits");
                    });
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    drop(answer);
    let answers: Vec<(u64, u64)> = answered.iter().collect();
    assert!(answers.iter().map(|(number, _)| *number).eq(1..=2000), "one after the other");
    assert_eq!(items(&client), answers.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    let syncs = disk.syncs() - before;
    assert!((1..2000).contains(&syncs), "{syncs}");
}

#[test]
fn one_at_a_time_reads_and_one_that_panics_costs_nobody_else() {
    let store = simulated(&SimulatedDisk::default(), Options::default());
    let client = store.client("one").expect("open");
    let claim = client.try_claim().expect("nobody reads");
    assert!(client.try_claim().is_none());
    drop(claim);
    assert!(client.try_claim().is_some());
    client.append(entry(1), |_| panic!("whoever waits has a bug"));
    assert_eq!(append(&client, 2), Ok(2));
}

#[test]
fn what_ends_before_it_begins_has_nothing_to_be_read() {
    let store = simulated(&SimulatedDisk::default(), Options::default());
    let client = store.client("one").expect("open");
    (1..=5).for_each(|id| assert_eq!(append(&client, id), Ok(id)));
    // The log goes on behind it, as where somebody else appends.
    for (from, until) in [(3, 3), (5, 2), (9, 9), (9, 3)] {
        assert!(client.read(from, until, bytes::Bytes::from).expect("readable").is_none(), "{from}..{until}");
    }
}
