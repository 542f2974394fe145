//! Aggregates of parts, aggregated again, are those of the whole: sidecars that each see some of the streams, and a gateway.

use proptest::prelude::*;

use super::properties::{PODS, shuffle, stories, tell};
use super::*;

/// Windows of the sidecars and of the gateway, in seconds.
const PART: u64 = 5;
const WHOLE: u64 = 20;

fn settings(interval: u64, by: &str, out_of_order: u64) -> AggregatorConfig {
    let rules = format!(
        r#"[{{"id": "r", "interval": "{interval}s", "by": [{by}], "match": {{"kinds": ["counter", "histogram", "exponential_histogram"]}}, "temporality": "delta"}}]"#
    );
    config(&format!(
        r#"{{"rules": {rules}, "watermark": {{"out_of_order": "{out_of_order}s", "max_out_of_order": "300s", "partition": "none"}}, "first_sample": "count"}}"#
    ))
}

/// What comes out of all of it, as requests.
fn aggregated(config: &AggregatorConfig, requests: Vec<Batch>) -> Vec<Batch> {
    let metrics = Metrics::default();
    let mut aggregator = aggregator(config, &metrics, &place(), 7, Lasting::default());
    let now = Now { monotonic: Duration::from_secs(1000), unix_nanos: BASE + 3600 * S };
    let mut out = Output::with_room(usize::MAX);
    for batch in requests {
        aggregator.ingest(Fragment { batch, ack: Ack::none() }, now, &mut out);
    }
    assert_eq!(aggregator.drain(now, &mut out), Drained::Done);
    assert_eq!(metrics.sum("phoenix_processor_aggregator_late", &[("action", "dropped")]), 0);
    out.take_batches().into_iter().map(|fragment| fragment.batch).collect()
}

/// Each window as one number of each kind: sums of counters, and of all buckets by their place.
fn windows(batches: &[Batch]) -> BTreeMap<(String, u64), i64> {
    let mut windows = BTreeMap::new();
    for out in batches.iter().flat_map(read) {
        let end = (out.time as u64).div_ceil(WHOLE) * WHOLE;
        let mut add = |what: String, value: i64| *windows.entry((what, end)).or_insert(0) += value;
        match out.value {
            Value::Int(value) => add("sum".to_owned(), value),
            Value::Explicit(_, counts, count) => {
                add("count".to_owned(), count as i64);
                for (place, count) in counts.iter().enumerate() {
                    add(format!("bucket {place}"), *count as i64);
                }
            }
            Value::Exponential(scale, offset, counts, _) => {
                for (place, count) in counts.iter().enumerate() {
                    add(format!("scale {scale}, bucket {}", place as i32 + offset), *count as i64);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    windows.retain(|_, value| *value != 0);
    windows
}

/// Counters as they are; deltas also as histograms of both kinds.
fn points_of(told: Vec<In>) -> Vec<In> {
    let mut points = Vec::new();
    for point in told {
        if let (DELTA, Says::Int(value)) = (point.of, &point.says) {
            let count = value.unsigned_abs();
            let delta = Temporality::Delta;
            let explicit = Says::Explicit(vec![1.0, 2.0], vec![count, 1, count / 2], 1.0);
            points.push(In { of: Of::Histogram(delta), says: explicit, ..point.clone() });
            let exponential = Says::Exponential(2, (count % 7) as i32, vec![count, 1]);
            points.push(In { of: Of::Exponential(delta), says: exponential, ..point.clone() });
        }
        points.push(point);
    }
    points
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn parts_merge_to_what_one_would_have_made(
        stories in stories(),
        jitter in prop::collection::vec(0u64..1000, 1..80),
        edges in prop::collection::vec(0usize..2, PODS.len()..=PODS.len()),
        cut in 1usize..9,
    ) {
        let told: Vec<Vec<In>> =
            PODS.iter().zip(&stories).map(|(pod, story)| points_of(tell(pod, story))).collect();
        let arrivals = shuffle(&told, &jitter);
        let requests = |points: &[In]| points.chunks(cut).map(request).collect::<Vec<_>>();
        let direct = aggregated(&settings(WHOLE, "", 15), requests(&arrivals));

        let mut parts = Vec::new();
        for edge in 0..2 {
            let of_edge = |point: &&In| PODS.iter().position(|pod| *pod == point.pod).is_some_and(|pod| edges[pod] == edge);
            let seen: Vec<In> = arrivals.iter().filter(of_edge).cloned().collect();
            // Pods are what a sidecar has of its own here.
            parts.extend(aggregated(&settings(PART, "\"pod\"", 15), requests(&seen)));
        }
        // One sidecar after the other: the gateway waits for as long as that takes here.
        let merged = aggregated(&settings(WHOLE, "", 300), parts);
        prop_assert_eq!(windows(&merged), windows(&direct));
    }
}
