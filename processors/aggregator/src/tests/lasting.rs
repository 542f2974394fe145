//! State over restarts and over changes of the configuration.

use phoenix_component::Stage as _;

use super::*;

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

fn with_checkpoint(settings: &str, directory: &std::path::Path, others: &str) -> AggregatorConfig {
    rule(settings, &format!(r#"{NO_WAIT}, "checkpoint": {{"directory": {directory:?}}}{others}"#))
}

#[test]
fn who_is_behind_is_not_late_for_a_restart() {
    let settings =
        rule(r#""outputs": ["increase"], "by": ["pod"]"#, r#""watermark": {"out_of_order": "5s"}"#);
    let mut first = Bare::new(&settings, &place());
    first.send(&[point("slow", DELTA, 0, 10, 1), point("fast", DELTA, 0, 10, 1)]);
    first.send(&[point("fast", DELTA, 10, 100, 1)]);
    let state = first.aggregator.write_state();
    let mut second = Bare::new(&settings, &place());
    second.aggregator.restore_from(&state, second.now);
    second.send(&[point("fast", DELTA, 100, 130, 1)]);
    assert_eq!(second.take(), [], "the slow one holds the window, as before");
    second.send(&[point("slow", DELTA, 10, 30, 2)]);
    second.send(&[point("slow", DELTA, 30, 130, 4)]);
    let found: Vec<_> = second.take().into_iter().filter(|out| out.labels.contains("slow")).collect();
    assert_eq!(values(&found)[0], (60.0, Value::Int(3)));
    // One that does not come again holds nobody for longer than without a restart.
    let mut third = Bare::new(&settings, &place());
    third.aggregator.restore_from(&state, third.now);
    third.now.monotonic += Duration::from_secs(31);
    third.send(&[point("fast", DELTA, 100, 130, 1)]);
    assert!(!third.take().is_empty());
}

#[test]
fn a_restart_goes_on_as_if_nothing_had_happened() {
    let kinds = [CUMULATIVE, DELTA, Of::Gauge, Of::UpDown];
    let all = r#""by": ["pod"], "outputs": ["sum", "total", "avg", "max", "last", "unique", "p50", "count"], "name": "{name}.{output}", "tiers": [{"interval": "2m"}]"#;
    let mut points = Vec::new();
    for step in 1..40_u64 {
        for of in kinds {
            points.push(point("a", of, 0, step * 7, (step * 13 % 50) as i64));
        }
        let mut histogram = point("a", Of::Histogram(Temporality::Delta), (step - 1) * 7, step * 7, 0);
        histogram.says = Says::Explicit(vec![1.0, 2.0], vec![step, 1, 2], 1.5);
        points.push(histogram);
        let mut exponential = point("a", Of::Exponential(Temporality::Cumulative), 0, step * 7, 0);
        exponential.says = Says::Exponential(2, -3, vec![step, 2 * step]);
        points.push(exponential);
    }
    let mut whole = Bare::new(&rule(all, NO_WAIT), &place());
    whole.send(&points);
    let expected = whole.take();
    assert!(expected.len() > 50);
    for cut in [1, 50, 101, 150] {
        let directory = tempfile::tempdir().expect("a folder");
        let settings = with_checkpoint(all, directory.path(), "");
        let mut first = Bare::new(&settings, &place());
        first.send(&points[..cut]);
        let mut found = first.drain();
        let mut second = Bare::new(&settings, &place());
        second.send(&points[cut..]);
        found.extend(second.take());
        let sorted = |mut outs: Vec<Out>| {
            outs.sort_by_key(|out| format!("{:?} {} {} {:?}", out.time, out.name, out.labels, out.kind));
            outs.sort_by_key(|out| format!("{out:?}"));
            outs
        };
        assert_eq!(sorted(found), sorted(expected.clone()), "cut at {cut}");
    }
}

#[test]
fn what_was_let_out_at_the_end_is_not_let_out_again() {
    let directory = tempfile::tempdir().expect("a folder");
    let settings = with_checkpoint("\"by\": []", directory.path(), r#", "flush_on_shutdown": true"#);
    let mut first = Bare::new(&settings, &place());
    first.send(&[point("a", DELTA, 0, 20, 4), point("a", DELTA, 20, 40, 5)]);
    let found = first.drain();
    assert_eq!((values(&found), found[0].start, found[0].partial), (vec![(40.0, Value::Int(9))], 0.0, true));
    let mut second = Bare::new(&settings, &place());
    second.send(&[point("a", DELTA, 40, 50, 1), point("a", DELTA, 50, 61, 2)]);
    let found = second.take();
    assert_eq!((values(&found), found[0].start, found[0].partial), (vec![(60.0, Value::Int(1))], 40.0, true));
}

#[test]
fn a_state_that_cannot_be_read_is_left_alone_and_the_start_is_fresh() {
    let directory = tempfile::tempdir().expect("a folder");
    let settings = with_checkpoint("\"by\": [], \"outputs\": [\"total\"]", directory.path(), "");
    let mut first = Bare::new(&settings, &place());
    first.send(&[point("a", DELTA, 0, 20, 4)]);
    assert_eq!(first.drain(), []);
    let path = directory.path().join("aggregator-metrics.checkpoint");
    let mut bytes = std::fs::read(&path).expect("a checkpoint");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let mut second = Bare::new(&settings, &place());
    second.send(&[point("a", DELTA, 20, 61, 5)]);
    second.send(&[point("a", DELTA, 61, 121, 1)]);
    let found = second.take();
    assert_eq!((found[0].start, &found[0].value), (20.0, &Value::Int(5)), "a new series: {found:?}");
}

#[test]
fn a_state_of_a_later_version_is_set_aside_for_who_can_read_it() {
    let directory = tempfile::tempdir().expect("a folder");
    let settings = with_checkpoint("\"by\": [], \"outputs\": [\"total\"]", directory.path(), "");
    let mut first = Bare::new(&settings, &place());
    first.send(&[point("a", DELTA, 0, 20, 4)]);
    assert_eq!(first.drain(), []);
    let path = directory.path().join("aggregator-metrics.checkpoint");
    let mut future = std::fs::read(&path).expect("a checkpoint");
    future[8] += 1;
    std::fs::write(&path, &future).expect("written");
    let mut second = Tested::new(&settings);
    second.send(&[point("a", DELTA, 20, 61, 5)]);
    second.drain();
    let unreadable = [("outcome", "unreadable")];
    assert_eq!(second.metrics.sum("phoenix_processor_aggregator_checkpoints", &unreadable), 1);
    // Its own state does not replace it.
    let aside = directory.path().join("aggregator-metrics.checkpoint.unreadable");
    assert_eq!(std::fs::read(aside).expect("set aside"), future);
    assert!(path.exists());
}

#[test]
fn a_crash_loses_no_more_than_an_interval() {
    let directory = tempfile::tempdir().expect("a folder");
    let settings = with_checkpoint("\"by\": [], \"outputs\": [\"total\"]", directory.path(), "");
    let mut first = Bare::new(&settings, &place());
    first.send(&[point("a", CUMULATIVE, 0, 20, 4)]);
    first.now.monotonic += Duration::from_secs(61);
    first.tick();
    assert_eq!(values(&first.take()), [(60.0, Value::Int(4))], "nobody sends any more");
    // The thread that writes it is not ours to join.
    let path = directory.path().join("aggregator-metrics.checkpoint");
    for _ in 0..1000 {
        if path.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    first.send(&[point("a", CUMULATIVE, 0, 40, 6)]);
    drop(first);
    let mut second = Bare::new(&settings, &place());
    second.send(&[point("a", CUMULATIVE, 0, 61, 9)]);
    second.send(&[point("a", CUMULATIVE, 0, 121, 9)]);
    assert_eq!(values(&second.take()), [(120.0, Value::Int(9))]);
}

fn swapped(
    old: &AggregatorConfig,
    new: &AggregatorConfig,
    before: &[In],
    between: &[In],
    after: &[In],
) -> (Vec<Out>, Vec<Out>) {
    let place = place();
    let mut first = Bare::new(old, &place);
    first.send(before);
    let mut second = Bare::new(new, &place);
    // What comes before the state does waits for it.
    second.send(between);
    assert_eq!(second.aggregator.held().items, between.len() as u64);
    let adoption = second.aggregator.adopt(&mut first.aggregator);
    assert_eq!(adoption, phoenix_component::Adoption::Kept);
    second.tick();
    assert_eq!(second.aggregator.held(), phoenix_component::Held::default());
    let mut of_first = first.take();
    of_first.extend(first.drain());
    second.send(after);
    (of_first, second.take())
}

#[test]
fn a_change_keeps_the_state_of_rules_that_stay() {
    let base = r#"{"id": "r", "by": ["pod"], "outputs": ["total"]}"#;
    let other = r#"{"id": "x", "by": [], "outputs": ["increase"], "name": "x"}"#;
    let third = r#"{"id": "y", "by": [], "outputs": ["increase"], "name": "y"}"#;
    let with = |rules: &[&str]| config(&format!(r#"{{"rules": [{}], {NO_WAIT}}}"#, rules.join(",")));
    let before = [point("a", CUMULATIVE, 0, 20, 4), point("b", CUMULATIVE, 0, 20, 1)];
    let between = [point("a", CUMULATIVE, 0, 40, 6)];
    let after = [point("a", CUMULATIVE, 0, 61, 9), point("a", CUMULATIVE, 0, 121, 10)];
    let (of_old, of_new) = swapped(&with(&[base, other]), &with(&[third, base]), &before, &between, &after);
    // The rule that is gone lets out what it has; the one that stays goes on; the new one counts from then on.
    assert_eq!(
        of_old.iter().map(|out| (out.name.as_str(), out.value.clone())).collect::<Vec<_>>(),
        [("x", Value::Int(5))]
    );
    let of = |name: &str| values(&of_new.iter().filter(|out| out.name == name).cloned().collect::<Vec<_>>());
    assert_eq!(of("m"), [(60.0, Value::Int(6)), (60.0, Value::Int(1)), (120.0, Value::Int(9))]);
    assert_eq!(of("y"), [(60.0, Value::Int(2)), (120.0, Value::Int(3))]);
}

#[test]
fn over_many_changes_nothing_is_lost_or_counted_twice() {
    let place = place();
    let settings = |n: u64| {
        config(&format!(r#"{{"rules": [{{"id": "r", "by": []}}], {NO_WAIT}, "max_series": {}}}"#, n + 1))
    };
    let mut running = Bare::new(&settings(0), &place);
    let mut found = Vec::new();
    for step in 1..200_u64 {
        running.send(&[point("a", DELTA, step - 1, step, 1)]);
        let mut next = Bare::new(&settings(step), &place);
        next.aggregator.adopt(&mut running.aggregator);
        next.tick();
        found.extend(running.take());
        assert_eq!(running.drain(), []);
        running = next;
    }
    found.extend(running.take());
    found.extend(running.drain());
    let total: i64 = found.iter().map(|out| if let Value::Int(value) = out.value { value } else { 0 }).sum();
    assert_eq!(total, 199, "{found:?}");
    assert_eq!(place.alive.load(std::sync::atomic::Ordering::Relaxed), 1);
}
