//! Kinds of windows, tiers, levels, functions and names.

use super::*;

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

#[test]
fn first_windows_are_marked_labelled_or_dropped() {
    let points = [point("a", DELTA, 30, 40, 1), point("a", DELTA, 40, 70, 2), point("a", DELTA, 70, 121, 3)];
    let found = |choice| {
        let others = format!(r#"{NO_WAIT}, "partial_windows": "{choice}""#);
        Tested::new(&rule("\"by\": []", &others)).send(&points)
    };
    let marked = found("mark");
    assert_eq!(values(&marked), [(60.0, Value::Int(1)), (120.0, Value::Int(2))]);
    assert_eq!(
        [(marked[0].start, marked[0].partial), (marked[1].start, marked[1].partial)],
        [(30.0, true), (60.0, false)]
    );
    assert_eq!(found("label")[0].labels, "phoenix.partial=Bool(true)");
    assert_eq!(values(&found("drop")), [(120.0, Value::Int(2))]);
}

#[test]
fn functions_of_gauges() {
    let outputs = "last first min max avg count series sum stddev stdvar unique time_weighted_avg p50 p100";
    let outputs: Vec<String> = outputs.split(' ').map(|output| format!("{output:?}")).collect();
    let settings = rule(&format!(r#""outputs": [{}]"#, outputs.join(",")), NO_WAIT);
    let mut tested = Tested::new(&settings);
    let found = tested.send(&[
        point("a", Of::Gauge, None, 0, 10),
        point("a", Of::Gauge, None, 10, 20),
        point("a", Of::Gauge, None, 50, 0),
        point("a", Of::Gauge, None, 61, 99),
    ]);
    let at_60: BTreeMap<_, _> =
        found.iter().filter(|out| out.time == 60.0).map(|out| (out.name.as_str(), &out.value)).collect();
    let expected = [
        ("m", Value::Int(0)),
        ("m.first", Value::Int(20)),
        ("m.min", Value::Int(0)),
        ("m.max", Value::Int(20)),
        ("m.avg", Value::Double(10.0)),
        ("m.count", Value::Int(2)),
        ("m.series", Value::Int(1)),
        ("m.sum", Value::Int(0)),
        ("m.stddev", Value::Double(10.0)),
        ("m.stdvar", Value::Double(100.0)),
        ("m.unique", Value::Int(2)),
        ("m.time_weighted_avg", Value::Double(15.0)),
    ];
    for (name, value) in expected {
        let name = if name == "m.sum" { "m" } else { name };
        if name == "m" {
            continue;
        }
        assert_eq!(at_60.get(name), Some(&&value), "{name}");
    }
    let Some(Value::Double(p100)) = at_60.get("m.p100").copied() else { panic!("{found:?}") };
    assert!((p100 - 20.0).abs() <= 20.0 * 0.006, "{p100}");
}

#[test]
fn functions_of_counters_and_histograms() {
    let outputs = r#""outputs": ["sum", "increase", "total", "rate", "count", "avg", "p50"], "name": "{name}.{output}""#;
    let mut tested = Tested::new(&rule(outputs, NO_WAIT));
    let says = Says::Explicit(vec![1.0, 2.0], vec![0, 4, 0], 6.0);
    let mut histogram = point("a", Of::Histogram(Temporality::Delta), 0, 60, 0);
    histogram.says = says;
    let found = tested.send(&[point("a", DELTA, 0, 30, 40), point("a", DELTA, 30, 60, 50), histogram]);
    assert_eq!(tested.advance(120), []);
    let all: Vec<_> = found.iter().map(|out| (out.name.as_str(), out.kind, out.value.clone())).collect();
    let has = |name, kind, value| assert!(all.contains(&(name, kind, value)), "{name} {kind} in {all:?}");
    has("m.sum", "delta", Value::Int(90));
    has("m.increase", "delta", Value::Int(90));
    has("m.total", "cumulative", Value::Int(90));
    has("m.rate", "gauge", Value::Double(1.5));
    has("m.count", "delta", Value::Int(2));
    has("m.count", "delta", Value::Int(1));
    has("m.avg", "gauge", Value::Double(1.5));
    has("m.p50", "gauge", Value::Double(1.5));
    has("m.sum", "delta", Value::Explicit(vec![1.0, 2.0], vec![0, 4, 0], 4));
    has("m.total", "cumulative", Value::Explicit(vec![1.0, 2.0], vec![0, 4, 0], 4));
}

#[test]
fn a_histogram_of_gauges_goes_on_where_it_is_to_be_cumulative() {
    let settings = rule(r#""outputs": ["histogram"], "temporality": "cumulative", "name": "h""#, NO_WAIT);
    let mut tested = Bare::new(&settings, &place());
    tested.send(&[point("a", Of::Gauge, None, 10, 1), point("a", Of::Gauge, None, 20, 1)]);
    let state = tested.aggregator.write_state();
    let mut next = Bare::new(&settings, &place());
    next.aggregator.restore_from(&state, tested.now);
    next.send(&[point("a", Of::Gauge, None, 70, 1), point("a", Of::Gauge, None, 130, 1)]);
    let found: Vec<_> =
        next.take().into_iter().map(|out| (out.kind, out.time, out.start, out.value)).collect();
    let Value::Exponential(_, _, _, first) = found[0].3 else { panic!("{found:?}") };
    let Value::Exponential(_, _, _, second) = found[1].3 else { panic!("{found:?}") };
    assert_eq!((first, second), (2, 3), "all since the start");
    assert!(found.iter().all(|(kind, _, start, _)| *kind == "cumulative" && *start < 10.0), "{found:?}");
}

#[test]
fn gauges_without_a_function_pass_where_attributes_go() {
    let mut tested = Tested::new(&rule("\"without\": [\"pod\"]", NO_WAIT));
    let passed = tested.send(&[point("a", Of::Gauge, None, 10, 5), point("a", DELTA, 0, 10, 1)]);
    assert_eq!((passed.len(), passed[0].kind, passed[0].labels.as_str()), (1, "gauge", "pod=a,route=/x"));
    assert_eq!(tested.drain().len(), 1);
}

#[test]
fn what_no_rule_matches_passes_and_what_is_kept_passes_too() {
    let mut tested = Tested::new(&rule(r#""match": {"names": ["x*"]}"#, NO_WAIT));
    assert_eq!(tested.send(&[point("a", DELTA, 0, 10, 1)]).len(), 1);
    assert_eq!(tested.drain(), []);
    let keeps = rule(
        r#""match": {"attributes": [{"key": "pod", "values": ["a*"]}]}, "keep_input": true, "name": "{name}:{interval}""#,
        NO_WAIT,
    );
    let mut tested = Tested::new(&keeps);
    let passed = tested.send(&[point("a1", DELTA, 0, 10, 1), point("b", DELTA, 0, 10, 2)]);
    assert_eq!(passed.len(), 2);
    let found = tested.drain();
    assert_eq!(
        found.iter().map(|out| (out.name.as_str(), &out.value)).collect::<Vec<_>>(),
        [("m:1m", &Value::Int(1))]
    );
}

#[test]
fn hopping_windows_overlap_and_sliding_ones_follow_the_data() {
    let points: Vec<In> = (0..6).map(|n| point("a", DELTA, n * 10, n * 10 + 10, 1 << n)).collect();
    let run = |window| {
        let settings = rule(&format!(r#""interval": "30s", "every": "10s", "window": "{window}""#), NO_WAIT);
        let mut tested = Tested::new(&settings);
        let mut found = tested.send(&points);
        found.extend(tested.advance(300));
        found.extend(tested.drain());
        found
    };
    let hopping = run("hopping");
    let sums: Vec<_> = hopping.iter().map(|out| out.value.clone()).collect();
    // The first two were not seen whole, the last two have nothing new.
    assert_eq!(sums[2..], [7, 14, 28, 56, 48, 32].map(Value::Int));
    assert!(
        hopping[2..].iter().all(|out| out.kind == "gauge" && out.name == "m.sum" && !out.partial),
        "{hopping:?}"
    );
    assert_eq!(hopping[3].start, 10.0);
    let sliding = run("sliding");
    assert_eq!(sliding.last().map(|out| out.value.clone()), Some(Value::Int(56)));
}

#[test]
fn sessions_end_after_a_gap_and_meet_over_late_data() {
    let settings = rule(
        r#""window": "session", "gap": "30s", "by": []"#,
        r#""watermark": {"out_of_order": "20s", "partition": "none"}"#,
    );
    let mut tested = Tested::new(&settings);
    let mut found = tested.send(&[point("a", DELTA, 99, 100, 1), point("b", DELTA, 144, 145, 2)]);
    found.extend(tested.send(&[point("a", DELTA, 119, 126, 4)]));
    found.extend(tested.send(&[point("a", DELTA, 299, 300, 8)]));
    found.extend(tested.advance(400));
    found.extend(tested.drain());
    assert_eq!(values(&found), [(145.0, Value::Int(7)), (300.0, Value::Int(8))]);
    assert_eq!([found[0].start, found[1].start], [99.0, 299.0]);
}

#[test]
fn tiers_are_made_of_the_ones_below() {
    let settings =
        rule(r#""interval": "10s", "by": [], "tiers": [{"interval": "30s"}, {"interval": "60s"}]"#, NO_WAIT);
    let mut tested = Tested::new(&settings);
    let points: Vec<In> = (0..13).map(|n| point("a", DELTA, n * 10, n * 10 + 10, n as i64)).collect();
    let found = tested.send(&points);
    let of = |tier: &str| -> Vec<_> {
        let of_tier = found.iter().filter(|out| out.labels == format!("phoenix.interval={tier}"));
        of_tier.map(|out| (out.start, out.time, out.value.clone())).collect()
    };
    assert_eq!(of("10s").len(), 13);
    assert_eq!(
        of("30s"),
        [
            (0.0, 30.0, Value::Int(3)),
            (30.0, 60.0, Value::Int(12)),
            (60.0, 90.0, Value::Int(21)),
            (90.0, 120.0, Value::Int(30))
        ]
    );
    assert_eq!(of("1m"), [(0.0, 60.0, Value::Int(15)), (60.0, 120.0, Value::Int(51))]);
}

#[test]
fn levels_of_a_hierarchy_are_made_of_the_same_increments() {
    let levels = r#""levels": [{"level": "pod", "by": ["pod"]}, {"level": "all", "by": []}], "outputs": ["sum", "avg"]"#;
    let mut tested = Tested::new(&rule(levels, NO_WAIT));
    tested.send(&[
        point("a", CUMULATIVE, None, 10, 100),
        point("b", CUMULATIVE, None, 10, 50),
        point("a", CUMULATIVE, None, 20, 3),
        point("b", CUMULATIVE, None, 20, 60),
        point("a", Of::Gauge, None, 10, 10),
        point("b", Of::Gauge, None, 10, 1),
        point("b", Of::Gauge, None, 20, 1),
    ]);
    let found = tested.drain();
    let one = |name: &str, kind: &str, labels: &str| {
        let mut matching = found
            .iter()
            .filter(|out| (out.name.as_str(), out.kind, out.labels.as_str()) == (name, kind, labels));
        matching.next().map(|out| out.value.clone())
    };
    assert_eq!(one("m", "cumulative", "level=pod,pod=a"), Some(Value::Int(3)));
    assert_eq!(one("m", "cumulative", "level=all"), Some(Value::Int(13)));
    // 12 over three data points, not the mean of means.
    assert_eq!(one("m.avg", "gauge", "level=all"), Some(Value::Double(4.0)));
}

#[test]
fn summaries_stay_as_they_are() {
    let summary =
        |time, count| In { pod: "a", of: Of::Summary, start: Some(0), time, says: Says::Summary(count, 1.0) };
    let mut tested = Tested::new(&rule("\"interval\": \"60s\"", NO_WAIT));
    tested.send(&[summary(10, 1), summary(50, 5), summary(30, 3)]);
    let found = tested.drain();
    assert_eq!(
        (values(&found), found[0].labels.as_str()),
        (vec![(50.0, Value::Summary(5))], "pod=a,route=/x")
    );
}

#[test]
fn quiet_times_are_passed_over_at_once() {
    let mut tested = Tested::new(&rule(
        "\"interval\": \"1s\"",
        r#""watermark": {"out_of_order": "0s", "partition": "none", "max_spread": "1m"}"#,
    ));
    let mut found = tested.send(&[point("a", DELTA, 0, 1, 1)]);
    found.extend(tested.send(&[point("a", DELTA, 3000, 3001, 2)]));
    assert_eq!(values(&found), [(1.0, Value::Int(1)), (3001.0, Value::Int(2))]);
}

#[test]
fn times_ahead_of_the_clock_do_not_close_windows() {
    let mut tested = Tested::new(&rule("\"by\": []", NO_WAIT));
    tested.send(&[point("a", DELTA, 3500, 3590, 1)]);
    // The clock stands at 3600; ten seconds more are allowed.
    tested.send(&[point("b", DELTA, 3600, 90_000, 2)]);
    assert_eq!(tested.counted("future"), 1);
    assert_eq!(tested.send(&[point("a", DELTA, 3590, 3611, 4)]).len(), 0);
    let found = tested.drain();
    assert_eq!(values(&found), [(3610.0, Value::Int(6))]);
}

#[test]
fn gauges_within_the_dead_band_stay_away_until_the_heartbeat() {
    let band = r#""dead_band": {"absolute": 2, "relative": 0.1, "heartbeat": "4m"}"#;
    let mut tested = Tested::new(&rule(&format!(r#""match": {{"kinds": ["gauge"]}}, {band}"#), ""));
    let mut found = Vec::new();
    // Around 100 a tenth is the wider bound: 110 is within, 111 is not.
    for (minute, value) in [100, 110, 111, 100, 99, 105, 110, 111, 112, 2, 3, 5].into_iter().enumerate() {
        found.extend(tested.send(&[point("a", Of::Gauge, None, 30 + 60 * minute as u64, value)]));
    }
    found.extend(tested.drain());
    let shown: Vec<(f64, Value)> = values(&found);
    let expected = [(60.0, 100), (180.0, 111), (300.0, 99), (420.0, 110), (600.0, 2), (690.0, 5)];
    assert_eq!(shown, expected.map(|(time, value)| (time, Value::Int(value))), "{shown:?}");
    assert_eq!(tested.counted("held_back"), 6);
}

#[test]
fn a_calm_series_has_fewer_windows_and_all_of_them_once_it_moves() {
    let band = r#""interval": "10s", "dead_band": {"absolute": 1, "heartbeat": "60s", "calm_windows": 3}"#;
    let mut tested = Tested::new(&rule(&format!(r#""match": {{"kinds": ["gauge"]}}, {band}"#), ""));
    let mut found = Vec::new();
    let story = [5, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 20, 20, 20, 20, 20, 20];
    for (window, value) in story.into_iter().enumerate() {
        found.extend(tested.send(&[point("a", Of::Gauge, None, 10 + 10 * window as u64, value)]));
    }
    found.extend(tested.advance(60));
    let shown: Vec<f64> = found.iter().map(|out| out.time).collect();
    // Three that are calm, one a minute, and from the first that moves on all again.
    assert_eq!(shown, [10.0, 20.0, 30.0, 40.0, 50.0, 110.0, 120.0, 130.0, 140.0, 150.0], "{found:?}");
    assert_eq!(tested.counted("held_back"), 7);
}

proptest::proptest! {
    #[test]
    fn who_keeps_what_was_let_out_is_never_off_by_more_than_the_band(
        values in proptest::collection::vec(-50i64..50, 1..40),
        absolute in 0u32..20,
        relative in 0u32..30,
        calm in 0u32..4,
    ) {
        let band = format!(
            r#""interval": "10s", "dead_band": {{"absolute": {absolute}, "relative": {}, "heartbeat": "50s", "calm_windows": {calm}}}"#,
            f64::from(relative) / 100.0
        );
        let mut tested = Tested::new(&rule(&format!(r#""match": {{"kinds": ["gauge"]}}, {band}"#), ""));
        let mut found = Vec::new();
        for (window, value) in values.iter().enumerate() {
            found.extend(tested.send(&[point("a", Of::Gauge, None, 10 + 10 * window as u64, *value)]));
        }
        found.extend(tested.advance(60));
        let shown: BTreeMap<u64, i64> = found.iter().map(|out| {
            let Value::Int(value) = out.value else { panic!("{out:?}") };
            (out.time as u64, value)
        }).collect();
        for (window, value) in values.iter().enumerate() {
            let end = 10 + 10 * window as u64;
            let (at, kept) = shown.range(..=end).next_back().expect("the first goes out");
            let width = f64::from(absolute).max(f64::from(relative) / 100.0 * kept.abs() as f64);
            proptest::prop_assert!(end - at < 50, "{end}: {shown:?}");
            proptest::prop_assert!((*kept - value).abs() as f64 <= width, "{end}: {kept} for {value}, {shown:?}");
        }
    }
}

#[test]
fn late_increments_correct_the_window_that_they_belong_to() {
    let watermark = r#""watermark": {"out_of_order": "0s", "allowed_lateness": "100s", "partition": "none"}"#;
    let settings = rule(
        r#""by": [], "temporality": "delta", "late": "correct", "outputs": ["sum", "count", "rate"], "name": "{output}""#,
        watermark,
    );
    let mut tested = Tested::new(&settings);
    let found = tested.send(&[point("a", DELTA, 50, 55, 1), point("a", DELTA, 65, 70, 2)]);
    assert_eq!(
        found.iter().find(|out| out.name == "sum").map(|out| (out.time, &out.value)),
        Some((60.0, &Value::Int(1)))
    );
    // What the stream left open, and what others had.
    tested.send(&[point("a", DELTA, 55, 59, 10), point("b", DELTA, 50, 52, 100), point("c", DELTA, 0, 1, 7)]);
    let found = tested.send(&[point("a", DELTA, 70, 125, 4)]);
    let of = |name: &str| -> Vec<_> {
        let outs = found.iter().filter(|out| out.name == name);
        outs.map(|out| (out.start, out.time, out.value.clone(), out.partial)).collect()
    };
    assert_eq!(of("sum"), [(0.0, 59.0, Value::Int(117), false), (60.0, 120.0, Value::Int(2), false)]);
    assert_eq!(of("count"), [(0.0, 59.0, Value::Int(3), false), (60.0, 120.0, Value::Int(1), false)]);
    assert_eq!(of("rate").len(), 1, "a rate does not add up");
    // A hundred seconds behind 120, and one more.
    tested.send(&[point("d", DELTA, 10, 20, 500), point("e", DELTA, 10, 19, 1000)]);
    assert_eq!((tested.dropped("late"), tested.counted("late")), (1, 5));
    let left: Vec<_> = tested.drain().into_iter().filter(|out| out.name == "sum").collect();
    assert_eq!(values(&left), [(20.0, Value::Int(500)), (125.0, Value::Int(4))]);
    let balance = |fate| tested.metrics.sum("phoenix_processor_aggregator_increments", &[("fate", fate)]);
    assert_eq!(balance("taken"), balance("let_out") + balance("dropped"));
}

#[test]
fn a_correction_comes_out_though_nothing_else_does() {
    let watermark =
        r#""watermark": {"out_of_order": "0s", "allowed_lateness": "1000s", "partition": "none"}"#;
    let mut tested = Tested::new(&rule(r#""by": [], "temporality": "delta", "late": "correct""#, watermark));
    tested.send(&[point("a", DELTA, 50, 55, 1)]);
    assert_eq!(values(&tested.advance(100)), [(60.0, Value::Int(1))]);
    tested.send(&[point("b", DELTA, 50, 52, 3)]);
    let found = tested.advance(200);
    assert_eq!(values(&found), [(52.0, Value::Int(3))]);
    assert_eq!(found[0].start, 50.0);
}

#[test]
fn what_a_rule_saves_and_how_far_off_it_is_is_told() {
    let settings = rule(
        r#""by": [], "outputs": ["p50", "unique", "increase"], "name": "{output}""#,
        r#""watermark": {"out_of_order": "0s", "partition": "none"}"#,
    );
    let capabilities = phoenix_component::Capabilities::default();
    let id = phoenix_config::ComponentId::parse("aggregator").expect("an id");
    let book = SavingsBook::open(&capabilities, &id);
    let told = book.0.clone();
    let metrics = Metrics::default();
    let spec = stage_with(&settings, &metrics, &place(), None, Some(book)).expect("no store");
    let mut harness = StageHarness::new(spec);
    harness.advance(Duration::from_nanos(BASE + 3600 * S));
    let mut points: Vec<In> = (1..=51)
        .map(|n| In { says: Says::Double((n * n) as f64), ..point("a", Of::Gauge, None, n, 0) })
        .collect();
    points.extend([point("a", DELTA, 0, 10, 4), point("b", DELTA, 0, 10, 6), point("a", DELTA, 60, 61, 0)]);
    let batch = request(&points);
    harness.send(batch).expect("a stage takes all");
    let sent: Vec<Out> = harness.take_released().iter().flat_map(|fragment| read(&fragment.batch)).collect();
    let error = metrics.sum("phoenix_processor_aggregator_query_error", &[("rule", "r")]);
    assert!((1..=45_000).contains(&error), "as far as 160 buckets from 1 to 2601 tell: {error}");
    let Some(Value::Double(median)) = sent.iter().find(|out| out.name == "p50").map(|out| out.value.clone())
    else {
        panic!("{sent:?}")
    };
    assert_eq!(error, ((median - 676.0).abs() / 676.0 * 1e6).round() as i64, "the square of 26: {median}");
    let savings = told.latest();
    let saved = &savings.rules[0];
    assert_eq!((saved.rule.as_str(), saved.series.r#in, saved.series.out), ("r", 3, 2));
    assert_eq!((saved.points.r#in, saved.points.out), (53, 3));
    assert!(saved.bytes.r#in > saved.bytes.out && saved.bytes.out > 0, "{saved:?}");
    assert_eq!(saved.quantile_error_ppm, error.unsigned_abs());
    assert_eq!(saved.quality_ppm["score"], 1_000_000);
    assert_eq!((savings.points.r#in, savings.tracked.r#in), (54, 3));
}

#[test]
fn the_score_of_a_window_has_its_parts() {
    let mut tested =
        Tested::new(&rule(r#""by": []"#, r#""watermark": {"out_of_order": "0s", "partition": "none"}"#));
    let points = [
        point("a", DELTA, 0, 10, 1),
        point("a", DELTA, 0, 10, 1),
        // Twenty seconds that nobody covers.
        point("a", DELTA, 30, 50, 1),
    ];
    for point in points {
        tested.send(&[point]);
    }
    tested.send(&[point("a", DELTA, 50, 61, 1)]);
    let part = |part: &str| {
        let labels = [("rule", "r"), ("part", part)];
        tested.metrics.sum("phoenix_processor_aggregator_quality", &labels)
    };
    assert_eq!((part("timeliness"), part("continuity"), part("room")), (1_000_000, 1_000_000, 1_000_000));
    // Two of three came once; of fifty seconds thirty are covered.
    assert_eq!((part("uniqueness"), part("coverage")), (666_667, 600_000));
    assert_eq!(part("score"), 400_000);
}
