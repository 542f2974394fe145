use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar as SentExemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric, number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use phoenix_pdata::{InvalidUtf8, Signal, validate};
use prost::Message as _;

use super::*;

/// Writes what it is handed as text.
#[derive(Default)]
struct Seen(Vec<String>);

impl Sink for Seen {
    fn sample(
        &mut self,
        family: &Family<'_>,
        suffix: &str,
        labels: &LabelSet,
        extra: Extra<'_>,
        sample: Sample,
        exemplars: &[Exemplar],
    ) {
        let mut encoded = Vec::new();
        labels.put(&mut encoded, family.name, suffix, extra);
        let labels: Vec<_> =
            crate::labels_in(&encoded).map(|(name, value)| format!("{name}={value}")).collect();
        let stale =
            if sample.value.to_bits() == STALE_NAN { "stale".to_owned() } else { number(sample.value) };
        let examples: Vec<_> =
            exemplars.iter().map(|one| format!(" #{:?}", one.labels.iter().collect::<Vec<_>>())).collect();
        self.0.push(format!("{} {stale} @{}{}", labels.join(","), sample.time_ms, examples.concat()));
    }

    fn native(&mut self, family: &Family<'_>, _: &LabelSet, _: &Native, time_ms: i64, _: &[Exemplar]) {
        self.0.push(format!("native {} @{time_ms}", family.name));
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn number_of(value: f64, attributes: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: 2_000_000_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        attributes: attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        ..Default::default()
    }
}

fn sum(temporality: i32, is_monotonic: bool, points: Vec<NumberDataPoint>) -> metric::Data {
    metric::Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic })
}

fn translated(
    options: Options,
    resource: &[(&str, &str)],
    metrics: Vec<(&str, metric::Data)>,
) -> (Vec<String>, u64) {
    let metrics = metrics.into_iter().map(|(name, data)| Metric {
        name: name.into(),
        data: Some(data),
        ..Default::default()
    });
    let scope = InstrumentationScope { name: "lib".into(), version: "1".into(), ..Default::default() };
    let scope = ScopeMetrics { scope: Some(scope), metrics: metrics.collect(), ..Default::default() };
    let attributes = resource.iter().map(|(key, value)| attribute(key, value)).collect();
    let resource = Some(Resource { attributes, ..Default::default() });
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource,
            scope_metrics: vec![scope],
            ..Default::default()
        }],
    };
    let bytes = request.encode_to_vec().into();
    let (payload, _) = validate(Signal::Metrics, bytes, InvalidUtf8::Pass).expect("valid");
    let mut translator = Translator::new(options, 7);
    let mut seen = Seen::default();
    let failed = translator.translate(&payload, &mut seen);
    let mut again = Seen::default();
    translator.translate(&payload, &mut again);
    assert_eq!(again.0, seen.0, "what is kept is what was made");
    (seen.0, failed)
}

#[test]
fn a_service_becomes_job_and_instance_and_the_rest_target_info() {
    let options = Options {
        target_info: true,
        scope_labels: true,
        external_labels: vec![("cluster".into(), "c".into()), ("a".into(), "never".into())],
        ..Options::default()
    };
    let resource = [
        ("service.name", "api"),
        ("service.namespace", "shop"),
        ("service.instance.id", "i1"),
        ("host.name", "h"),
    ];
    let points = vec![number_of(3.0, &[("a", "1"), ("b.c", "x"), ("b_c", "y")])];
    let (seen, failed) = translated(options, &resource, vec![("requests", sum(2, true, points))]);
    assert_eq!(failed, 0);
    assert_eq!(
        seen,
        [
            "__name__=requests_total,a=1,b_c=x;y,cluster=c,instance=i1,job=shop/api,otel_scope_name=lib,otel_scope_version=1 3 @2000",
            "__name__=target_info,a=never,cluster=c,host_name=h,instance=i1,job=shop/api 1 @2000",
        ]
    );
}

#[test]
fn attributes_of_the_resource_become_labels_where_asked_for() {
    let options = Options { resource_labels: true, exclude_service_attributes: true, ..Options::default() };
    let resource = [("service.name", "api"), ("host.name", "h")];
    let points = vec![number_of(3.0, &[("host.name", "mine"), ("a", "1")])];
    let gauge = metric::Data::Gauge(Gauge { data_points: points });
    let (seen, _) = translated(options, &resource, vec![("temperature", gauge)]);
    assert_eq!(seen, ["__name__=temperature,a=1,host_name=h,job=api 3 @2000"]);
}

#[test]
fn histograms_and_summaries_become_several_series() {
    let example = SentExemplar {
        time_unix_nano: 1_500_000_000,
        value: Some(exemplar::Value::AsDouble(0.7)),
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        filtered_attributes: vec![attribute("long", &"x".repeat(200))],
    };
    let point = HistogramDataPoint {
        start_time_unix_nano: 1_000_000_000,
        time_unix_nano: 2_000_000_000,
        count: 6,
        sum: Some(4.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.0],
        exemplars: vec![example],
        ..Default::default()
    };
    let histogram =
        metric::Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 });
    let summary = SummaryDataPoint {
        time_unix_nano: 2_000_000_000,
        count: 2,
        sum: 3.0,
        quantile_values: vec![summary_data_point::ValueAtQuantile { quantile: 0.5, value: 1.5 }],
        ..Default::default()
    };
    let summary = metric::Data::Summary(Summary { data_points: vec![summary] });
    let options = Options { created: true, ..Options::default() };
    let (seen, failed) = translated(options, &[], vec![("h", histogram), ("s", summary)]);
    let ids = format!(r#" #[("span_id", "{}"), ("trace_id", "{}")]"#, "02".repeat(8), "01".repeat(16));
    assert_eq!(failed, 0);
    assert_eq!(
        seen,
        [
            "__name__=h_sum 4.5 @2000".to_owned(),
            "__name__=h_count 6 @2000".to_owned(),
            "__name__=h_bucket,le=0.5 1 @2000".to_owned(),
            format!("__name__=h_bucket,le=1 3 @2000{ids}"),
            "__name__=h_bucket,le=+Inf 6 @2000".to_owned(),
            "__name__=h_created 1000 @2000".to_owned(),
            "__name__=s_sum 3 @2000".to_owned(),
            "__name__=s_count 2 @2000".to_owned(),
            "__name__=s,quantile=0.5 1.5 @2000".to_owned(),
        ]
    );
}

#[test]
fn what_ended_is_marked_and_what_is_not_cumulative_has_no_translation() {
    let ended = NumberDataPoint { flags: 1, value: None, ..number_of(0.0, &[]) };
    let none = NumberDataPoint { value: None, ..number_of(0.0, &[]) };
    let metrics = vec![
        ("ended", metric::Data::Gauge(Gauge { data_points: vec![ended, none] })),
        ("delta", sum(1, true, vec![number_of(1.0, &[]), number_of(2.0, &[])])),
        ("unknown", sum(0, false, vec![number_of(1.0, &[])])),
        ("level", sum(2, false, vec![number_of(5.0, &[])])),
    ];
    let (seen, failed) = translated(Options::default(), &[], metrics);
    assert_eq!(
        (seen.as_slice(), failed),
        (&["__name__=ended stale @2000".to_owned(), "__name__=level 5 @2000".to_owned()][..], 4)
    );
}
