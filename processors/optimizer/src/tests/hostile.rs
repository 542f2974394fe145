//! Input that nobody should send. Each has a defined answer, is counted, and leaves the stream beside it alone.

use bytes::Bytes;
use phoenix_component::Batch;
use phoenix_pdata::{Payload, Signal, write};
use serde_json::{Value, json};

use super::data::*;
use super::histograms::exponential;

const RULE: &str = "{name: all, drop_labels: [pod], gauges: sum}";

/// Sends something bad among what is good, and gives what was let out of the bad; the good one is as it would be alone.
fn beside_a_good_stream(mut bad: impl FnMut(&mut Fixture, i64)) -> (Vec<Row>, Fixture) {
    let mut fixture = optimizer(RULE);
    fixture.send("", gauge("first", &[("", -1, 0, 1.0)]));
    let mut found = Vec::new();
    let mut good = Vec::new();
    for round in 0..4 {
        let time = 10 * round + 5;
        fixture.send("", counter("good", &[("pod=a x=y", 0, time, time as f64)]));
        bad(&mut fixture, time);
        let (own, others): (Vec<Row>, Vec<Row>) =
            fixture.advance(10).into_iter().partition(|row| row.0 == "good");
        good.extend(own.into_iter().map(|row| (row.1, row.2, row.3, row.4)));
        found.extend(others.into_iter().filter(|row| row.0 != "first"));
    }
    let expected = [5, 15, 25, 35].map(|time| ("|x=y".to_owned(), 0, time, time.to_string()));
    assert_eq!(good, expected, "the good stream");
    fixture.harness.books().assert_balanced();
    (found, fixture)
}

fn values(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.4.as_str()).collect()
}

#[test]
fn points_out_of_order_and_again() {
    let (found, fixture) = beside_a_good_stream(|fixture, time| {
        let points = [("pod=a", 0, time, time as f64), ("pod=a", 0, time - 2, 1.0), ("pod=a", 0, time, 99.0)];
        fixture.send("", counter("bad", &points));
    });
    assert_eq!(values(&found), ["5", "15", "25", "35"]);
    assert_eq!([fixture.ignored("out_of_order"), fixture.ignored("duplicate")], [4, 4]);
}

#[test]
fn deltas_that_are_sent_again_count_once_however_late() {
    let (found, fixture) = beside_a_good_stream(|fixture, time| {
        let end = time + 10;
        // Everything so far again, as senders do that heard no answer; the first two come newest first.
        let mut points = [("pod=a", end - 10, end - 5, 1.0), ("pod=a", end - 5, end, 2.0)];
        if time == 5 {
            points.reverse();
        }
        fixture.send("", deltas("bad", &points));
        for start in (5..end).step_by(5) {
            fixture.send("", deltas("bad", &[("pod=a", start, start + 5, 4.0)]));
        }
    });
    assert_eq!(values(&found), ["3"; 4]);
    assert_eq!(fixture.ignored("duplicate"), 2 + 4 + 6 + 8);
}

#[test]
fn deltas_from_before_a_gap_that_are_sent_again_count_once() {
    let (found, fixture) = beside_a_good_stream(|fixture, time| {
        // Half of each ten seconds is missing; then everything comes again, of all rounds, and in the last round what was missing.
        for start in (0..=time / 10).rev().map(|round| 10 * round) {
            fixture.send("", deltas("bad", &[("pod=a", start, start + 5, 2.0)]));
        }
        if time == 35 {
            for start in (5..time).step_by(10) {
                fixture.send("", deltas("bad", &[("pod=a", start, start + 5, 3.0)]));
            }
        }
    });
    assert_eq!(values(&found), ["2", "2", "2", "11"]);
    assert_eq!(fixture.ignored("duplicate"), 1 + 2 + 3);
}

#[test]
fn deltas_that_came_late_and_were_not_overtaken_go_out_at_the_end() {
    let mut fixture = optimizer("{name: p, match: {types: [counter]}, drop_labels: [pod]}");
    fixture.send("", deltas("d", &[("pod=a", 20, 30, 4.0)]));
    assert_eq!(short(&fixture.advance(10)), [("|", 20, 30, "4")]);
    // The other pod was slow; nothing newer comes before the end.
    fixture.send("", deltas("d", &[("pod=b", 10, 20, 5.0)]));
    assert_eq!(fixture.advance(10), []);
    assert_eq!(fixture.drain().into_iter().map(|row| row.4).collect::<Vec<_>>(), ["5"]);
}

#[test]
fn starts_of_zero_and_behind_the_point() {
    for start in [-1, 1_000_000] {
        let (found, _) = beside_a_good_stream(|fixture, time| {
            fixture.send("", counter("bad", &[("pod=a", start, time, 100.0 + time as f64)]));
        });
        assert_eq!(values(&found), ["0", "10", "20", "30"], "a baseline, then increments: start {start}");
    }
}

#[test]
fn another_temporality_type_or_unit_is_another_metric() {
    let (found, _) = beside_a_good_stream(|fixture, time| {
        fixture.send("", counter("bad", &[("pod=a", 0, time, time as f64)]));
        fixture.send("", deltas("bad", &[("pod=a", time - 10, time, 1.0)]));
        fixture.send("", sum("bad", 2, false, &[("pod=a", 0, time, 7.0)]));
        fixture.send("", gauge("bad", &[("pod=a", -1, time, 8.0)]));
        let mut other = counter("bad", &[("pod=a", 0, time, 1000.0)]);
        other["unit"] = json!("s");
        fixture.send("", other);
    });
    let mut last: Vec<&str> = values(&found).into_iter().rev().take(5).collect();
    last.sort_unstable();
    assert_eq!(last, ["1", "1000", "35", "7", "8"]);
}

#[test]
fn integers_and_doubles_in_turn() {
    let (found, _) = beside_a_good_stream(|fixture, time| {
        let value = if time % 20 == 5 { time as f64 } else { time as f64 + 0.5 };
        fixture.send("", counter("bad", &[("pod=a", 0, time, value)]));
    });
    assert_eq!(values(&found), ["5", "15.5", "25", "35.5"]);
}

#[test]
fn numbers_that_are_none() {
    let (found, fixture) = beside_a_good_stream(|fixture, time| {
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            fixture.send("", counter("bad", &[("pod=a", 0, time, value)]));
        }
        fixture.send("", gauge("bad", &[("pod=a", -1, time, f64::NAN)]));
    });
    assert_eq!(found, []);
    assert_eq!([fixture.ignored("not_finite"), fixture.ignored("negative")], [12, 4]);
}

#[test]
fn stale_markers_of_streams_that_were_never_there() {
    let (found, _) = beside_a_good_stream(|fixture, time| {
        let mut stale = counter("bad", &[("pod=a", 0, time, 0.0)]);
        stale["sum"]["dataPoints"][0]["flags"] = json!(1);
        fixture.send("", stale);
    });
    assert_eq!(found, []);
}

#[test]
fn bounds_that_change() {
    let (found, _) = beside_a_good_stream(|fixture, time| {
        let count = time as u64;
        let (bounds, counts): (&[f64], &[u64]) = match time {
            5 | 15 => (&[1.0, 2.0], &[count, 0, 0]),
            _ => (&[1.0, 3.0], &[count, 0, 0]),
        };
        fixture.send("", histogram(2, ("pod=a", 0, time), bounds, counts, 0.0));
    });
    // What was let out keeps its bounds; the stream with others goes on by itself.
    assert_eq!(values(&found), ["[1,2] [5,0,0] count 5 sum 0", "[1,2] [15,0,0] count 15 sum 0"]);
}

#[test]
fn bounds_that_change_where_all_that_is_let_out_stays() {
    // Of what is let out only the bound 1 is needed, so that the stream goes into it whatever its others are.
    let (found, fixture) = beside_a_good_stream(|fixture, time| {
        let count = time as u64;
        fixture.send("", histogram(2, ("pod=b", 0, time), &[1.0], &[1, 0], 0.0));
        let bounds: &[f64] = if time < 25 { &[1.0, 2.0] } else { &[1.0, 3.0] };
        fixture.send("", histogram(2, ("pod=a", 0, time), bounds, &[count, 0, 0], 0.0));
    });
    // What came between 15 and 25 cannot be told by bucket; nothing counts twice.
    let expected = ["[1] [6,0] count 6 sum 0", "[1] [16,0] count 16 sum 0", "[1] [16,0] count 16 sum 0"];
    assert_eq!(values(&found), [&expected[..], &["[1] [26,0] count 26 sum 0"]].concat());
    assert_eq!(fixture.ignored("unknown_start"), 1);
}

#[test]
fn histograms_that_contradict_themselves() {
    let (found, fixture) = beside_a_good_stream(|fixture, time| {
        let whole = |change: &dyn Fn(&mut Value)| {
            let mut metric = histogram(1, ("pod=a", time - 10, time), &[1.0, 2.0], &[1, 2, 3], 1.0);
            change(&mut metric["histogram"]["dataPoints"][0]);
            metric
        };
        fixture.send("", whole(&|point| point["count"] = json!("7")));
        fixture.send("", whole(&|point| point["explicitBounds"] = json!([2.0, 1.0])));
        fixture.send("", whole(&|point| point["bucketCounts"] = json!(["6"])));
        let mut metric = exponential(1, ("pod=a", time - 10, time), 0, 0, &[1, 2]);
        metric["exponentialHistogram"]["dataPoints"][0]["scale"] = json!(50);
        fixture.send("", metric);
    });
    assert_eq!(found, []);
    assert_eq!(fixture.ignored("malformed"), 16);
}

#[test]
fn buckets_below_zero_are_added_as_well() {
    let (found, _) = beside_a_good_stream(|fixture, time| {
        for pod in ["pod=a", "pod=b"] {
            let mut metric = exponential(1, (pod, time - 10, time), 0, 0, &[]);
            let point = &mut metric["exponentialHistogram"]["dataPoints"][0];
            point["negative"] = json!({"offset": -1, "bucketCounts": ["1", "2"]});
            point["count"] = json!("3");
            fixture.send("", metric);
        }
    });
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|row| row.4.ends_with("count 6")), "{found:?}");
}

#[test]
fn a_clock_that_is_a_day_off() {
    for (off, ahead) in [(86_400_i64, 4), (-86_400, 0)] {
        let (found, fixture) = beside_a_good_stream(|fixture, time| {
            let mut metric = counter("bad", &[("pod=a", -1, time, time as f64)]);
            let at = (EPOCH as i64 + time + off) * 1_000_000_000;
            metric["sum"]["dataPoints"][0]["timeUnixNano"] = json!(at.to_string());
            fixture.send("", metric);
        });
        assert_eq!(values(&found), ["0", "10", "20", "30"], "{off}");
        assert_eq!(fixture.ignored("clock_ahead"), ahead, "{off}");
    }
}

#[test]
fn a_clock_that_is_set_right_again() {
    let (found, fixture) = beside_a_good_stream(|fixture, time| {
        let off = if time < 20 { 86_400 } else { 0 };
        let mut metric = counter("bad", &[("pod=a", 0, time, time as f64)]);
        let point = &mut metric["sum"]["dataPoints"][0];
        for (key, at) in [("startTimeUnixNano", 1), ("timeUnixNano", time)] {
            point[key] = json!(((EPOCH as i64 + at + off) * 1_000_000_000).to_string());
        }
        fixture.send("", metric);
    });
    // It began before anything came, by as long as its first point says.
    assert_eq!(values(&found), ["0", "10", "20", "30"]);
    assert_eq!([fixture.ignored("clock_ahead"), fixture.ignored("out_of_order")], [2, 0]);
}

#[test]
fn counts_beyond_all_measure_stay_at_the_greatest_number() {
    const HALF: u64 = 1 << 63;
    let rule = "{name: all, drop_labels: [pod], gauges: sum, \
        histograms: {choose_bounds: {learn: 0s, at_least: 1, budgets: [{quantile: .5, error: .1}]}}}";
    for temporality in [1, 2] {
        let mut fixture = optimizer(rule);
        fixture.send("", gauge("first", &[("", -1, 0, 1.0)]));
        for (pod, offset) in [("pod=a", 0), ("pod=b", 1), ("pod=c", 2)] {
            let mut metric = exponential(temporality, (pod, 0, 5), 0, offset, &[HALF]);
            metric["exponentialHistogram"]["dataPoints"][0]["zeroThreshold"] =
                json!(if offset == 2 { 3.0 } else { 0.0 });
            fixture.send("", metric);
            fixture.send("", histogram(temporality, (pod, 0, 5), &[1.0, 2.0], &[0, HALF, 0], 1.0));
            fixture.send("", sum("s", temporality, true, &[(pod, 0, 5, i64::MAX as f64)]));
        }
        let mut found = fixture.advance(10);
        found.retain(|row| row.0 != "first");
        let all = u64::MAX;
        assert!(found[0].4.ends_with(&format!("count {all}")), "{found:?}");
        assert_eq!(found[1].4, format!("[1,2] [0,{all},0] count {all} sum 3"));
        assert!(found[2].4.starts_with("27670116110564"), "{found:?}");
        assert_eq!(fixture.advance(20).len(), 0);
        fixture.harness.books().assert_balanced();
    }
}

#[test]
fn names_and_labels_that_are_empty() {
    let (found, _) = beside_a_good_stream(|fixture, time| {
        let mut metric = counter("", &[("pod=a", 0, time, time as f64)]);
        metric["sum"]["dataPoints"][0]["attributes"] =
            json!([{"key": "", "value": {}}, {"key": "pod", "value": {"stringValue": ""}}]);
        fixture.send("", metric);
    });
    assert_eq!(values(&found), ["5", "15", "25", "35"]);
    assert!(found.iter().all(|row| row.0.is_empty()));
}

#[test]
fn a_million_labels_on_one_point() {
    let mut request = Vec::new();
    write::put_message(&mut request, 1, |entry| {
        write::put_message(entry, 2, |scope| {
            write::put_message(scope, 2, |metric| {
                write::put_bytes(metric, 1, b"bad");
                write::put_message(metric, 7, |sum| {
                    write::put_message(sum, 1, |point| {
                        write::put_fixed64(point, 2, EPOCH * 1_000_000_000);
                        write::put_fixed64(point, 3, (EPOCH + 5) * 1_000_000_000);
                        write::put_fixed64(point, 6, 3);
                        for label in 0..1_000_000_u32 {
                            write::put_attribute(point, 7, &format!("pod.{label}"), &"x".into());
                        }
                    });
                    write::put_uint(sum, 2, 2);
                    write::put_uint(sum, 3, 1);
                });
            });
        });
    });
    let mut fixture = optimizer("{name: all, match: {types: [counter]}, drop_labels: ['pod.*']}");
    fixture.send("", gauge("first", &[("", -1, 0, 1.0)]));
    fixture.send("", counter("good", &[("pod.1=a", 0, 5, 7.0)]));
    let batch = Batch::new(Signal::Metrics, Payload::from(Bytes::from(request)), 1);
    fixture.harness.send(batch).expect("taken");
    let rows = fixture.advance(10);
    let found: Vec<_> = rows.iter().map(|row| (row.0.as_str(), row.1.as_str(), row.4.as_str())).collect();
    assert_eq!(found, [("bad", "|", "3"), ("good", "|", "7")]);
}
