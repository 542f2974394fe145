use std::time::Duration;

use super::*;
use crate::view::{Aggregation, Selector};

const SENT: Description = Description { name: "sent", unit: "{span}", text: "Spans sent." };
const SIZE: Description = Description { name: "size", unit: "By", text: "Size." };
const TOOK: Description = Description { name: "took", unit: "s", text: "Time." };

#[test]
fn the_same_name_and_attributes_are_one_counter_over_all_threads() {
    let metrics = Metrics::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let counter = metrics.counter(SENT, &[("exporter", "otlp"), ("data_type", "traces")]);
            scope.spawn(move || (0..1000).for_each(|_| counter.add(1)));
        }
    });
    metrics.counter(SENT, &[("data_type", "traces"), ("exporter", "otlp")]).add(5);
    assert_eq!(metrics.sum("sent", &[("exporter", "otlp")]), 4005);
    assert_eq!(metrics.snapshot().len(), 1);
    assert_eq!(metrics.sum("sent", &[("exporter", "debug")]), 0);
}

#[test]
fn a_histogram_counts_by_bucket_over_all_threads() {
    let metrics = Metrics::default();
    let histogram = metrics.histogram(SIZE, &[], Measure::Count, &[10.0, 25.0, 50.0]);
    assert_eq!(metrics.snapshot(), [], "nothing was recorded");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let histogram = histogram.clone();
            scope.spawn(move || [0, 10, 11, 50, 51, 1000].map(|value| histogram.record(value)));
        }
    });
    let value = histogram.value();
    assert_eq!((value.counts.as_slice(), value.sum, value.count()), (&[8, 4, 4, 8][..], 4488.0, 24));

    let times = metrics.histogram(TOOK, &[], Measure::Seconds, &[0.005, 0.01]);
    let _ = [5, 6, 11].map(|millis| times.record_time(Duration::from_millis(millis)));
    times.record_time(Duration::from_nanos(5_000_001));
    let value = times.value();
    assert_eq!((value.counts.as_slice(), value.sum), (&[1, 2, 1][..], 0.027_000_001));
}

#[test]
fn what_is_above_the_level_is_neither_recorded_nor_shown() {
    let metrics = Metrics::default();
    let detailed = metrics.at(Level::Detailed).histogram(SIZE, &[], Measure::Count, &[]);
    metrics.counter(SENT, &[]).add(1);
    let shown = |metrics: &Metrics| {
        metrics.streams().iter().map(|stream| stream.name.clone().into_owned()).collect::<Vec<_>>()
    };
    detailed.record(7);
    assert!(!detailed.is_on());
    assert_eq!(shown(&metrics), ["sent"]);
    metrics.configure(Level::Detailed, Vec::new(), "1");
    detailed.record(7);
    assert_eq!((detailed.value().count(), shown(&metrics)), (1, vec!["sent".into(), "size".into()]));
    metrics.configure(Level::None, Vec::new(), "1");
    assert!(shown(&metrics).is_empty());
}

#[test]
fn quiet_counters_show_once_they_count_and_aliases_share() {
    let metrics = Metrics::default();
    let counter = metrics.quiet_counter(SENT, &[]);
    metrics.alias(&counter, Description { name: "also_sent", ..SENT }, &[]);
    assert!(metrics.snapshot().is_empty());
    counter.add(2);
    assert_eq!((metrics.sum("sent", &[]), metrics.sum("also_sent", &[])), (2, 2));
}

#[test]
fn observed_values_are_read_when_somebody_looks() {
    let metrics = Metrics::default();
    let gauge = Gauge::detached();
    let seen = gauge.clone();
    metrics.observe(SIZE, InstrumentKind::Gauge, &[], move || Some(Value::Int(seen.value())));
    gauge.set(5);
    assert_eq!(metrics.sum("size", &[]), 5);
    metrics.observe(SIZE, InstrumentKind::Gauge, &[], || None);
    assert!(metrics.snapshot().is_empty(), "the later one counts, and has nothing to say");
}

#[test]
fn too_many_series_become_one() {
    let metrics = Metrics::default();
    for index in 0..MAX_SERIES + 10 {
        metrics.counter(SENT, &[("peer", &index.to_string())]).add(1);
    }
    assert_eq!(metrics.snapshot().len(), MAX_SERIES + 1);
    assert_eq!(metrics.sum("sent", &[(OVERFLOW, "true")]), 10);
    metrics.counter(SENT, &[("peer", "7")]).add(1);
    assert_eq!(metrics.sum("sent", &[("peer", "7")]), 2);
}

#[test]
fn a_view_gives_a_histogram_other_bounds() {
    let metrics = Metrics::default();
    let histogram = metrics.histogram(SIZE, &[], Measure::Count, &[10.0]);
    histogram.record(5);
    let view = View {
        selector: Selector { instrument_name: Some("si*".to_owned()), ..Selector::default() },
        aggregation: Aggregation::Buckets([1.0, 2.0].into()),
        ..View::default()
    };
    metrics.configure(Level::Detailed, vec![view.clone()], "1");
    histogram.record(2);
    assert_eq!(histogram.value().counts, [0, 1, 0], "it starts afresh");
    metrics.configure(Level::Detailed, vec![view], "1");
    assert_eq!(histogram.value().count(), 1, "the same bounds change nothing");
    metrics.configure(Level::Detailed, Vec::new(), "1");
    assert_eq!(&*histogram.value().bounds, [10.0]);
}
