//! Cases with exact numbers, most of them from what others got wrong. Each has a number, and a test that names it.
//!
//! | case | what is tried | where |
//! |---|---|---|
//! | 1 | one of several counters starts again | here |
//! | 2 | first values with and without a start | here |
//! | 3 | means over data points and over streams | here |
//! | 4 | sums of gauges by the latest of each | here |
//! | 5 | deltas of different times in one window | here |
//! | 6 | gaps of deltas | here; what is cumulative goes on, see below |
//! | 7, 8 | histograms with common bounds, and with none | here |
//! | 9, 10 | scales of exponential histograms | here |
//! | 11, 12 | the most buckets, and the bucket of zero | `phoenix-series`, `exponential/tests.rs` |
//! | 13, 14 | a histogram that falls as a whole, and in one bucket | here |
//! | 15, 16, 17, 18 | more series than there is room for, and exactly as many; cumulative ones and gauges | [`limits`](super::limits) |
//! | 19 | disorder, the watermark and lateness | here |
//! | 20 | streams that end | here |
//! | 21 | five aggregates of one window, over a reset between windows | here |
//! | 22 | rates over the time between data points | here |
//! | 24 | a stream that comes back after it was forgotten | here |
//! | 25 | a window at a shutdown, and after it | here and [`lasting`](super::lasting) |
//!
//! 23 is about removing bounds: the optimizer does that. In 6 others let a cumulative series start anew behind a gap. Here `gaps` counts it and the
//! series goes on since its start: it may be that of many streams, of which one has a gap, and a gap says that data is missing and not that somebody
//! counts from 0 again. What is let out adds up either way.

use super::*;

#[test]
fn senders_of_both_temporalities_give_one_series() {
    let mut tested = Tested::new(&rule(r#""by": [], "outputs": ["increase"]"#, ""));
    let mut found = tested.send(&[
        point("a", CUMULATIVE, 0, 10, 4),
        point("b", DELTA, 0, 10, 5),
        point("a", CUMULATIVE, 0, 100, 4),
        point("b", DELTA, 10, 100, 0),
    ]);
    found.extend(tested.advance(1));
    found.retain(|out| out.time == 60.0);
    assert_eq!((found.len(), &found[0].value, found[0].kind), (1, &Value::Int(9), "delta"), "{found:?}");
}

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

/// Case 1.
#[test]
fn resets_of_one_stream_do_not_disturb_the_sum_of_several() {
    let mut tested = Tested::new(&rule(r#""interval": "10s", "without": ["pod"]"#, NO_WAIT));
    let (a, b) = ([100, 110, 120, 5, 15], [50, 60, 70, 80, 90]);
    let mut points = Vec::new();
    for index in 0..5 {
        points.push(point("a", CUMULATIVE, None, 100 + index * 10, a[index as usize]));
        points.push(point("b", CUMULATIVE, None, 100 + index * 10, b[index as usize]));
    }
    let found = tested.send(&points);
    let expected = [0, 20, 40, 55, 75].iter().zip(0..);
    let expected: Vec<_> =
        expected.map(|(sum, index)| (f64::from(100 + index * 10), Value::Int(*sum))).collect();
    assert_eq!(values(&found), expected);
    assert!(
        found.iter().all(|out| out.start == 100.0 && out.kind == "cumulative" && out.labels == "route=/x"),
        "{found:?}"
    );
    assert_eq!(tested.counted("resets"), 1);
}

/// Case 2.
#[test]
fn a_first_value_counts_if_it_is_known_from_when() {
    let settings = rule(r#""by": ["pod"], "outputs": ["increase"]"#, NO_WAIT);
    let mut tested = Tested::new(&settings);
    tested.send(&[point("a", CUMULATIVE, 0, 10, 7), point("b", CUMULATIVE, 10, 10, 7)]);
    let found = tested.drain();
    assert_eq!(
        found.iter().map(|out| (out.labels.as_str(), out.value.clone())).collect::<Vec<_>>(),
        [("pod=a", Value::Int(7)), ("pod=b", Value::Int(0))]
    );
}

/// Case 3.
#[test]
fn a_mean_is_over_data_points_or_over_streams() {
    let mut points = vec![point("a", Of::Gauge, None, 1, 10)];
    points.extend((1..11).map(|time| point("b", Of::Gauge, None, time, 1)));
    for (over, mean) in [("samples", 20.0 / 11.0), ("series", 5.5)] {
        let settings = rule(&format!(r#""without": ["pod"], "outputs": ["avg"], "over": "{over}""#), NO_WAIT);
        let mut tested = Tested::new(&settings);
        tested.send(&points);
        let found = tested.drain();
        assert_eq!((found.len(), &found[0].value), (1, &Value::Double(mean)), "{over}");
        assert_eq!((found[0].name.as_str(), found[0].kind), ("m.avg", "gauge"));
    }
}

/// Case 4.
#[test]
fn a_sum_of_gauges_is_that_of_the_latest_of_each_stream() {
    let mut tested = Tested::new(&rule(r#""without": ["pod"], "outputs": ["sum"]"#, NO_WAIT));
    tested.send(&[point("a", Of::Gauge, None, 10, 1), point("a", Of::Gauge, None, 50, 3)]);
    tested.send(&[point("b", Of::Gauge, None, 30, 5)]);
    let found = tested.send(&[point("b", Of::Gauge, None, 61, 5)]);
    assert_eq!(values(&found), [(60.0, Value::Int(8))]);
}

/// Case 5.
#[test]
fn increments_of_different_times_meet_in_their_window() {
    let mut tested = Tested::new(&rule(r#""interval": "20s", "without": ["pod"]"#, NO_WAIT));
    let found = tested.send(&[point("a", DELTA, 0, 10, 4), point("b", DELTA, 10, 20, 6)]);
    assert_eq!(tested.advance(120), []);
    assert_eq!(values(&found), [(20.0, Value::Int(10))]);
    assert_eq!((found[0].start, found[0].kind, found[0].partial), (0.0, "delta", false));
}

/// Case 6.
#[test]
fn gaps_of_delta_streams_are_counted_and_not_filled() {
    let mut tested = Tested::new(&rule(r#""interval": "10s", "temporality": "cumulative""#, NO_WAIT));
    let found = tested.send(&[
        point("a", DELTA, 0, 10, 4),
        point("a", DELTA, 20, 30, 6),
        point("a", DELTA, 30, 31, 0),
    ]);
    assert_eq!(values(&found), [(10.0, Value::Int(4)), (30.0, Value::Int(10))]);
    assert!(found.iter().all(|out| out.start == 0.0), "{found:?}");
    assert_eq!(tested.counted("gaps"), 1);
    // As deltas it is 4 up to 10 and 6 from 20 on, as it came.
    let mut tested = Tested::new(&rule(r#""interval": "10s""#, NO_WAIT));
    let found = tested.send(&[
        point("a", DELTA, 0, 10, 4),
        point("a", DELTA, 20, 30, 6),
        point("a", DELTA, 30, 31, 0),
    ]);
    let found: Vec<_> = found.iter().map(|out| (out.start, out.time, out.value.clone())).collect();
    assert_eq!(found, [(0.0, 10.0, Value::Int(4)), (20.0, 30.0, Value::Int(6))]);
}

fn histogram(
    pod: &'static str,
    temporality: Temporality,
    time: u64,
    bounds: &[f64],
    counts: &[u64],
    sum: f64,
) -> In {
    let says = Says::Explicit(bounds.to_vec(), counts.to_vec(), sum);
    In { pod, of: Of::Histogram(temporality), start: Some(0), time, says }
}

/// Cases 7 and 8.
#[test]
fn histograms_meet_on_common_bounds_or_pass() {
    let delta = Temporality::Delta;
    let mut tested = Tested::new(&rule(r#""without": ["pod"]"#, NO_WAIT));
    let points = [
        histogram("a", delta, 10, &[1.0, 5.0, 10.0], &[2, 3, 4, 1], 40.0),
        histogram("b", delta, 20, &[1.0, 10.0], &[1, 6, 2], 60.0),
        histogram("c", delta, 30, &[3.0], &[1, 1], 2.0),
    ];
    let passed = tested.send(&points);
    assert_eq!(passed.len(), 1, "bounds that meet none of the others pass unchanged");
    assert_eq!((passed[0].labels.as_str(), passed[0].time), ("pod=c,route=/x", 30.0));
    assert_eq!(tested.counted("incompatible"), 1);
    let found = tested.drain();
    assert_eq!(found[0].value, Value::Explicit(vec![1.0, 10.0], vec![3, 13, 3], 19));
}

/// Cases 13 and 14.
#[test]
fn a_cumulative_histogram_that_falls_in_any_bucket_started_again() {
    let cumulative = Temporality::Cumulative;
    for (second, expected) in [(vec![1, 2], vec![1, 2]), (vec![5, 5], vec![5, 5]), (vec![5, 6], vec![1, 0])] {
        let mut tested = Tested::new(&rule(r#""interval": "10s", "temporality": "delta""#, NO_WAIT));
        let found = tested.send(&[
            histogram("a", cumulative, 10, &[1.0], &[4, 6], 1.0),
            histogram("a", cumulative, 20, &[1.0], &second, 1.0),
            histogram("a", cumulative, 21, &[1.0], &second, 1.0),
        ]);
        let count = expected.iter().sum();
        assert_eq!(
            values(&found),
            [
                (10.0, Value::Explicit(vec![1.0], vec![4, 6], 10)),
                (20.0, Value::Explicit(vec![1.0], expected, count))
            ]
        );
        assert_eq!(tested.counted("resets"), i64::from(second != [5, 6]));
    }
}

#[test]
fn histograms_whose_first_value_is_a_baseline_count_from_the_second_on() {
    let cumulative = |time, counts: &[u64]| In {
        start: None,
        ..histogram("a", Temporality::Cumulative, time, &[1.0], counts, 1.0)
    };
    let exponential = |time, counts: &[u64]| In {
        pod: "b",
        of: Of::Exponential(Temporality::Cumulative),
        start: None,
        time,
        says: Says::Exponential(0, 0, counts.to_vec()),
    };
    let mut tested = Tested::new(&rule(r#""outputs": ["increase"]"#, NO_WAIT));
    let mut found = tested.send(&[cumulative(10, &[4, 6]), cumulative(20, &[5, 9]), cumulative(61, &[5, 9])]);
    found.extend(tested.send(&[exponential(62, &[3]), exponential(70, &[5])]));
    found.extend(tested.drain());
    assert_eq!(tested.counted("incompatible"), 0);
    let expected = [
        (60.0, Value::Explicit(vec![1.0], vec![1, 3], 4)),
        (61.0, Value::Explicit(vec![1.0], vec![0, 0], 0)),
        (70.0, Value::Exponential(0, 0, vec![2], 2)),
    ];
    assert_eq!(values(&found), expected);
}

/// Cases 9 and 10.
#[test]
fn exponential_histograms_are_put_on_one_scale() {
    let exponential = |pod, scale, offset, counts: &[u64]| In {
        pod,
        of: Of::Exponential(Temporality::Delta),
        start: Some(0),
        time: 10,
        says: Says::Exponential(scale, offset, counts.to_vec()),
    };
    let mut tested = Tested::new(&rule(r#""without": ["pod"]"#, NO_WAIT));
    tested.send(&[exponential("a", 1, 0, &[1, 2, 3, 4]), exponential("b", 0, 1, &[10, 20])]);
    assert_eq!(tested.drain()[0].value, Value::Exponential(0, 0, vec![3, 17, 20], 40));
    let mut tested = Tested::new(&rule(r#""max_scale": 2"#, NO_WAIT));
    tested.send(&[exponential("a", 3, -3, &[1, 2, 3, 4, 5, 6, 7])]);
    assert_eq!(tested.drain()[0].value, Value::Exponential(2, -2, vec![1, 5, 9, 13], 28));
}

/// Case 19.
#[test]
fn the_watermark_closes_windows_and_what_comes_later_is_counted() {
    let settings = rule("\"by\": []", r#""watermark": {"out_of_order": "30s", "partition": "none"}"#);
    let mut tested = Tested::new(&settings);
    let arrivals = [(10, 1), (65, 2), (50, 3)];
    for (time, value) in arrivals {
        assert_eq!(tested.send(&[point("a", DELTA, None, time, value)]), []);
    }
    let found = tested.send(&[point("a", DELTA, None, 100, 4)]);
    assert_eq!(values(&found), [(60.0, Value::Int(4))]);
    tested.send(&[point("b", DELTA, None, 55, 5)]);
    assert_eq!((tested.dropped("late"), tested.counted("late")), (1, 1));
    assert_eq!(values(&tested.drain()), [(100.0, Value::Int(6))]);
}

#[test]
fn late_increments_within_the_allowed_lateness_go_into_the_open_window() {
    let watermark = r#""watermark": {"out_of_order": "0s", "allowed_lateness": "20s", "partition": "none"}"#;
    let mut tested = Tested::new(&rule("\"by\": []", watermark));
    let found = tested.send(&[point("a", DELTA, 50, 55, 1), point("a", DELTA, 65, 70, 2)]);
    assert_eq!(values(&found), [(60.0, Value::Int(1))]);
    // It fills what the stream left open, so it was not seen before; once.
    tested.send(&[point("a", DELTA, 55, 59, 10)]);
    tested.send(&[point("a", DELTA, 55, 59, 10)]);
    assert_eq!(tested.dropped("out_of_order"), 1);
    tested.send(&[point("b", DELTA, 50, 52, 100)]);
    tested.send(&[point("c", DELTA, 20, 30, 1000)]);
    assert_eq!(tested.dropped("late"), 1);
    assert_eq!(values(&tested.drain()), [(70.0, Value::Int(112))]);
}

/// Case 20.
#[test]
fn a_stream_that_ends_leaves_and_the_last_one_ends_the_series() {
    let ended = |pod, time| In { pod, of: Of::Gauge, start: None, time, says: Says::Ended };
    let mut tested = Tested::new(&rule(r#""without": ["pod"], "outputs": ["sum"]"#, NO_WAIT));
    tested.send(&[point("a", Of::Gauge, None, 10, 5), ended("a", 20), point("b", Of::Gauge, None, 50, 7)]);
    let found = tested.send(&[point("b", Of::Gauge, None, 70, 9)]);
    assert_eq!(values(&found), [(60.0, Value::Int(7))]);
    tested.send(&[ended("b", 80)]);
    assert_eq!(values(&tested.advance(120)), [(120.0, Value::None)]);
    assert_eq!(tested.advance(600), [], "it ended once");
}

#[test]
fn a_sum_that_can_fall_is_that_of_all_who_are_there() {
    let mut tested = Tested::new(&rule(r#""interval": "10s", "without": ["pod"]"#, NO_WAIT));
    let found = tested.send(&[
        point("a", Of::UpDown, 0, 5, 10),
        point("b", Of::UpDown, 0, 6, 1),
        point("a", Of::UpDown, 0, 15, 4),
        point("a", Of::UpDown, 0, 25, 3),
        point("b", Of::UpDown, 0, 31, 0),
    ]);
    assert_eq!(values(&found), [(10.0, Value::Int(11)), (20.0, Value::Int(5)), (30.0, Value::Int(4))]);
    assert!(found.iter().all(|out| out.kind == "cumulative"));
}

/// Case 24.
#[test]
fn a_stream_that_comes_back_after_it_was_forgotten_is_not_counted_twice() {
    for (staleness, counted) in [("60s", 0), ("300s", 15)] {
        let others = format!(r#"{NO_WAIT}, "staleness": "{staleness}""#);
        let mut tested = Tested::new(&rule(
            r#""interval": "10s", "outputs": ["increase"], "match": {"names": ["m"]}"#,
            &others,
        ));
        tested.send(&[point("a", CUMULATIVE, 0, 10, 10)]);
        // Another stream keeps the time going.
        tested.send(&[point("b", DELTA, 99, 100, 0)]);
        let found = tested.send(&[point("a", CUMULATIVE, 0, 105, 25), point("b", DELTA, 110, 111, 0)]);
        let of_a = found.iter().find(|out| out.labels.contains("pod=a")).expect("a window");
        assert_eq!((of_a.time, &of_a.value), (110.0, &Value::Int(counted)), "{staleness}");
    }
}

/// Case 25.
#[test]
fn a_window_that_is_let_out_early_ends_where_its_data_does() {
    let mut tested = Tested::new(&rule("\"by\": []", NO_WAIT));
    tested.send(&[point("a", DELTA, 0, 20, 4), point("a", DELTA, 20, 40, 5)]);
    let found = tested.drain();
    assert_eq!(values(&found), [(40.0, Value::Int(9))]);
    assert_eq!((found[0].start, found[0].partial), (0.0, true));
}

/// Case 21.
#[test]
fn five_aggregates_of_a_window_make_up_for_what_was_in_it() {
    let five = r#""interval": "5m", "outputs": ["count", "min", "max", "avg", "total"], "name": "{output}""#;
    let mut tested = Tested::new(&rule(five, r#""watermark": {"out_of_order": "0s", "partition": "none"}"#));
    let values = [1, 3, 5, 2, 4, 6, 1];
    let times = (0..).map(|minute| 1 + 60 * minute);
    let mut found = Vec::new();
    for (value, time) in values.into_iter().zip(times) {
        found.extend(tested.send(&[point("a", Of::Gauge, None, time, value)]));
        // The same as a counter, which falls twice: in a window, and from one to the next.
        found.extend(tested.send(&[point("a", CUMULATIVE, 0, time, value)]));
    }
    found.extend(tested.drain());
    let of = |name: &str, kind: &str, window: usize| {
        let found: Vec<_> = found.iter().filter(|out| out.name == name && out.kind == kind).collect();
        match found[window].value {
            Value::Int(value) => value as f64,
            Value::Double(value) => value,
            ref other => panic!("{other:?}"),
        }
    };
    let both = |name, kind| (of(name, kind, 0), of(name, kind, 1));
    assert_eq!((both("min", "gauge"), both("max", "gauge")), ((1.0, 1.0), (5.0, 6.0)));
    let gauge_counts: Vec<_> = found.iter().filter(|out| out.name == "count").map(|out| &out.value).collect();
    assert_eq!(
        gauge_counts,
        [5, 5, 2, 2].map(Value::Int).iter().collect::<Vec<_>>(),
        "of the gauge and the counter"
    );
    assert_eq!(both("avg", "gauge"), (15.0 / 5.0, 7.0 / 2.0), "sums of 15 and 7");
    assert_eq!(both("total", "cumulative"), (9.0, 12.0));
}

/// Case 22.
#[test]
fn rates_are_over_the_time_between_data_points() {
    let rates = r#""outputs": ["rate_sum", "rate_avg"], "without": ["pod"], "name": "{output}""#;
    let settings = rule(rates, NO_WAIT);
    let a = [point("a", CUMULATIVE, None, 60, 10), point("a", CUMULATIVE, None, 100, 50)];
    let b = [point("b", CUMULATIVE, None, 60, 1), point("b", CUMULATIVE, None, 110, 6)];
    // Whoever is seen first, and over a restart.
    for points in [[&a[0], &b[0], &a[1], &b[1]], [&b[0], &b[1], &a[0], &a[1]]] {
        for cut in 0..4 {
            let mut tested = Bare::new(&settings, &place());
            for (index, point) in points.into_iter().enumerate() {
                if index == cut {
                    let state = tested.aggregator.write_state();
                    let mut next = Bare::new(&settings, &place());
                    next.aggregator.restore_from(&state, tested.now);
                    next.found = tested.take();
                    tested = next;
                }
                tested.send(std::slice::from_ref(point));
            }
            tested.send(&[point("c", CUMULATIVE, 0, 121, 1000)]);
            let found: Vec<_> = tested.take().into_iter().filter(|out| out.time == 120.0).collect();
            let found: Vec<_> = found.iter().map(|out| (out.name.as_str(), &out.value)).collect();
            assert_eq!(
                found,
                [("rate_sum", &Value::Double(1.1)), ("rate_avg", &Value::Double(0.55))],
                "{cut}"
            );
            // One that is new has no rate.
            assert_eq!(tested.drain(), []);
        }
    }
}
