//! What happens where there is no room, and what is no data.

use super::*;

const NO_WAIT: &str = r#""watermark": {"out_of_order": "0s", "partition": "none"}"#;

/// Cases 15, 16 and 18.
#[test]
fn sums_beyond_the_limit_go_into_one_series_and_the_total_stays() {
    let pods = ["s1", "s2", "s3", "s4", "s5"];
    let points = |of| -> Vec<In> {
        pods.iter().zip(1..).map(|(pod, value)| point(pod, of, None, 10, value)).collect()
    };
    let mut tested = Tested::new(&rule("\"by\": [\"pod\"]", &format!(r#"{NO_WAIT}, "max_series": 3"#)));
    tested.send(&points(DELTA));
    let found = tested.drain();
    let found: Vec<_> = found.iter().map(|out| (out.labels.as_str(), out.value.clone())).collect();
    let expected = [("otel.metric.overflow=Bool(true)", 9), ("pod=s1", 1), ("pod=s2", 2), ("pod=s3", 3)];
    assert_eq!(found, expected.map(|(labels, value)| (labels, Value::Int(value))));
    assert_eq!(tested.counted("overflow"), 2);
    // Exactly as many as there is room for.
    let mut tested = Tested::new(&rule("\"by\": [\"pod\"]", &format!(r#"{NO_WAIT}, "max_series": 5"#)));
    tested.send(&points(DELTA));
    assert_eq!(tested.drain().len(), 5);
    // Gauges have nothing in common.
    let mut tested = Tested::new(&rule(
        "\"by\": [\"pod\"], \"outputs\": [\"max\"]",
        &format!(r#"{NO_WAIT}, "max_series": 3"#),
    ));
    tested.send(&points(Of::Gauge));
    assert_eq!((tested.drain().len(), tested.dropped("series_limit")), (3, 2));
}

/// Case 17.
#[test]
fn an_overflow_series_grows_whatever_its_streams_do() {
    let mut tested = Tested::new(&rule(
        "\"by\": [\"pod\"], \"interval\": \"10s\"",
        &format!(r#"{NO_WAIT}, "max_series": 2"#),
    ));
    let found = tested.send(&[
        point("s1", CUMULATIVE, None, 10, 1),
        point("s2", CUMULATIVE, None, 10, 1),
        point("s3", CUMULATIVE, None, 10, 100),
        point("s3", CUMULATIVE, None, 20, 130),
        point("s3", CUMULATIVE, None, 30, 10),
        point("s3", CUMULATIVE, None, 31, 10),
    ]);
    let overflow: Vec<_> = found.iter().filter(|out| out.labels.contains("overflow")).cloned().collect();
    assert_eq!(values(&overflow), [(10.0, Value::Int(0)), (20.0, Value::Int(30)), (30.0, Value::Int(40))]);
}

#[test]
fn streams_beyond_the_limit_are_dropped_and_counted() {
    let mut tested = Tested::new(&rule("\"by\": []", &format!(r#"{NO_WAIT}, "max_streams": 1"#)));
    tested.send(&[
        point("a", DELTA, None, 10, 1),
        point("b", DELTA, None, 10, 2),
        point("a", DELTA, None, 20, 4),
    ]);
    assert_eq!(tested.dropped("stream_limit"), 1);
    assert_eq!(values(&tested.drain()), [(20.0, Value::Int(5))]);
}

#[test]
fn what_is_no_number_is_dropped_and_counted() {
    let mut tested = Tested::new(&rule("\"outputs\": [\"max\", \"sum\"]", NO_WAIT));
    let says = |says, of| In { says, ..point("a", of, None, 10, 0) };
    let mut found = tested.send(&[
        says(Says::Double(f64::NAN), Of::Gauge),
        says(Says::Double(f64::INFINITY), DELTA),
        says(Says::Explicit(vec![1.0], vec![1], 1.0), Of::Histogram(Temporality::Delta)),
        says(Says::Explicit(vec![2.0, 1.0], vec![1, 1, 1], 1.0), Of::Histogram(Temporality::Delta)),
        In { time: 0, ..point("a", Of::Gauge, None, 0, 1) },
    ]);
    assert_eq!((tested.dropped("not_finite"), tested.dropped("invalid")), (2, 2));
    found.extend(tested.drain());
    assert_eq!(values(&found), [(0.0, Value::Int(1)), (0.0, Value::Int(1))]);
}

#[test]
fn duplicates_count_once() {
    let mut tested = Tested::new(&rule("\"by\": []", r#""watermark": {"out_of_order": "10s"}"#));
    let points = [point("a", DELTA, 0, 10, 1), point("a", DELTA, 10, 20, 2), point("a", DELTA, 20, 40, 4)];
    tested.send(&points);
    tested.send(&points);
    assert_eq!(tested.dropped("duplicate") + tested.dropped("out_of_order"), 3);
    assert_eq!(values(&tested.drain()), [(40.0, Value::Int(7))]);
}

#[test]
fn a_series_with_its_window_takes_at_most_400_bytes() {
    let settings = rule("\"by\": [\"pod\"]", NO_WAIT);
    let mut aggregator = aggregator(&settings, &Metrics::default(), &place(), 7, Lasting::default());
    let pods: Vec<&'static str> =
        (0..1000).map(|n| &*Box::leak(format!("checkout-7c9d8b6f5-{n:05}").into_boxed_str())).collect();
    let points: Vec<In> = pods.iter().map(|pod| point(pod, DELTA, 0, 10, 1)).collect();
    let mut out = phoenix_component::Output::with_room(100);
    let fragment = Fragment { batch: request(&points), ack: phoenix_component::Ack::none() };
    phoenix_component::Stage::ingest(&mut aggregator, fragment, Default::default(), &mut out);
    let streams = aggregator.streams.len();
    let series: usize = aggregator.plans.iter().map(|plan| plan.table.len()).sum();
    assert_eq!((streams, series), (1000, 1000));
    let bytes: usize = aggregator.plans[0].table.iter().map(|(_, series)| series.bytes() + 56).sum();
    // The head of each is its own here, since each pod is a resource.
    let heads: usize = aggregator.plans[0].table.iter().map(|(_, series)| series.head.bytes()).sum();
    assert!((bytes + heads) / series <= 450, "{} and {}", bytes / series, heads / series);
    assert!(bytes / series <= 400, "{}", bytes / series);
    // With a fingerprint, its place in two indexes and the hash of the bytes that it came in.
    let stream = size_of::<crate::stream::Stream>() + 16 + 2 * 11 + 16;
    let million = 1_000_000 * (bytes / series + stream);
    assert!(million <= 400 << 20, "streams and series, without what the series share: {million}");
}
