use phoenix_telemetry::InstrumentKind;
use phoenix_telemetry::view::Aggregation;

use super::*;

fn read(text: &str) -> Result<MetricsPlan, String> {
    phoenix_config::decode_text::<MetricsSettings>(text)
        .map(|settings| settings.plan())
        .map_err(|problems| problems.to_string())
}

fn prometheus_at(endpoint: &str) -> ReaderPlan {
    ReaderPlan::Prometheus { endpoint: endpoint.to_owned(), options: prometheus::Options::default() }
}

#[test]
fn the_default_is_otelcols() {
    let plan = read("{}").expect("fine");
    assert_eq!(plan, MetricsPlan::default());
    assert_eq!(plan.level, phoenix_telemetry::Level::Normal);
    assert_eq!(plan.readers, [prometheus_at("localhost:8888")]);
    assert_eq!(read("{level: none}").expect("fine").readers, []);
    assert_eq!(read("{level: none, readers: []}").expect("fine").readers, []);
}

#[test]
fn a_pull_reader_is_what_it_says() {
    let text = "
readers:
  - pull:
      exporter:
        prometheus:
          host: '::1'
          port: 9000
          without_units: false
          with_resource_constant_labels: {included: ['service.*'], excluded: [service.version]}
";
    let plan = read(text).expect("fine");
    let ReaderPlan::Prometheus { endpoint, options } = &plan.readers[0] else { panic!("{plan:?}") };
    assert_eq!(endpoint, "[::1]:9000");
    assert!(!options.without_units && options.without_scope_info && options.without_type_suffix);
    assert!(
        options.constant_labels.takes("service.name") && !options.constant_labels.takes("service.version")
    );
    let old = read("{address: '0.0.0.0:8888'}").expect("fine");
    assert_eq!(old.readers, [prometheus_at("0.0.0.0:8888")]);
}

#[test]
fn a_push_reader_is_what_it_says() {
    let text = "
readers:
  - periodic:
      interval: 1000
      exporter:
        otlp: {protocol: http/protobuf, endpoint: backend:4318, insecure: true, compression: gzip, timeout: 500,
               headers: [{name: x-key, value: secret}], headers_list: 'a=1, X-Key=2'}
  - periodic: {exporter: {console: {}}}
  - periodic: {exporter: {otlp: {protocol: grpc, endpoint: 'backend:4317', headers: {x-key: secret}}}}
";
    let plan = read(text).expect("fine");
    let ReaderPlan::Push { interval, timeout, to: PushTarget::Otlp(target) } = &plan.readers[0] else {
        panic!()
    };
    assert_eq!((interval.as_millis(), timeout.as_millis(), target.timeout.as_millis()), (1000, 30_000, 500));
    assert_eq!(target.endpoint, "http://backend:4318/v1/metrics");
    let headers: Vec<_> =
        target.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!((target.gzip, headers), (true, vec![("a", "1"), ("x-key", "secret")]));
    assert!(matches!(&plan.readers[1], ReaderPlan::Push { to: PushTarget::Console, .. }));
    let ReaderPlan::Push { to: PushTarget::Otlp(target), .. } = &plan.readers[2] else { panic!() };
    assert_eq!((target.over_http, target.endpoint.as_str()), (false, "https://backend:4317"));
    // A map, as in version 0.2 of the section.
    assert_eq!(target.headers, [("x-key".to_owned(), Opaque::new("secret"))]);
}

#[test]
fn views_are_what_they_say() {
    let text = "
level: detailed
views:
  - selector: {instrument_name: otelcol_exporter_sent_spans, instrument_type: counter}
    stream: {name: sent, attribute_keys: {excluded: [exporter]}}
  - selector: {meter_name: go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp}
    stream: {aggregation: {drop: {}}}
  - selector: {unit: By}
    stream: {aggregation: {explicit_bucket_histogram: {boundaries: [1, 2.5]}}}
";
    let plan = read(text).expect("fine");
    assert_eq!(plan.views[0].name.as_deref(), Some("sent"));
    assert_eq!(plan.views[0].selector.instrument_kind, Some(InstrumentKind::Counter));
    assert_eq!(plan.views[1].aggregation, Aggregation::Drop);
    assert_eq!(plan.views[2].aggregation, Aggregation::Buckets([1.0, 2.5].into()));
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    // (settings, what the report says)
    let cases = [
        ("{readers: []}", "collector telemetry metrics reader should exist"),
        ("{readers: [{}]}", ONE_KIND),
        ("{readers: [{pull: {exporter: {}}}]}", "no valid metric exporter"),
        ("{readers: [{pull: {exporter: {prometheus: {port: 1}}}}]}", "host must be specified"),
        ("{readers: [{pull: {exporter: {prometheus: {host: a}}}}]}", "port must be specified"),
        ("{readers: [{pull: {exporter: {prometheus: {host: a, port: 70000}}}}]}", "from 0 to 65535"),
        (
            "{readers: [{pull: {exporter: {prometheus: {host: a, port: 1}}, producers: []}}]}",
            "`producers` is not",
        ),
        ("{readers: [{periodic: {interval: 0, exporter: {console: {}}}}]}", "must be positive"),
        ("{readers: [{periodic: {exporter: {otlp: {protocol: http/json}}}}]}", "unsupported protocol"),
        ("{readers: [{periodic: {exporter: {otlp: {}}}}]}", "protocol must be specified"),
        (
            "{readers: [{periodic: {exporter: {otlp: {protocol: grpc, temporality_preference: delta}}}}]}",
            "\"delta\" is not supported",
        ),
        ("{views: [{selector: {unit: s}, stream: {}}]}", "can only be set when"),
        (
            "{level: detailed, views: [{selector: {unit: s}, stream: {aggregation: {sum: {}}}}]}",
            "`sum` is not",
        ),
        ("{level: detailed, views: [{selector: {unit: s}, stream: {name: x}}]}", "can rename"),
        ("{level: loud}", "loud"),
        ("{adress: 'x:1'}", "adress"),
    ];
    for (settings, says) in cases {
        let report = read(settings).expect_err(settings);
        assert!(report.contains(says), "{settings}: {report}");
    }
}
