//! The same as an OTLP request, for backends that are pushed to.

use std::time::{SystemTime, UNIX_EPOCH};

use phoenix_pdata::view::AnyValue;
use phoenix_pdata::wire::Wire;
use phoenix_pdata::write::{
    put_attribute, put_bytes, put_double, put_fixed64, put_key, put_message, put_uint, put_varint,
};

use crate::instruments::HistogramValue;
use crate::metrics::{InstrumentKind, Point, Stream, Value};
use crate::resource::Resource;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// The times of a request.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When counting began.
    pub started: SystemTime,
    /// When the values were read.
    pub now: SystemTime,
}

/// An `ExportMetricsServiceRequest` of all streams, and how many data points it has. Sums are cumulative.
/// `version` is that of the scopes.
pub fn encode(streams: &[Stream], resource: &Resource, version: &str, times: Times) -> (Vec<u8>, u64) {
    let mut scopes: Vec<&'static str> = streams.iter().map(|stream| stream.scope).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let mut out = Vec::with_capacity(16 * 1024);
    put_message(&mut out, 1, |out| {
        put_message(out, 1, |out| {
            for (key, value) in &resource.attributes {
                put_attribute(out, 1, key, &AnyValue::from(value.as_str()));
            }
        });
        for scope in scopes {
            put_message(out, 2, |out| {
                put_message(out, 1, |out| {
                    put_bytes(out, 1, scope.as_bytes());
                    put_bytes(out, 2, version.as_bytes());
                });
                for stream in streams.iter().filter(|stream| stream.scope == scope) {
                    put_message(out, 2, |out| metric(out, stream, times));
                }
            });
        }
        if !resource.schema_url.is_empty() {
            put_bytes(out, 3, resource.schema_url.as_bytes());
        }
    });
    let points = streams.iter().map(|stream| stream.points.len() as u64).sum();
    (out, points)
}

fn metric(out: &mut Vec<u8>, stream: &Stream, times: Times) {
    put_bytes(out, 1, stream.name.as_bytes());
    put_bytes(out, 2, stream.text.as_bytes());
    put_bytes(out, 3, stream.unit.as_bytes());
    let kind = match stream.kind {
        InstrumentKind::Gauge => 5,
        InstrumentKind::Counter | InstrumentKind::UpDownCounter => 7,
        InstrumentKind::Histogram => 9,
    };
    put_message(out, kind, |out| {
        for point in &stream.points {
            put_message(out, 1, |out| match &point.value {
                Value::Histogram(value) => histogram(out, point, value, times),
                number_value => number(out, point, number_value, times),
            });
        }
        if kind != 5 {
            put_uint(out, 2, CUMULATIVE);
        }
        if stream.kind == InstrumentKind::Counter {
            put_uint(out, 3, 1);
        }
    });
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn number(out: &mut Vec<u8>, point: &Point, value: &Value, times: Times) {
    put_fixed64(out, 2, nanos(times.started));
    put_fixed64(out, 3, nanos(times.now));
    match value {
        Value::Int(value) => put_fixed64(out, 6, *value as u64),
        Value::Float(value) => put_double(out, 4, *value),
        Value::Histogram(_) => {}
    }
    attributes(out, 7, point);
}

fn histogram(out: &mut Vec<u8>, point: &Point, value: &HistogramValue, times: Times) {
    put_fixed64(out, 2, nanos(times.started));
    put_fixed64(out, 3, nanos(times.now));
    put_fixed64(out, 4, value.count());
    put_double(out, 5, value.sum);
    packed(out, 6, value.counts.iter().copied());
    packed(out, 7, value.bounds.iter().map(|bound| bound.to_bits()));
    attributes(out, 9, point);
}

/// A packed field of numbers of eight bytes.
fn packed(out: &mut Vec<u8>, number: u32, values: impl ExactSizeIterator<Item = u64>) {
    put_key(out, number, Wire::Len);
    put_varint(out, 8 * values.len() as u64);
    values.for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn attributes(out: &mut Vec<u8>, number: u32, point: &Point) {
    for (key, value) in &point.attributes {
        put_attribute(out, number, key, &AnyValue::from(value.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
    use prost::Message as _;

    use super::*;
    use crate::{Description, Level, Measure, Metrics};

    #[test]
    fn what_is_encoded_is_what_prost_reads() {
        let metrics = Metrics::default();
        metrics.configure(Level::Detailed, Vec::new(), "1");
        let describe = |name| Description { name, unit: "s", text: "Text." };
        metrics.counter(describe("otelcol_exporter_sent_spans"), &[("exporter", "x")]).add(7);
        metrics.gauge(describe("g"), &[]).set(-4);
        metrics.up_down_counter(describe("u"), &[]).add(3);
        metrics.time_counter(describe("t"), &[]).add(Duration::from_millis(1500));
        let histogram = metrics.histogram(describe("h"), &[], Measure::Seconds, &[0.5, 1.0]);
        let _ = [0.25, 2.0].map(|seconds| histogram.record_time(Duration::from_secs_f64(seconds)));
        let resource = Resource {
            attributes: vec![("service.name".into(), "phoenix".into())],
            schema_url: "https://example.com/1".into(),
        };
        let times = Times {
            started: UNIX_EPOCH + Duration::from_nanos(5),
            now: UNIX_EPOCH + Duration::from_nanos(9),
        };
        let (bytes, points) = encode(&metrics.streams(), &resource, "2", times);
        let request = ExportMetricsServiceRequest::decode(&bytes[..]).expect("valid");
        let outer = &request.resource_metrics[0];
        assert_eq!((points, outer.schema_url.as_str()), (5, "https://example.com/1"));
        assert_eq!(outer.resource.as_ref().unwrap().attributes[0].key, "service.name");
        let scopes: Vec<_> = outer
            .scope_metrics
            .iter()
            .map(|scope| scope.scope.as_ref().map(|scope| (scope.name.as_str(), scope.version.as_str())))
            .collect();
        let helper = "go.opentelemetry.io/collector/exporter/exporterhelper";
        assert_eq!(scopes, [Some((helper, "2")), Some(("phoenix", "2"))]);
        let data = |name: &str| {
            let mut all = outer.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            all.find(|metric| metric.name == name).and_then(|metric| metric.data.clone()).expect("there")
        };
        let Data::Sum(sum) = data("otelcol_exporter_sent_spans") else { panic!() };
        let point = &sum.data_points[0];
        assert_eq!((sum.is_monotonic, sum.aggregation_temporality), (true, 2));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
        assert_eq!((point.value, point.attributes[0].key.as_str()), (Some(Number::AsInt(7)), "exporter"));
        let Data::Gauge(gauge) = data("g") else { panic!() };
        assert_eq!(gauge.data_points[0].value, Some(Number::AsInt(-4)));
        let Data::Sum(sum) = data("u") else { panic!() };
        assert!(!sum.is_monotonic && sum.data_points[0].value == Some(Number::AsInt(3)));
        let Data::Sum(sum) = data("t") else { panic!() };
        assert_eq!(sum.data_points[0].value, Some(Number::AsDouble(1.5)));
        let Data::Histogram(histogram) = data("h") else { panic!() };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum, histogram.aggregation_temporality), (2, Some(2.25), 2));
        assert_eq!((&point.bucket_counts, &point.explicit_bounds), (&vec![1, 0, 1], &vec![0.5, 1.0]));
        assert_eq!(
            phoenix_pdata::count_items(phoenix_pdata::Signal::Metrics, &bytes::Bytes::from(bytes).into()),
            5,
            "it is what a receiver takes"
        );
    }
}
