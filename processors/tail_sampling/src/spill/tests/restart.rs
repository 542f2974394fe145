//! Over restarts, crashes and changes of settings.

use phoenix_component::{Adoption, Fragment, Now, Output, Stage};
use phoenix_storage::{Entry, Weight};

use super::super::block::Codec;
use super::super::{Spill, SpillRules};
use super::*;

const KEEP: &str = "on_shutdown: keep";

#[test]
fn what_waits_goes_on_to_wait_after_an_end_and_the_policies_in_force_decide() {
    let disk = SimulatedDisk::default();
    let yaml = |policies: &str| format!("{{decision_wait: 60s, {SPILL}, {KEEP}}}}}, {policies}}}");
    let mut run = Run::new(&yaml(ALL), &disk);
    // What is decided before the end does not come again, though it stood in the same segments.
    run.send(0..10, 9);
    run.advance(30.0);
    run.send(10..2000, 9);
    run.advance(31.0);
    assert_same(&run.kept(), &whole(0..10, 9));
    let end = run.harness.now();
    assert!(run.end().is_empty(), "nothing is decided at the end");

    let mut next = Run::new(&yaml(ERRORS), &disk);
    // The clock of the new run begins at 0; that of the world goes on.
    next.harness.set_unix_nanos(end.unix_nanos + 4_000_000_000);
    next.advance(1.0);
    assert!(next.sum("spill_restored_spans", &[]) > 0);
    next.advance(23.0);
    assert!(next.kept().is_empty(), "61 - 30 + 4 + 24 are less than 60");
    next.advance(3.0);
    let expected = whole((10..2000).filter(|n: &u64| n.is_multiple_of(10)), 9);
    assert_same(&next.kept(), &expected);
    assert_eq!(next.sum("spill_restored_spans", &[]), 1990 * 9);
    next.harness.books().assert_balanced();
    assert!(next.end().is_empty());
    let mut last = Run::new(&yaml(ALL), &disk);
    last.advance(100.0);
    assert!(last.kept().is_empty(), "nothing comes twice");
}

#[test]
fn shards_of_another_number_find_what_is_theirs() {
    let disk = SimulatedDisk::default();
    let yaml =
        |shards: u32| format!("{{decision_wait: 60s, num_shards: {shards}, {SPILL}, {KEEP}}}}}, {ALL}}}");
    let mut run = Run::new(&yaml(2), &disk);
    run.send(0..2000, 9);
    run.advance(1.0);
    assert!(run.end().is_empty());
    let mut next = Run::new(&yaml(3), &disk);
    next.advance(70.0);
    assert_same(&next.kept(), &whole(0..2000, 9));
}

#[test]
fn a_crash_loses_what_was_in_memory_and_nothing_else() {
    let disk = SimulatedDisk::default();
    let yaml = format!("{{decision_wait: 60s, {SPILL}}}}}, {ALL}}}");
    let mut run = Run::new(&yaml, &disk);
    run.send(0..2000, 9);
    run.advance(1.0);
    run.crash();
    let mut next = Run::new(&yaml, &disk);
    next.advance(100.0);
    let kept = next.kept();
    let all = whole(0..2000, 9);
    let spans: usize = kept.values().map(Vec::len).sum();
    assert!(spans > 9000, "{spans} of 18000");
    assert!(kept.iter().all(|(n, spans)| spans.iter().all(|span| all[n].contains(span))));
}

#[test]
fn a_loss_of_power_tears_what_was_being_written_and_the_rest_comes_back() {
    let (mut torn, mut restored) = (0, 0);
    for seed in 0..20_u64 {
        let disk = SimulatedDisk::default();
        let yaml = format!("{{decision_wait: 60s, {SPILL}}}}}, {ALL}}}");
        let mut run = Run::new(&yaml, &disk);
        run.send(0..1000, 9);
        run.advance(0.1);
        let mut state = seed;
        disk.lose_power(&mut |below| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) as usize % below
        });
        run.crash();
        let mut next = Run::new(&yaml, &disk);
        next.advance(100.0);
        next.harness.books().assert_balanced();
        let all = whole(0..1000, 9);
        let kept = next.kept();
        assert!(kept.iter().all(|(n, spans)| spans.iter().all(|span| all[n].contains(span))), "seed {seed}");
        torn += next.sum("spill_set_aside", &[]);
        restored += next.sum("spill_restored_spans", &[]);
    }
    assert!(torn > 0 && restored > 0, "{torn} torn, {restored} restored");
}

#[test]
fn what_is_damaged_or_of_another_version_is_set_aside_and_counted() {
    let disk = SimulatedDisk::default();
    let yaml = format!("{{decision_wait: 60s, {SPILL}, {KEEP}}}}}, {ALL}}}");
    let store = open(&disk);
    let client = store.client("processor_tail_sampling_traces_spill").expect("open");
    let mut foreign = Codec::default().encode(&[0; 16], &[]).expect("a block");
    foreign[4] = 99;
    let forged = Codec::default().encode(&[255; 64], &[7; 64]).expect("a block");
    for block in [b"rubbish".to_vec(), forged, foreign] {
        client.append(Entry { weight: Weight::of(5, 1), body: vec![block.into()] }, |placed| {
            placed.expect("written");
        });
    }
    store.step();
    drop((client, store));
    let mut run = Run::new(&yaml, &disk);
    run.advance(1.0);
    assert_eq!(run.sum("spill_set_aside", &[("reason", "block")]), 3);
    assert_eq!(run.sum("spill_set_aside", &[("reason", "file")]), 1);
    assert_eq!(run.sum("spill_lost_spans", &[]), 15);
    // And the disk is used as if nothing had been there.
    run.send(0..1000, 9);
    run.advance(61.0);
    assert_same(&run.kept(), &whole(0..1000, 9));
}

#[test]
fn thresholds_of_admission_survive_a_restart() {
    let disk = SimulatedDisk::default();
    let yaml = format!("{{decision_wait: 60s, {SPILL}, {KEEP}}}}}, {ALL}}}");
    let mut run = Run::new(&yaml, &disk);
    // One request that is larger than memory: what comes last of it is let in by a share.
    let many: Vec<(u64, usize, bool)> = (0..8000).map(|n| (n, 1, false)).collect();
    run.harness.send(request(&many)).expect("there was room");
    let refused = run.sum("stress_sampled", &[]);
    assert!(refused > 0);
    run.end();
    let mut next = Run::new(&yaml, &disk);
    next.advance(100.0);
    let states = next.kept().into_values().flatten().filter(|span| span.windows(6).any(|w| w == b"ot=th:"));
    assert!(states.count() > 0, "they say for how many they stand");
}

/// A shard by itself, whose successor can be given its state.
struct Swap {
    host: Host,
    _runtime: tokio::runtime::Runtime,
    now: Now,
}

impl Swap {
    fn shard(&self, yaml: &str, files: Option<Arc<Files>>) -> Box<dyn Stage> {
        let id = ComponentId::parse("tail_sampling").expect("an identifier");
        crate::stage_on(&config(yaml), &self.host, &id, files).expect("it starts").shards.remove(0)
    }

    fn run_until(&mut self, stage: &mut dyn Stage, until: Duration) -> usize {
        let mut released = 0;
        while let Some(at) = stage.wake_at().filter(|at| *at <= until) {
            self.now.monotonic = at.max(self.now.monotonic + Duration::from_nanos(1));
            let mut out = Output::with_room(4);
            stage.tick(self.now, &mut out);
            released +=
                out.take_batches().iter().map(|fragment| fragment.batch.items as usize).sum::<usize>();
        }
        self.now.monotonic = until;
        released
    }
}

#[test]
fn a_change_of_settings_takes_the_disk_along_also_where_it_is_turned_off() {
    let on = format!("{{decision_wait: 60s, {SPILL}}}}}, {ALL}}}");
    let off = format!("{{decision_wait: 60s, buffer: {{max_bytes: 2000000}}, {ALL}}}");
    for after in [&on, &off] {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let host = runtime.block_on(async { Host::for_tests() });
        let mut swap = Swap { host, _runtime: runtime, now: Now::default() };
        let disk = SimulatedDisk::default();
        let store = open(&disk);
        let first = files(&store, &swap.host, 1);
        let mut old = swap.shard(&on, Some(first));
        for n in 0..1000 {
            let fragment = Fragment { batch: request(&[(n, 9, false)]), ack: phoenix_component::Ack::none() };
            old.ingest(fragment, swap.now, &mut Output::with_room(4));
        }
        assert!(disk.used() > 100_000, "{}", disk.used());
        let second = (after == &on).then(|| files(&store, &swap.host, 1));
        let mut new = swap.shard(after, second);
        swap.run_until(&mut *new, Duration::from_secs(5));
        assert_eq!(new.adopt(&mut *old), Adoption::Kept);
        assert_eq!((old.held().items, new.held().items), (0, 9000));
        drop(old);
        assert_eq!(swap.run_until(&mut *new, Duration::from_secs(70)), 9000, "{after}");
    }
}

#[test]
fn another_disk_takes_over_once_nothing_is_on_the_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let host = runtime.block_on(async { Host::for_tests() });
    let (one, two) = (open(&SimulatedDisk::default()), open(&SimulatedDisk::default()));
    let rules = |yaml: &str| SpillRules::new(config(yaml).buffer.spill.as_ref().expect("a disk"));
    let rules = rules(&format!("{{{SPILL}}}}}, {ALL}}}"));
    let pool = Arc::new(crate::buffer::Pool::new(host.budget.clone(), 1 << 20, None));
    let mut old = Spill::new(files(&one, &host, 1), 0, rules);
    let new_files = files(&two, &host, 1);
    let ticket = old.next_ticket();
    assert!(old.has_room(100, Duration::ZERO));
    old.write(ticket, 3, Arc::new(pool.copy(&[7; 100])), (Vec::new(), 1));
    let mut spill = Spill::follow(Some(Spill::new(new_files.clone(), 0, rules)), Some(old)).expect("a disk");
    assert_eq!(spill.news(Duration::ZERO).len(), 1);
    assert!(!spill.has_room(100, Duration::ZERO), "nothing more goes to the old one");
    spill.make_way();
    spill.forget(ticket);
    spill.make_way();
    assert!(Arc::ptr_eq(&spill.files, &new_files));
    assert!(spill.has_room(100, Duration::ZERO));
}
