//! Within one run.

use phoenix_storage::disk::simulated::Fault;

use super::*;

#[test]
fn many_times_of_what_memory_holds_waits_its_whole_time_and_nothing_is_lost() {
    let disk = SimulatedDisk::default();
    let mut run = Run::new(&format!("{{decision_wait: 60s, {SPILL}}}}}, {ALL}}}"), &disk);
    // About 8 MB, over 20 seconds.
    let mut most = 0;
    for n in 0..200 {
        assert_eq!(run.send(15 * n..15 * (n + 1), 9), 15);
        run.advance(0.1);
        most = most.max(run.harness.held().bytes);
    }
    assert!(most < 1_300_000, "{most} bytes in memory");
    assert_eq!(run.harness.held().items, 27_000);
    assert!(run.sum("spilled_bytes", &[]) > 5_000_000);
    assert_eq!(run.sum("early_decisions", &[]), 0);
    run.advance(39.0);
    assert!(run.kept().is_empty(), "not before their time");
    run.advance(25.0);
    assert_same(&run.kept(), &whole(0..3000, 9));
    assert!(run.sum("spill_reads", &[]) > 20);
    run.store.step();
    run.harness.books().assert_balanced();
    assert!(disk.used() < 2_000_000, "{} bytes stay on the disk", disk.used());
}

#[test]
fn a_trace_that_is_not_kept_is_never_read() {
    let disk = SimulatedDisk::default();
    let policies = "policies: [{name: none, type: span_count, span_count: {min_spans: 100}}]";
    let mut run = Run::new(&format!("{{decision_wait: 30s, {SPILL}}}}}, {policies}}}"), &disk);
    run.send(0..2000, 9);
    run.advance(31.0);
    assert!(run.kept().is_empty());
    assert!(run.sum("spilled_bytes", &[]) > 3_000_000);
    assert_eq!(run.sum("spill_reads", &[]), 0);
    assert_eq!(run.harness.held().items, 0);
}

#[test]
fn spans_that_come_for_a_trace_on_disk_join_it() {
    for strategy in ["trace-complete", "span-ingest"] {
        let disk = SimulatedDisk::default();
        let yaml = format!("{{decision_wait: 30s, sampling_strategy: {strategy}, {SPILL}}}}}, {ERRORS}}}");
        let mut run = Run::new(&yaml, &disk);
        // None of them has failed yet.
        for n in 1..2000 {
            run.harness.send(request(&[(n, 9, false)])).expect("there is room");
        }
        // An error that comes last decides about everything before it.
        let failed = [1, 777, 1999];
        for n in failed {
            run.harness.send(request(&[(n, 1, true)])).expect("there is room");
        }
        run.advance(1.0);
        assert_eq!(run.kept().len(), if strategy == "span-ingest" { 3 } else { 0 }, "{strategy}");
        run.harness.send(request(&[(777, 1, false)])).expect("there is room");
        run.advance(30.0);
        run.store.step();
        assert_eq!(run.harness.held().items, 0, "{strategy}");
        assert!(run.sum("spill_reads", &[]) > 0);
    }
}

#[test]
fn memory_and_disk_together_decide_as_memory_alone() {
    for seed in 0..6_u64 {
        let mut runs = ["max_bytes: 100000000", "max_bytes: 2000000, spill: {storage: s, memory_share: 0.3}"].map(
            |buffer| {
                let yaml = format!(
                    "{{decision_wait: 20s, decision_wait_after_root_received: 5s, num_shards: 2, buffer: {{{buffer}}}, \
                     policies: [{{name: e, type: status_code, status_code: {{status_codes: [ERROR]}}}}, \
                     {{name: b, type: baseline, baseline: {{sampling_percentage: 20}}}}]}}"
                );
                Run::new(&yaml, &SimulatedDisk::default())
            },
        );
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..400 {
            let traces: Vec<(u64, usize, bool)> =
                (0..1 + random(4)).map(|_| (random(900), 1 + random(12) as usize, random(40) == 0)).collect();
            let pause = if random(10) == 0 { 0.3 } else { 0.0 };
            for run in &mut runs {
                run.harness.send(request(&traces)).expect("there is room");
                run.advance(pause);
            }
        }
        let [mut alone, mut together] = runs;
        let mut kept = [&mut alone, &mut together].map(|run| {
            run.advance(40.0);
            run.harness.books().assert_balanced();
            run.kept()
        });
        assert!(together.sum("spill_reads", &[]) > 0, "seed {seed}");
        // Those of one trace come in their order, unless they came late.
        kept.iter_mut().flat_map(Kept::values_mut).for_each(|spans| spans.sort_unstable());
        assert_same(&kept[1], &kept[0]);
    }
}

#[test]
fn a_disk_that_is_full_or_fails_leaves_spans_in_memory_and_the_ladder_in_force() {
    for fault in [None, Some(Fault::Write)] {
        let disk = SimulatedDisk::default();
        let mut run = Run::new(&format!("{{decision_wait: 60s, {SPILL}}}}}, {ALL}}}"), &disk);
        match fault {
            None => disk.limit(Some(500_000)),
            fault => disk.fail(fault),
        }
        let mut kept = Kept::new();
        let mut sent = Vec::new();
        for n in 0..3000 {
            if run.send(n..n + 1, 9) == 1 {
                sent.push(n);
            }
            if n % 20 == 0 {
                run.advance(0.2);
                kept.append(&mut run.kept());
            }
            assert!(run.harness.held().bytes < 1_900_000);
        }
        assert!(run.sum("spill_failures", &[("operation", "write")]) > 0);
        assert!(run.sum("early_decisions", &[]) > 0, "what does not fit is decided early");
        assert_eq!(run.sum("spill_lost_spans", &[]), 0);
        run.harness.drain();
        kept.append(&mut run.kept());
        // The last step of the ladder lets a share of new traces in, as without a disk; nothing else is missing.
        let refused = run.sum("stress_sampled", &[]);
        assert!(kept.values().all(|spans| spans.len() == 9), "{fault:?}");
        assert_eq!(kept.len() as i64 + refused / 9, sent.len() as i64, "{fault:?}");
    }
}

#[test]
fn a_disk_that_works_again_is_used_again() {
    let disk = SimulatedDisk::default();
    let mut run = Run::new(&format!("{{decision_wait: 60s, {SPILL}}}}}, {ALL}}}"), &disk);
    disk.fail(Some(Fault::Write));
    run.send(0..500, 9);
    run.advance(1.0);
    assert_eq!(run.sum("spilled_bytes", &[]), 0);
    disk.fail(None);
    run.advance(6.0);
    run.send(500..510, 9);
    run.advance(1.0);
    assert!(run.sum("spilled_bytes", &[]) > 0);
    run.advance(60.0);
    assert_same(&run.kept(), &whole(0..510, 9));
}

#[test]
fn no_more_is_on_disk_than_may_be() {
    let disk = SimulatedDisk::default();
    let mut run = Run::new(&format!("{{decision_wait: 60s, {SPILL}, max_bytes: 1048576}}}}, {ALL}}}"), &disk);
    let mut kept = Kept::new();
    for n in 0..600 {
        run.send(20 * n..20 * (n + 1), 9);
        run.advance(0.1);
        kept.append(&mut run.kept());
        assert!(disk.used() < 1_300_000, "{}", disk.used());
    }
    assert!(run.sum("spill_failures", &[("operation", "full")]) > 0);
    assert!(run.sum("spilled_bytes", &[]) > 0);
    run.harness.drain();
    kept.append(&mut run.kept());
    assert!(kept.values().all(|spans| spans.len() == 9));
}

#[test]
fn a_read_that_fails_is_tried_again_and_then_counted() {
    for is_lasting in [false, true] {
        let disk = SimulatedDisk::default();
        let mut run = Run::new(&format!("{{decision_wait: 30s, {SPILL}}}}}, {ALL}}}"), &disk);
        run.send(0..1000, 9);
        disk.fail(Some(Fault::Read));
        run.advance(30.06);
        if !is_lasting {
            disk.fail(None);
        }
        run.advance(5.0);
        run.harness.books().assert_balanced();
        assert_eq!(run.harness.held().items, 0);
        let (kept, lost) = (run.kept(), run.sum("spill_lost_spans", &[]));
        assert!(run.sum("spill_failures", &[("operation", "read")]) > 0);
        let spans: usize = kept.values().map(Vec::len).sum();
        assert_eq!(spans as i64 + lost, 9000);
        assert_eq!(lost > 0, is_lasting, "{lost}");
        if !is_lasting {
            assert_same(&kept, &whole(0..1000, 9));
        }
    }
}

#[test]
fn an_end_decides_about_what_is_on_disk_and_leaves_nothing() {
    let disk = SimulatedDisk::default();
    let yaml = format!("{{decision_wait: 60s, {SPILL}}}}}, {ERRORS}}}");
    let mut run = Run::new(&yaml, &disk);
    run.send(0..2000, 9);
    run.advance(1.0);
    assert!(run.sum("spilled_bytes", &[]) > 3_000_000);
    let expected = whole((0..2000).filter(|n: &u64| n.is_multiple_of(10)), 9);
    assert_same(&run.end(), &expected);
    let mut next = Run::new(&yaml, &disk);
    next.advance(1.0);
    assert_eq!(next.harness.held().items, 0);
    assert_eq!(next.sum("spill_restored_spans", &[]), 0);
}

#[test]
fn a_disk_that_never_answers_costs_nothing_that_is_in_memory() {
    for at_end in ["decide", "keep"] {
        let yaml = format!("{{decision_wait: 60s, {SPILL}, on_shutdown: {at_end}}}}}, {ALL}}}");
        let hangs = |store: &Arc<Store>, host: &Host, shards: usize| {
            let worker = Worker::AtOnce(Mutex::default(), Box::new(|| {}));
            Files::open(store, ("tail_sampling", "traces"), shards, &host.metrics, worker).expect("open")
        };
        let mut run = Run::on(&yaml, &SimulatedDisk::default(), hangs);
        run.send(0..600, 9);
        run.advance(1.0);
        run.harness.drain();
        run.harness.books().assert_balanced();
        assert_same(&run.kept(), &whole(0..600, 9));
    }
}
