use super::super::model::{ExponentialHistogram, Histogram, Summary};
use super::*;

fn text(key: &str, value: &str) -> Vec<u8> {
    Attribute::encode(key.as_bytes(), AnyValue::Text(value.as_bytes().to_vec()))
}

fn sum(points: Vec<NumberDataPoint>, temporality: i32) -> Metric {
    Metric {
        data: Some(Data::Sum(Sum { data_points: points, temporality, is_monotonic: true })),
        metadata: vec![text("a", "b")],
        ..Metric::default()
    }
}

fn point(attributes: Vec<Vec<u8>>, start_time: u64, value: Number) -> NumberDataPoint {
    NumberDataPoint { attributes, start_time, time: 100, value: Some(value), ..NumberDataPoint::default() }
}

fn points(metric: &Metric) -> Vec<(usize, u64, Option<Number>)> {
    match &metric.data {
        Some(Data::Sum(sum)) => sum
            .data_points
            .iter()
            .map(|point| (point.attributes.len(), point.start_time, point.value))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_whole_numbers() {
    let all = [10, 25, 7];
    let metric = || {
        sum(
            all.iter()
                .zip(["x", "y", "z"])
                .map(|(&value, host)| point(vec![text("host", host)], value as u64, Number::Int(value)))
                .collect(),
            2,
        )
    };
    for (name, expected) in [("sum", 42), ("max", 25), ("min", 7), ("mean", 14), ("median", 10), ("count", 3)]
    {
        let mut metric = metric();
        on_attributes(&mut metric, name.parse().unwrap(), Some(&[])).unwrap();
        assert_eq!(points(&metric), [(0, 7, Some(Number::Int(expected)))], "{name}");
        assert!(metric.metadata.is_empty());
    }
    let mut kept = metric();
    on_attributes(&mut kept, Aggregation::Count, None).unwrap();
    assert_eq!(points(&kept).len(), 3);
    assert_eq!(points(&kept)[0].2, Some(Number::Int(10)), "a single point keeps its value");
}

#[test]
fn of_floating_point_numbers() {
    let values = [Number::Double(1.5), Number::Int(4), Number::Double(2.0), Number::Double(8.0)];
    for (name, expected) in
        [("sum", 15.5), ("max", 8.0), ("min", 1.5), ("mean", 3.875), ("median", 3.0), ("count", 4.0)]
    {
        let mut metric = sum(values.iter().map(|&value| point(Vec::new(), 1, value)).collect(), 2);
        on_attributes(&mut metric, name.parse().unwrap(), None).unwrap();
        assert_eq!(points(&metric), [(0, 1, Some(Number::Double(expected)))], "{name}");
    }
}

#[test]
fn only_what_is_alike_falls_together() {
    let two = |first: Vec<Vec<u8>>, second: Vec<Vec<u8>>, temporality| {
        let mut metric =
            sum(vec![point(first, 1, Number::Int(1)), point(second, 2, Number::Int(2))], temporality);
        on_attributes(&mut metric, Aggregation::Sum, Some(&["a", "b"])).unwrap();
        points(&metric).len()
    };
    let (a, b) = (text("a", "1"), text("b", "2"));
    assert_eq!(two(vec![a.clone(), b.clone()], vec![b.clone(), a.clone()], 2), 1, "in any order");
    assert_eq!(two(vec![a.clone(), text("c", "3")], vec![a.clone()], 2), 1);
    assert_eq!(two(vec![a.clone()], vec![b], 2), 2);
    assert_eq!(two(vec![a.clone()], vec![a], DELTA), 2, "deltas of other times");
    let mut metric = sum(
        vec![
            point(vec![text("h", "a")], 1, Number::Int(1)),
            point(vec![text("h", "b")], 1, Number::Int(2)),
            point(vec![text("h", "c")], 1, Number::Int(4)),
        ],
        2,
    );
    on_attribute_value(&mut metric, Aggregation::Sum, "h", &["a", "b"], "all").unwrap();
    assert_eq!(
        points(&metric).iter().map(|point| point.2).collect::<Vec<_>>(),
        [Some(Number::Int(3)), Some(Number::Int(4))]
    );
}

#[test]
fn of_histograms() {
    let point = |counts: &[u64], min: f64| HistogramDataPoint {
        count: counts.iter().sum(),
        sum: Some(1.0),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![1.0],
        min: Some(min),
        ..HistogramDataPoint::default()
    };
    let other = HistogramDataPoint { explicit_bounds: vec![2.0], ..point(&[1, 1], 0.0) };
    let mut metric = Metric {
        data: Some(Data::Histogram(Histogram {
            data_points: vec![point(&[1, 2], 0.5), point(&[3, 4], 0.25), other],
            temporality: 2,
        })),
        ..Metric::default()
    };
    on_attributes(&mut metric, Aggregation::Max, None).unwrap();
    let Some(Data::Histogram(data)) = &metric.data else { panic!("a histogram") };
    assert_eq!(data.data_points.len(), 2);
    let merged = &data.data_points[0];
    assert_eq!(
        (merged.count, merged.sum, merged.min, merged.bucket_counts.as_slice()),
        (10, Some(2.0), Some(0.25), &[4, 6][..])
    );
    let point = |counts: &[u64]| ExponentialDataPoint {
        count: 2,
        zero_count: 1,
        positive: Some(Buckets { offset: 1, bucket_counts: counts.to_vec() }),
        ..ExponentialDataPoint::default()
    };
    let mut metric = Metric {
        data: Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![point(&[1]), point(&[1, 2])],
            temporality: 2,
        })),
        ..Metric::default()
    };
    on_attributes(&mut metric, Aggregation::Sum, None).unwrap();
    let Some(Data::ExponentialHistogram(data)) = &metric.data else { panic!("an exponential histogram") };
    let merged = &data.data_points[0];
    assert_eq!(
        (
            merged.count,
            merged.zero_count,
            merged.positive.as_ref().map(|buckets| buckets.bucket_counts.clone())
        ),
        (4, 2, Some(vec![2, 2]))
    );
}

#[test]
fn summaries_are_refused() {
    let mut metric = Metric { data: Some(Data::Summary(Summary::default())), ..Metric::default() };
    assert!(on_attributes(&mut metric, Aggregation::Sum, None).is_err());
    assert!(on_attribute_value(&mut metric, Aggregation::Sum, "a", &[], "b").is_err());
    assert!("p99".parse::<Aggregation>().is_err());
}
