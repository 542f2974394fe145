//! A collector that is killed, over and over, on a disk that loses what was not synced: what was answered counts, once.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use phoenix_component::{AckWait, Refusal};
use phoenix_storage::Options;
use phoenix_storage::disk::simulated::{Fault, SimulatedDisk};
use proptest::prelude::*;

use super::ha::{counted, of_replica, sent_by_two, silences, windows_of};
use super::properties::{PODS, model, named, settings_with, shuffle, stories, tell, window_of};
use super::*;

const DURABLE: &str = r#", "storage": "file_storage", "durable": true"#;

/// Wakes a thread.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for the thread of the log.
fn answer(wait: AckWait) -> Result<(), Refusal> {
    block_on(wait)
}

fn block_on<T>(wait: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut wait = pin!(wait);
    loop {
        match wait.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A collector with its disk.
struct Life {
    disk: SimulatedDisk,
    settings: AggregatorConfig,
    /// Goes before the store does.
    bare: Option<(Bare, Store)>,
}

impl Life {
    fn new(settings: AggregatorConfig) -> Life {
        let mut life = Life { disk: SimulatedDisk::default(), settings, bare: None };
        life.start();
        life
    }

    fn start(&mut self) {
        let options = Options { fsync: true, ..Options::default() };
        let disk = Arc::new(self.disk.clone());
        let store = Store::on_disk(disk, Path::new("/state"), Duration::ZERO, options).expect("it is free");
        let mut bare = Bare::with_store(&self.settings, &place(), Some(&store));
        // So little at a time that captures and windows meet requests.
        bare.aggregator.portion = 5;
        self.bare = Some((bare, store));
    }

    fn bare(&mut self) -> &mut Bare {
        &mut self.bare.as_mut().expect("it runs").0
    }

    fn journal(&self) -> Arc<phoenix_storage::Client> {
        let (_, store) = self.bare.as_ref().expect("it runs");
        store.client("processor_aggregator_metrics_journal").expect("it is open")
    }

    fn send(&mut self, points: &[In]) -> AckWait {
        self.send_batch(request(points))
    }

    fn send_batch(&mut self, batch: Batch) -> AckWait {
        let (ack, wait) = Ack::pair();
        let fragment = Fragment { batch, ack };
        self.bare().call(|aggregator, now, out| aggregator.ingest(fragment, now, out));
        wait
    }

    /// Another configuration takes over, in the same process.
    fn swap(&mut self) {
        let (mut old, store) = self.bare.take().expect("it runs");
        let mut bare = Bare::with_store(&self.settings, &place(), Some(&store));
        bare.aggregator.adopt_from(&mut old.aggregator);
        bare.aggregator.portion = 5;
        bare.found = old.take();
        bare.tick();
        self.bare = Some((bare, store));
    }

    /// Ends the process, and the power with it. What it had let out is out.
    fn kill(&mut self, random: &mut dyn FnMut(usize) -> usize) -> Vec<Out> {
        let found = self.bare().take();
        // The thread of the log ends with the process: here it must have ended before the next one starts.
        block_on(self.journal().flush());
        self.bare = None;
        self.disk.lose_power(random);
        self.disk.fail(None);
        self.start();
        found
    }
}

/// What a window came out as; it may come out again, but never otherwise.
fn note(windows: &mut BTreeMap<(String, u64), i64>, found: Vec<Out>) {
    for out in found {
        let Value::Int(value) = out.value else { panic!("{out:?}") };
        let key = (out.name, window_of(out.time as u64));
        let before = windows.insert(key.clone(), value);
        assert!(before.is_none_or(|before| before == value), "{key:?}: {before:?}, then {value}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_answered_counts_once_whenever_it_is_killed(
        stories in stories(),
        jitter in prop::collection::vec(0u64..1000, 1..80),
        cuts in prop::collection::vec(1usize..8, 1..40),
        steps in prop::collection::vec(0u8..10, 1..40),
        seed in any::<u64>(),
    ) {
        let told: Vec<Vec<In>> = PODS.iter().zip(&stories).map(|(pod, story)| tell(pod, story)).collect();
        let expected = named(model(&told));
        let arrivals = shuffle(&told, &jitter);
        let earliest = told.iter().flatten().min_by_key(|point| point.time).expect("points").clone();
        let mut life = Life::new(settings_with(DURABLE));
        let mut windows = BTreeMap::new();
        let mut state = seed;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below.max(1)
        };
        answer(life.send(&[earliest])).expect("taken");
        let mut rest = arrivals.as_slice();
        let mut turn = 0;
        while !rest.is_empty() {
            let (request, behind) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
            let step = steps[turn % steps.len()];
            // The disk may fail under the request, or under the checkpoint of that moment.
            life.disk.fail([Some(Fault::Write), Some(Fault::Sync)].get(usize::from(step)).copied().flatten());
            let answered = answer(life.send(request));
            prop_assert_eq!(answered.is_ok(), step > 1);
            match step {
                // Its sender has not heard that it was taken, so it comes again; it may count already.
                0..=2 => {
                    note(&mut windows, life.kill(&mut random));
                    answer(life.send(request)).expect("taken");
                }
                3 => note(&mut windows, life.kill(&mut random)),
                4 | 5 => life.bare().aggregator.begin_checkpoint(),
                6 => {
                    life.disk.fail(Some(Fault::Write));
                    life.bare().aggregator.write_checkpoint();
                    life.disk.fail(None);
                }
                7 => life.bare().tick(),
                8 => life.swap(),
                _ => {}
            }
            rest = behind;
            turn += 1;
        }
        note(&mut windows, life.bare().take());
        let bare = life.bare();
        for _ in 0..1000 {
            bare.tick();
        }
        note(&mut windows, bare.take());
        bare.aggregator.portion = usize::MAX;
        let found = bare.drain();
        note(&mut windows, found);
        let without_zeros = |windows: BTreeMap<(String, u64), i64>| -> BTreeMap<(String, u64), i64> {
            windows.into_iter().filter(|((name, _), value)| name != "counter" || *value != 0).collect()
        };
        prop_assert_eq!(without_zeros(windows.clone()), without_zeros(expected));
        let books = bare.aggregator.plans[0].books;
        let total: i64 = windows.iter().filter(|((name, _), _)| name == "counter").map(|(_, value)| *value).sum();
        prop_assert_eq!(books.taken.value(), Number::Int(total));
        prop_assert_eq!(books.let_out.value(), Number::Int(total));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// What a replica sent that did not count was answered as well: it must be there when it takes over, whenever the
    /// collector was killed in between, and whether that is in a checkpoint or in the journal.
    #[test]
    fn what_waits_of_a_replica_lasts_however_it_is_killed(
        silent_a in silences(),
        silent_b in silences(),
        growth in prop::collection::vec(0i64..20, 1..30),
        cuts in prop::collection::vec(1usize..6, 1..30),
        steps in prop::collection::vec(0u8..8, 1..40),
        cumulative in any::<bool>(),
    ) {
        let sent = sent_by_two(&silent_a, &silent_b, &growth, cumulative);
        let mut expected = windows_of(&counted(&sent, 30), cumulative);
        prop_assume!(!expected.is_empty());
        let settings = rule(
            r#""interval": "20s", "by": [], "outputs": ["increase"]"#,
            r#""ha": {"cluster": "team"}, "watermark": {"out_of_order": "5s"}, "flush_on_shutdown": true, "first_sample": "count", "storage": "file_storage", "durable": true"#,
        );
        let mut life = Life::new(settings);
        let mut windows = BTreeMap::new();
        let (mut rest, mut turn) = (sent.as_slice(), 0);
        while let Some((replica, _)) = rest.first() {
            let most = cuts[turn % cuts.len()];
            let count = rest.iter().take(most).take_while(|(other, _)| other == replica).count();
            let points: Vec<In> = rest[..count].iter().map(|(_, point)| point.clone()).collect();
            answer(life.send_batch(of_replica(replica, true, &points))).expect("taken");
            match steps[turn % steps.len()] {
                0 => note(&mut windows, life.kill(&mut |_| 0)),
                1 => life.bare().aggregator.begin_checkpoint(),
                2 => life.bare().aggregator.write_checkpoint(),
                3 => life.bare().tick(),
                4 => life.swap(),
                _ => {}
            }
            rest = &rest[count..];
            turn += 1;
        }
        let bare = life.bare();
        for _ in 0..1000 {
            bare.tick();
        }
        bare.aggregator.portion = usize::MAX;
        let found = bare.drain();
        note(&mut windows, found);
        let mut found: BTreeMap<u64, i64> = BTreeMap::new();
        for ((_, end), value) in windows {
            *found.entry(end).or_default() += value;
        }
        expected.retain(|_, value| *value != 0);
        found.retain(|_, value| *value != 0);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_full_disk_refuses_and_counts_nothing_twice() {
    let settings = settings_with(DURABLE);
    let mut life = Life::new(settings);
    answer(life.send(&[point("a", DELTA, 100, 105, 1)])).expect("taken");
    life.disk.limit(Some(life.disk.used()));
    let refused = answer(life.send(&[point("a", DELTA, 105, 110, 2)])).expect_err("there is no room");
    assert!(refused.is_retryable() && refused.to_string().contains("disk"), "{refused}");
    life.disk.limit(None);
    answer(life.send(&[point("a", DELTA, 105, 110, 2)])).expect("taken");
    assert_eq!(life.kill(&mut |_| 0), []);
    answer(life.send(&[point("a", DELTA, 110, 180, 4)])).expect("taken");
    for _ in 0..100 {
        life.bare().tick();
    }
    assert_eq!(values(&life.bare().take()), [(120.0, Value::Int(3))]);
}

#[test]
fn a_checkpoint_truncates_the_journal() {
    let mut life = Life::new(settings_with(DURABLE));
    for time in 101..200 {
        answer(life.send(&[point("a", DELTA, time - 1, time, 1)])).expect("taken");
    }
    assert_eq!(life.journal().held().records, 99);
    life.bare().aggregator.write_checkpoint();
    assert_eq!(life.journal().held().records, 99, "marks are written with what comes next");
    answer(life.send(&[point("a", DELTA, 199, 200, 1)])).expect("taken");
    assert_eq!(life.journal().held().records, 1);
}
