//! What senders get wrong, one by one: each has an answer, and is counted.

use super::*;

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

/// A request of one metric with one data point, whose attributes `put` writes.
fn odd(name: &[u8], put: impl FnOnce(&mut Vec<u8>)) -> Batch {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 2, |out| {
            put_message(out, 2, |out| {
                put_bytes(out, 1, name);
                put_message(out, 7, |out| {
                    put_message(out, 1, |out| {
                        put_fixed64(out, 2, BASE);
                        put_fixed64(out, 3, BASE + 10 * S);
                        put_fixed64(out, 6, 5);
                        put(out);
                    });
                    put_uint(out, 2, 1);
                    put_uint(out, 3, 1);
                });
            });
        });
    });
    Batch::new(Signal::Metrics, Payload::from(bytes::Bytes::from(out)), 1)
}

#[test]
fn a_start_behind_its_data_point_is_no_reason_to_count_anything() {
    let mut tested = Tested::new(&rule(r#""outputs": ["increase"]"#, NO_WAIT));
    tested.send(&[point("a", CUMULATIVE, 50, 10, 100), point("a", CUMULATIVE, 50, 20, 103)]);
    assert_eq!(values(&tested.drain()), [(20.0, Value::Int(3))]);
    assert_eq!(tested.counted("unknown_starts"), 1);
    // A delta is what it says.
    let mut tested = Tested::new(&rule(r#""outputs": ["increase"]"#, NO_WAIT));
    tested.send(&[point("a", DELTA, 50, 10, 7)]);
    assert_eq!(values(&tested.drain()), [(10.0, Value::Int(7))]);
}

#[test]
fn a_clock_that_is_a_day_off_holds_nobody_and_closes_nothing() {
    let day = 86_400;
    // A day ahead: it is taken to be where the clock is.
    let mut tested = Tested::new(&rule(r#""by": []"#, r#""watermark": {"out_of_order": "10s"}"#));
    let now = 3600;
    tested.send(&[point("a", DELTA, now - 20, now - 10, 1)]);
    tested.send(&[point("b", DELTA, now + day - 10, now + day, 2)]);
    assert_eq!(tested.counted("future"), 1);
    tested.send(&[point("a", DELTA, now - 10, now, 4)]);
    assert_eq!(
        (tested.dropped("late"), tested.dropped("out_of_order")),
        (0, 0),
        "windows stay open for others"
    );
    let sum: i64 = tested.drain().iter().map(|out| if let Value::Int(v) = out.value { v } else { 0 }).sum();
    assert_eq!(sum, 7);
    // A day behind: it is late, and the others do not wait for it.
    let mut tested = Tested::new(&rule(r#""by": []"#, ""));
    let mut found = tested.advance(2 * day);
    for step in 0..20 {
        found.extend(tested.send(&[point("a", DELTA, day + step * 10, day + step * 10 + 10, 1)]));
        found.extend(tested.send(&[point("b", DELTA, step * 10, step * 10 + 10, 100)]));
    }
    found.extend(tested.advance(31));
    let dropped = tested.dropped("late");
    assert!(dropped > 0, "it is told");
    assert_eq!(tested.counted("late"), dropped as i64);
    assert!(found.iter().any(|out| out.time > day as f64), "{found:?}");
}

#[test]
fn names_may_be_empty_and_labels_many() {
    let mut tested = Tested::new(&rule(r#""by": []"#, NO_WAIT));
    tested.harness.send(odd(b"", |out| put_attribute(out, 7, "", &"".into()))).expect("taken");
    let found = tested.drain();
    assert_eq!((found.len(), found[0].name.as_str(), &found[0].value), (1, "", &Value::Int(5)));
    // A million labels on one data point: it is one stream, which goes where its group does.
    let mut tested = Tested::new(&rule(r#""by": ["key.7"]"#, NO_WAIT));
    let many = |out: &mut Vec<u8>| {
        for number in 0..1_000_000 {
            put_attribute(out, 7, &format!("key.{number}"), &"v".into());
        }
    };
    tested.harness.send(odd(b"m", many)).expect("taken");
    assert_eq!((tested.counted("streams"), tested.counted("series")), (1, 1));
    let found = tested.drain();
    assert_eq!((found.len(), found[0].labels.as_str()), (1, "key.7=v"));
}

#[test]
fn numbers_may_change_between_whole_and_double() {
    let double = |time, value| In { says: Says::Double(value), ..point("a", CUMULATIVE, 0, time, 0) };
    let mut tested = Tested::new(&rule(r#""outputs": ["increase"]"#, NO_WAIT));
    tested.send(&[point("a", CUMULATIVE, 0, 10, 1), double(20, 1.5), point("a", CUMULATIVE, 0, 30, 4)]);
    // One stream: whether a sender counts or measures is no part of its identity.
    assert_eq!((tested.counted("streams"), tested.counted("resets")), (1, 0));
    assert_eq!(values(&tested.drain()), [(30.0, Value::Double(4.0))]);
}

#[test]
fn a_type_that_changes_is_another_series() {
    let mut tested = Tested::new(&rule(r#""outputs": ["sum", "last"], "name": "{output}""#, NO_WAIT));
    let explicit = Says::Explicit(vec![1.0], vec![1, 2], 3.0);
    tested.send(&[
        point("a", CUMULATIVE, 0, 10, 5),
        point("a", Of::Gauge, None, 20, 7),
        In { of: Of::Histogram(Temporality::Delta), says: explicit, ..point("a", DELTA, 20, 30, 0) },
        point("a", DELTA, 30, 40, 2),
    ]);
    assert_eq!(tested.counted("streams"), 4);
    let kinds: Vec<_> = tested.drain().into_iter().map(|out| (out.name, out.kind, out.value)).collect();
    for expected in [
        ("sum", "cumulative", Value::Int(5)),
        ("last", "gauge", Value::Int(7)),
        ("sum", "delta", Value::Explicit(vec![1.0], vec![1, 2], 3)),
        ("sum", "delta", Value::Int(2)),
    ] {
        let expected = (expected.0.to_owned(), expected.1, expected.2);
        assert!(kinds.contains(&expected), "{expected:?} in {kinds:?}");
    }
}

#[test]
fn bounds_that_change_narrow_what_comes_out_or_pass() {
    let says = |bounds: &[f64], counts: &[u64]| Says::Explicit(bounds.to_vec(), counts.to_vec(), 1.0);
    let at = |time, says| In {
        of: Of::Histogram(Temporality::Delta),
        says,
        ..point("a", DELTA, time - 10, time, 0)
    };
    let mut tested = Tested::new(&rule(r#""by": []"#, NO_WAIT));
    tested.send(&[at(10, says(&[1.0, 5.0, 10.0], &[1, 1, 1, 1])), at(20, says(&[1.0, 10.0], &[1, 1, 1]))]);
    // None in common: it is told, and does not count with the others.
    tested.send(&[at(30, says(&[3.0], &[1, 1]))]);
    let found = tested.drain();
    assert_eq!(tested.counted("incompatible"), 1);
    assert_eq!(values(&found), [(20.0, Value::Explicit(vec![1.0, 10.0], vec![2, 3, 2], 7))]);
}

#[test]
fn histograms_that_are_none_are_dropped_and_counted() {
    let histogram = |says| In { of: Of::Histogram(Temporality::Delta), says, ..point("a", DELTA, 0, 10, 0) };
    let mut tested = Tested::new(&rule(r#""by": []"#, NO_WAIT));
    let cases = [
        // Bounds that are no numbers, that fall, that are two of one; too few buckets.
        (vec![f64::NAN], vec![1, 1]),
        (vec![2.0, 1.0], vec![1, 1, 1]),
        (vec![1.0, 1.0], vec![1, 1, 1]),
        (vec![1.0, 2.0], vec![1, 1]),
        // Counts below zero: as they are on the wire, more than there are in all.
        (vec![1.0], vec![u64::MAX, 2]),
    ];
    let count = cases.len() as u64;
    for (bounds, counts) in cases {
        // The sum of counts may be more than a number holds.
        let total = counts.iter().fold(0_u64, |sum, count| sum.wrapping_add(*count));
        let mut batch = Vec::new();
        let point = histogram(Says::Explicit(bounds, vec![], 1.0));
        let Says::Explicit(bounds, ..) = &point.says else { unreachable!("it is one") };
        put_message(&mut batch, 1, |out| {
            put_message(out, 2, |out| {
                put_message(out, 2, |out| {
                    put_bytes(out, 1, b"h");
                    put_message(out, 9, |out| {
                        put_message(out, 1, |out| {
                            put_fixed64(out, 2, BASE);
                            put_fixed64(out, 3, BASE + 10 * S);
                            put_fixed64(out, 4, total);
                            put_message(out, 6, |out| {
                                counts.iter().for_each(|c| out.extend(c.to_le_bytes()))
                            });
                            put_message(out, 7, |out| {
                                bounds.iter().for_each(|b| out.extend(b.to_le_bytes()))
                            });
                        });
                        put_uint(out, 2, 1);
                    });
                });
            });
        });
        let batch = Batch::new(Signal::Metrics, Payload::from(bytes::Bytes::from(batch)), 1);
        tested.harness.send(batch).expect("a stage takes all");
    }
    assert_eq!(tested.dropped("invalid"), count);
    assert_eq!(tested.drain(), []);
}
