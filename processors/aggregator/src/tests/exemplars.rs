//! Exemplars stay with what they stand for.

use super::*;

/// An exemplar: its time, its value, and the last byte of its trace; without one for 0.
type Stands = (u64, f64, u8);

fn put_exemplar(out: &mut Vec<u8>, field: u32, (time, value, trace): Stands) {
    put_message(out, field, |out| {
        put_fixed64(out, 2, BASE + time * S);
        put_double(out, 3, value);
        if trace != 0 {
            put_bytes(out, 4, &[0, 0, 0, 0, 0, 0, 0, trace]);
            put_bytes(out, 5, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, trace]);
        }
    });
}

fn with_exemplars(point: &In, exemplars: &[Stands]) -> Batch {
    let (metric, field) = match point.of {
        Of::Histogram(_) => (9, 8),
        Of::Exponential(_) => (10, 11),
        _ => (7, 5),
    };
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| put_attribute(out, 1, "pod", &point.pod.into()));
        put_message(out, 2, |out| {
            put_message(out, 2, |out| {
                put_bytes(out, 1, b"m");
                put_message(out, metric, |out| {
                    put_message(out, 1, |out| {
                        put_point(out, point);
                        exemplars.iter().for_each(|exemplar| put_exemplar(out, field, *exemplar));
                    });
                    let is_delta = point.of != CUMULATIVE;
                    put_uint(out, 2, if is_delta { 1 } else { 2 });
                    if metric == 7 {
                        put_uint(out, 3, 1);
                    }
                });
            });
        });
    });
    Batch::new(Signal::Metrics, Payload::from(bytes::Bytes::from(out)), 1)
}

/// Of each data point that came out its end, and of its exemplars the time, value, trace and filtered attributes.
type Found = Vec<(u64, Vec<(u64, f64, u8, String)>)>;

fn read_exemplars(fragments: &[Fragment]) -> Found {
    let mut found = Found::new();
    let seconds = |nanos: u64| nanos.saturating_sub(BASE) / S;
    let read = |exemplars: view::Many<'_, view::Exemplar<'_>>| {
        let of = |exemplar: view::Exemplar<'_>| {
            let value = match exemplar.value() {
                Some(Number::Double(value)) => value,
                other => panic!("{other:?}"),
            };
            let attributes: Vec<String> = exemplar
                .filtered_attributes()
                .into_iter()
                .map(|attribute| attribute.key().to_string())
                .collect();
            let trace = exemplar.trace_id().last().copied().unwrap_or(0);
            (seconds(exemplar.time_unix_nano()), value, trace, attributes.join(","))
        };
        exemplars.iter().map(of).collect::<Vec<_>>()
    };
    for fragment in fragments {
        let records = fragment.batch.payload.resource_metrics().flat_map(|entry| entry.scopes());
        for metric in records.flat_map(|scope| scope.records()) {
            let mut push = |time, exemplars| found.push((seconds(time), read(exemplars)));
            match metric.data().expect("data") {
                Data::Sum(data) => {
                    data.data_points().into_iter().for_each(|p| push(p.time_unix_nano(), p.exemplars()));
                }
                Data::Histogram(data) => {
                    data.data_points().into_iter().for_each(|p| push(p.time_unix_nano(), p.exemplars()));
                }
                Data::ExponentialHistogram(data) => {
                    data.data_points().into_iter().for_each(|p| push(p.time_unix_nano(), p.exemplars()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    found.sort_by_key(|(time, _)| *time);
    found
}

impl Tested {
    fn send_with(&mut self, point: In, exemplars: &[Stands]) -> Found {
        self.harness.send(with_exemplars(&point, exemplars)).expect("a stage takes all");
        read_exemplars(&self.harness.take_released())
    }

    fn drain_exemplars(&mut self) -> Found {
        self.harness.drain();
        read_exemplars(&self.harness.take_released())
    }
}

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

#[test]
fn exemplars_of_sums_stay_with_what_was_aggregated_away() {
    let mut tested = Tested::new(&rule(r#""by": ["route"], "exemplars": 2"#, NO_WAIT));
    tested.send_with(point("a", DELTA, 0, 10, 1), &[(5, 1.0, 7), (6, 2.0, 0)]);
    tested.send_with(point("b", DELTA, 0, 20, 1), &[(15, 3.0, 8), (16, 4.0, 0)]);
    let found = tested.send_with(point("a", DELTA, 10, 70, 1), &[(65, 5.0, 0)]);
    let pod = || "pod".to_owned();
    // Those of traces are better than others.
    assert_eq!(found, [(60, vec![(5, 1.0, 7, pod()), (15, 3.0, 8, pod())])]);
    // Its data point belongs into the next window, and so does it.
    assert_eq!(tested.drain_exemplars(), [(70, vec![(65, 5.0, 0, pod())])]);
    let counted = |fate| tested.metrics.sum("phoenix_processor_aggregator_exemplars", &[("fate", fate)]);
    assert_eq!((counted("kept"), counted("dropped")), (3, 2));
}

#[test]
fn of_each_bucket_of_a_histogram_one_exemplar_stays() {
    let delta = Temporality::Delta;
    let explicit = Says::Explicit(vec![1.0, 10.0], vec![2, 2, 2], 40.0);
    let exponential = Says::Exponential(0, 0, vec![2, 2, 2]);
    for (of, says) in [(Of::Histogram(delta), explicit), (Of::Exponential(delta), exponential)] {
        let mut tested = Tested::new(&rule(r#""by": ["pod", "route"]"#, NO_WAIT));
        let measured = In { of, says, ..point("a", of, 0, 10, 0) };
        // Two in a bucket, with and without a trace, and one in another.
        tested.send_with(measured, &[(2, 0.9, 1), (3, 0.8, 0), (4, 20.0, 0)]);
        let found = tested.drain_exemplars();
        assert_eq!(found, [(10, vec![(2, 0.9, 1, String::new()), (4, 20.0, 0, String::new())])], "{of:?}");
    }
}

#[test]
fn tiers_and_cumulative_series_have_exemplars_within_their_times() {
    let tiers = r#""interval": "10s", "by": [], "tiers": [{"interval": "30s"}], "exemplars": 1"#;
    let mut tested = Tested::new(&rule(tiers, NO_WAIT));
    let mut found = Found::new();
    for step in 1..=4_u64 {
        let exemplar = (step * 10 - 5, step as f64, 1);
        found.extend(tested.send_with(point("a", CUMULATIVE, 0, step * 10, step as i64), &[exemplar]));
    }
    let times = |found: &Found| -> Vec<(u64, Vec<u64>)> {
        found.iter().map(|(end, all)| (*end, all.iter().map(|exemplar| exemplar.0).collect())).collect()
    };
    let expected = [(10, vec![5]), (20, vec![15]), (30, vec![25]), (30, vec![25]), (40, vec![35])];
    assert_eq!(times(&found), expected, "those of the tier are the best of its windows");
    // What is older than a delta is none of it, and a repetition is not another one.
    let mut tested = Tested::new(&rule(r#""interval": "10s", "by": [], "outputs": ["increase"]"#, NO_WAIT));
    tested.send_with(point("a", CUMULATIVE, 0, 5, 1), &[(1, 1.0, 1)]);
    tested.send_with(point("a", CUMULATIVE, 0, 15, 1), &[(1, 1.0, 1)]);
    let found = tested.send_with(point("a", CUMULATIVE, 0, 21, 1), &[]);
    assert_eq!(times(&found), [(20, vec![])]);
}

#[test]
fn none_are_kept_where_none_are_wanted_and_of_what_does_not_count() {
    let mut tested = Tested::new(&rule(r#""by": [], "exemplars": 0"#, NO_WAIT));
    tested.send_with(point("a", DELTA, 0, 10, 1), &[(5, 1.0, 1)]);
    assert_eq!(tested.drain_exemplars(), [(10, vec![])]);
    let mut tested = Tested::new(&rule(r#""by": []"#, NO_WAIT));
    tested.send_with(point("a", DELTA, 0, 10, 1), &[]);
    // A repetition, with one that is new.
    tested.send_with(point("a", DELTA, 0, 10, 1), &[(5, 1.0, 1)]);
    assert_eq!(tested.drain_exemplars(), [(10, vec![])]);
}

#[test]
fn exemplars_last_over_a_restart() {
    let tiers = r#""interval": "10s", "by": [], "tiers": [{"interval": "30s"}]"#;
    let settings = rule(tiers, NO_WAIT);
    let mut first = Bare::new(&settings, &place());
    let send = |bare: &mut Bare, time: u64, exemplars: &[Stands]| {
        let batch = with_exemplars(&point("a", DELTA, time - 9, time, 1), exemplars);
        let mut out = Output::with_room(100);
        bare.aggregator.ingest(Fragment { batch, ack: Ack::none() }, bare.now, &mut out);
        read_exemplars(&out.take_batches())
    };
    assert_eq!(send(&mut first, 9, &[(5, 1.0, 1)]), []);
    assert_eq!(send(&mut first, 19, &[(15, 2.0, 2)]), [(10, vec![(5, 1.0, 1, "route,pod".to_owned())])]);
    let state = first.aggregator.write_state();
    let mut second = Bare::new(&settings, &place());
    second.aggregator.restore_from(&state, second.now);
    let found = send(&mut second, 31, &[]);
    let traces: Vec<Vec<u8>> = found.iter().map(|(_, all)| all.iter().map(|e| e.2).collect()).collect();
    assert_eq!(traces, [vec![2], vec![1, 2]], "of the window, and of the tier: {found:?}");
}
