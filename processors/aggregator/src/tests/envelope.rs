//! Gauges with a dead band and an envelope: how far off is what a store has.

use proptest::prelude::*;

use super::*;

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

#[test]
fn an_envelope_goes_out_with_its_value_and_tells_of_what_the_value_does_not() {
    let band = r#""interval": "10s", "dead_band": {"absolute": 1, "heartbeat": "60s", "envelope": true}"#;
    let mut tested = Tested::new(&rule(band, NO_WAIT));
    let gauge = |time, value| point("a", Of::Gauge, None, time, value);
    let mut found = tested.send(&[gauge(1, 10), gauge(5, 10)]);
    // Within the band; then the last value is, and a spike before it is not.
    found.extend(tested.send(&[gauge(12, 11), gauge(15, 10)]));
    found.extend(tested.send(&[gauge(22, 50), gauge(25, 10)]));
    found.extend(tested.send(&[gauge(32, 9), gauge(41, 9)]));
    let seen: Vec<_> = found.iter().map(|out| (out.time, out.name.as_str(), out.value.clone())).collect();
    let expected = [(10.0, "m", 10), (10.0, "m.max", 10), (10.0, "m.min", 10)];
    let expected = expected.into_iter().chain([(30.0, "m", 10), (30.0, "m.max", 50), (30.0, "m.min", 10)]);
    assert_eq!(seen, expected.map(|(time, name, value)| (time, name, Value::Int(value))).collect::<Vec<_>>());
    assert_eq!(tested.counted("held_back"), 6, "three series in two windows");
    // Counters beside it are none of its business.
    let found = tested.send(&[point("a", CUMULATIVE, 40, 42, 1), point("a", CUMULATIVE, 40, 51, 2)]);
    assert_eq!(found.iter().filter(|out| out.kind == "cumulative").count(), 1, "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_value_is_within_the_band_or_the_envelope(
        steps in prop::collection::vec((1u64..8, -30i64..30), 1..80),
        absolute in 0u32..20,
        relative in 0u32..3,
        calm in 0u32..3,
        output in prop::sample::select(vec!["last", "avg", "first"]),
    ) {
        let settings = rule(
            &format!(
                r#""interval": "10s", "outputs": ["{output}"], "dead_band": {{"absolute": {absolute}, "relative": {}, "heartbeat": "50s", "calm_windows": {calm}, "envelope": true}}"#,
                f64::from(relative) / 10.0
            ),
            r#""watermark": {"out_of_order": "0s", "partition": "none"}, "flush_on_shutdown": true"#,
        );
        let mut tested = Tested::new(&settings);
        let (mut time, mut value) = (100, 0);
        let mut sent = Vec::new();
        for (after, by) in steps {
            (time, value) = (time + after, value + by);
            sent.push((time, value));
            tested.harness.send(request(&[point("a", Of::Gauge, None, time, value)])).expect("taken");
        }
        let mut found = tested.take();
        found.extend(tested.drain());
        let number = |out: &Out| match out.value {
            Value::Int(value) => value as f64,
            Value::Double(value) => value,
            _ => f64::NAN,
        };
        // By window: the value, and its bounds.
        let mut shown: BTreeMap<u64, [f64; 3]> = BTreeMap::new();
        for out in &found {
            let place = if out.name.ends_with(".min") { 1 } else if out.name.ends_with(".max") { 2 } else { 0 };
            shown.entry((out.time as u64).div_ceil(10)).or_insert([f64::NAN; 3])[place] = number(out);
        }
        prop_assert!(shown.values().flatten().all(|value| value.is_finite()), "all three or none: {:?}", shown);
        for (time, value) in sent {
            let (window, value) = (time.div_ceil(10), value as f64);
            let Some((at, [last, low, high])) = shown.range(..=window).next_back() else {
                return Err(TestCaseError::fail("the first window is let out"));
            };
            let width = f64::from(absolute).max(f64::from(relative) / 10.0 * last.abs());
            match *at == window {
                true => prop_assert!(*low <= value && value <= *high),
                false => prop_assert!((value - last).abs() <= width, "{} is not near {}", value, last),
            }
        }
    }
}
