use super::naming::number;
use super::*;
use crate::{Description, Level, Measure, Metrics};

fn resource() -> Resource {
    let attributes = [("service.name", "phoenix"), ("service.version", "1"), ("a b", "q\"\\\n")];
    Resource {
        attributes: attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Resource::default()
    }
}

fn all() -> Options {
    Options {
        without_scope_info: false,
        without_units: false,
        without_type_suffix: false,
        ..Options::default()
    }
}

fn describe(name: &'static str, unit: &'static str) -> Description {
    Description { name, unit, text: "Says\nwhat \\ it is." }
}

#[test]
fn numbers_are_printed_as_go_does() {
    let cases = [
        (0.0, "0"),
        (1.0, "1"),
        (-3.0, "-3"),
        (0.005, "0.005"),
        (0.00001, "1e-05"),
        (100_000.0, "100000"),
        (1_000_000.0, "1e+06"),
        (28_934_144.0, "2.8934144e+07"),
        (1.5e300, "1.5e+300"),
        (f64::INFINITY, "+Inf"),
        (f64::NAN, "NaN"),
    ];
    for (value, text) in cases {
        assert_eq!(number(value), text);
    }
}

#[test]
fn everything_is_written_as_otelcol_does_by_default() {
    let metrics = Metrics::default();
    let sent = describe("otelcol_exporter_sent_spans", "{span}");
    metrics.counter(sent, &[("exporter", "otlp/a\"b\\c\nd")]).add(1_234_567);
    metrics.counter(sent, &[("exporter", "debug")]).add(2);
    let histogram = metrics.histogram(describe("http.took", "s"), &[], Measure::Seconds, &[0.5, 1.0]);
    let _ =
        [0.25, 0.5, 7.0].map(|seconds| histogram.record_time(std::time::Duration::from_secs_f64(seconds)));
    let text = render(&metrics.streams(), &resource(), "1", &Options::default());
    assert_eq!(
        text,
        r#"# HELP http_took Says\nwhat \\ it is.
# TYPE http_took histogram
http_took_bucket{le="0.5"} 2
http_took_bucket{le="1"} 2
http_took_bucket{le="+Inf"} 3
http_took_sum 7.75
http_took_count 3
# HELP otelcol_exporter_sent_spans Says\nwhat \\ it is.
# TYPE otelcol_exporter_sent_spans counter
otelcol_exporter_sent_spans{exporter="debug"} 2
otelcol_exporter_sent_spans{exporter="otlp/a\"b\\c\nd"} 1.234567e+06
# HELP promhttp_metric_handler_errors_total Total number of internal errors encountered by the promhttp metric handler.
# TYPE promhttp_metric_handler_errors_total counter
promhttp_metric_handler_errors_total{cause="encoding"} 0
promhttp_metric_handler_errors_total{cause="gathering"} 0
# HELP target_info Target metadata
# TYPE target_info gauge
target_info{a_b="q\"\\\n",service_name="phoenix",service_version="1"} 1
"#
    );
}

#[test]
fn names_get_their_unit_and_type_as_asked() {
    let metrics = Metrics::default();
    // (name, unit, whether a counter, name with all suffixes)
    let cases = [
        ("process_uptime", "s", true, "process_uptime_seconds_total"),
        ("process_runtime_total_alloc_bytes", "By", true, "process_runtime_total_alloc_bytes_total"),
        ("total_sys_memory_bytes", "By", false, "total_sys_memory_bytes"),
        ("memory_rss", "By", false, "memory_rss_bytes"),
        ("seen_total", "{x}", true, "seen_total"),
        ("used", "1", false, "used_ratio"),
        ("used_count", "1", true, "used_count_total"),
        ("rate", "By/s", false, "rate_bytes_per_second"),
        ("http.odd-name", "{request}/m", false, "http_odd_name_per_minute"),
        // Behind a slash that is no unit with a word of its own.
        ("batches", "{batch}/min", false, "batches_per_min"),
    ];
    for (name, unit, is_counter, _) in cases {
        match is_counter {
            true => metrics.counter(describe(name, unit), &[]).add(1),
            false => metrics.gauge(describe(name, unit), &[]).set(1),
        }
    }
    let text = render(&metrics.streams(), &resource(), "1", &all());
    for (name, _, _, full) in cases {
        assert!(text.contains(&format!("\n{full}{{otel_scope_name=\"")), "{name}: {text}");
    }
    let only_units = Options { without_type_suffix: true, ..all() };
    assert!(render(&metrics.streams(), &resource(), "1", &only_units).contains("process_uptime_seconds{"));
}

#[test]
fn labels_are_sorted_and_hold_scope_and_resource_where_asked() {
    let metrics = Metrics::default().at(Level::Detailed);
    metrics.configure(Level::Detailed, Vec::new(), "1");
    metrics.counter(describe("otelcol_x", ""), &[("z.y", "1"), ("z_y", "2"), ("9", "n")]).add(1);
    let mut options = all();
    options.constant_labels =
        Selection { included: Some(vec!["service.*".into()]), excluded: vec!["*version".into()] };
    let text = render(&metrics.streams(), &resource(), "v", &options);
    let line = text.lines().find(|line| line.starts_with("otelcol_x_total{")).expect("there");
    assert_eq!(
        line,
        r#"otelcol_x_total{key_9="n",otel_scope_name="phoenix",otel_scope_schema_url="",otel_scope_version="v",service_name="phoenix",z_y="1;2"} 1"#
    );
}
