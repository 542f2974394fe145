//! Rules that could meet themselves, disks that are full, and books that must balance whatever comes.

use phoenix_component::Stage as _;
use proptest::prelude::*;

use super::*;

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

#[test]
fn a_rule_never_reads_what_rules_let_out() {
    // What both let out has names that both match.
    let rules = r#"{"id": "a", "interval": "10s", "by": [], "name": "m.a"}, {"id": "b", "interval": "10s", "by": [], "name": "m.b", "match": {"names": ["m*"]}}"#;
    let mut tested = Tested::new(&config(&format!(r#"{{"rules": [{rules}], {NO_WAIT}}}"#)));
    let mut found = Vec::new();
    for step in 0..6 {
        found.extend(tested.send(&[point("a", DELTA, step * 10, step * 10 + 10, 1)]));
    }
    found.extend(tested.advance(600));
    found.extend(tested.drain());
    let count =
        |name: &str| found.iter().filter(|out| out.name == name && out.value == Value::Int(1)).count();
    assert_eq!((count("m.a"), count("m.b"), found.len()), (6, 6, 12), "{found:?}");
    assert_eq!(tested.counted("points_in"), 12);
}

#[test]
fn a_full_disk_leaves_the_last_state_as_it_is_and_is_counted() {
    let directory = tempfile::tempdir().expect("a folder");
    let others = format!(r#"{NO_WAIT}, "checkpoint": {{"directory": {:?}}}"#, directory.path());
    let settings = rule(r#""by": [], "outputs": ["total"]"#, &others);
    let mut first = Bare::new(&settings, &place());
    first.send(&[point("a", DELTA, 0, 20, 4)]);
    first.drain();
    let state = std::fs::read(directory.path().join("aggregator-metrics.checkpoint")).expect("a checkpoint");
    // Whatever is written to it, the device says that there is no space left.
    let new = directory.path().join("aggregator-metrics.new");
    std::os::unix::fs::symlink("/dev/full", &new).expect("a link");
    let metrics = Metrics::default();
    let lasting = lasting(&settings, &metrics, &place(), None).expect("a file needs no store");
    let mut second = aggregator(&settings, &metrics, &place(), 7, lasting);
    let mut out = phoenix_component::Output::with_room(100);
    let now = Now { monotonic: Duration::from_secs(1000), unix_nanos: BASE + 3600 * S };
    let fragment = Fragment { batch: request(&[point("a", DELTA, 20, 40, 5)]), ack: Ack::none() };
    second.ingest(fragment, now, &mut out);
    assert_eq!(second.drain(now, &mut out), Drained::Done);
    let failed = [("outcome", "failed")];
    assert_eq!(metrics.sum("phoenix_processor_aggregator_checkpoints", &failed), 1);
    let after = std::fs::read(directory.path().join("aggregator-metrics.checkpoint")).expect("a checkpoint");
    assert!(after == state, "the state before is whole");
    std::fs::remove_file(new).expect("removed");
    let mut third = Bare::new(&settings, &place());
    third.send(&[point("a", DELTA, 40, 61, 1)]);
    third.send(&[point("a", DELTA, 61, 121, 0)]);
    assert_eq!(third.take().last().map(|out| (out.start, out.value.clone())), Some((0.0, Value::Int(5))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Late, repeated, overtaken, from several senders and over restarts: what is taken is let out, dropped or still open, to the
    /// last unit.
    #[test]
    fn increments_are_conserved_whatever_comes(
        points in prop::collection::vec((0usize..3, any::<bool>(), 0u64..300, 0u64..40, 0i64..1000), 1..80),
        lateness in 0u64..60,
        restarts in prop::collection::vec(prop::bool::weighted(0.1), 1..40),
    ) {
        let window = format!(r#"{{"out_of_order": "5s", "allowed_lateness": "{lateness}s", "partition": "none"}}"#);
        let rules = r#"{"id": "a", "interval": "20s", "by": [], "temporality": "delta"}, {"id": "b", "interval": "30s", "by": ["pod"], "temporality": "delta", "name": "b"}"#;
        let settings = config(&format!(r#"{{"rules": [{rules}], "watermark": {window}, "flush_on_shutdown": true}}"#));
        let place = place();
        let mut tested = Bare::new(&settings, &place);
        let mut found = Vec::new();
        for (index, (pod, delta, time, length, value)) in points.into_iter().enumerate() {
            let of = if delta { DELTA } else { CUMULATIVE };
            tested.send(&[point(["a", "b", "c"][pod], of, time, time + length, value)]);
            if restarts[index % restarts.len()] {
                let mut next = Bare::new(&settings, &place);
                let state = tested.aggregator.write_state();
                next.aggregator.restore_from(&state, tested.now);
                found.extend(tested.take());
                tested = next;
            }
        }
        found.extend(tested.drain());
        let whole = |total: &phoenix_series::Total| match total.value() {
            Number::Int(value) => value,
            Number::Double(value) => panic!("whole numbers stay whole: {value}"),
        };
        for (plan, name) in tested.aggregator.plans.iter().zip(["m", "b"]) {
            let books = &plan.books;
            let (taken, let_out, dropped) = (whole(&books.taken), whole(&books.let_out), whole(&books.dropped));
            prop_assert_eq!(taken, let_out + dropped, "{}", name);
            let out = found.iter().filter(|out| out.name == name);
            let sum: i64 = out.map(|out| if let Value::Int(value) = out.value { value } else { 0 }).sum();
            prop_assert_eq!(sum, let_out, "{}", name);
            let exported = |metric: &phoenix_telemetry::Gauge| metric.value();
            prop_assert_eq!(exported(&plan.metrics.taken), taken);
            prop_assert_eq!(exported(&plan.metrics.let_out), let_out);
            prop_assert_eq!(exported(&plan.metrics.dropped), dropped);
        }
    }
}
