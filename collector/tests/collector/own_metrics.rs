//! Own metrics of the whole binary: which names there are at each level, how they are served and pushed,
//! and what a change of the configuration does to both.

mod pushed;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use prost::Message as _;

use crate::binary::{Running, collector, free_port, repository};
use crate::load;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector with one of everything: a limiter, a batch, an exporter that works and one that fails.
struct Setup {
    otlp: u16,
    metrics: u16,
    /// What `service::telemetry::metrics` says beside the port.
    telemetry: String,
    reader: &'static str,
}

const ALL_SUFFIXES: &str = ", without_scope_info: false, without_units: false, without_type_suffix: false";

impl Setup {
    fn new(level: &str, reader: &'static str) -> Setup {
        Setup { otlp: free_port(), metrics: free_port(), telemetry: format!("level: {level}"), reader }
    }

    fn yaml(&self) -> String {
        format!(
            "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 4000}}
  batch: {{timeout: 10ms}}
exporters:
  debug: {{use_internal_logger: false, output_paths: [/dev/null]}}
  otlp: {{endpoint: '127.0.0.1:1', tls: {{insecure: true}}, retry_on_failure: {{enabled: false}}}}
service:
  telemetry:
    metrics:
      {telemetry}
      readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {port}{reader}}}}}}}}}]
  pipelines:
    traces: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug, otlp]}}
    metrics: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug, otlp]}}
    logs: {{receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug, otlp]}}
",
            otlp = self.otlp,
            telemetry = self.telemetry,
            port = self.metrics,
            reader = self.reader,
        )
    }

    fn start(&self) -> Running {
        collector().arg(format!("--config=yaml:{}", self.yaml())).start_with_metrics()
    }

    /// The fixed load: a request of each signal.
    fn send(&self) {
        for (path, body) in requests() {
            let head = format!(
                "POST {path} HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nHost: 127.0.0.1:{}",
                self.otlp
            );
            let answer = exchange(self.otlp, &head, &body);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    /// What a scrape shows once `ready`.
    fn scrape_until(&self, ready: impl Fn(&Scraped) -> bool) -> Scraped {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let scraped = Scraped::of(self.metrics);
            if ready(&scraped) {
                return scraped;
            }
            assert!(Instant::now() < deadline, "what was waited for does not come:\n{}", scraped.text);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What a scrape shows once everything was batched, written and refused.
    fn scrape_after_load(&self) -> Scraped {
        self.send();
        self.scrape_until(|scraped| {
            ["spans", "metric_points", "log_records"].iter().all(|items| {
                scraped.sum(&format!("otelcol_exporter_send_failed_{items}")) > 0.0
                    && scraped.sum(&format!("otelcol_exporter_sent_{items}")) > 0.0
            })
        })
    }
}

fn requests() -> [(&'static str, Vec<u8>); 3] {
    let point = NumberDataPoint { time_unix_nano: 1, ..Default::default() };
    let data = Data::Gauge(Gauge { data_points: vec![point] });
    let metric = Metric { name: "m".into(), data: Some(data), ..Default::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..Default::default() };
    let metrics = ResourceMetrics { scope_metrics: vec![scope], ..Default::default() };
    let scope = ScopeLogs { log_records: vec![LogRecord::default()], ..Default::default() };
    let logs = ResourceLogs { scope_logs: vec![scope], ..Default::default() };
    [
        ("/v1/traces", load::request(1).encode_to_vec()),
        ("/v1/metrics", ExportMetricsServiceRequest { resource_metrics: vec![metrics] }.encode_to_vec()),
        ("/v1/logs", ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec()),
    ]
}

/// One request on a connection of its own; the whole answer.
fn exchange(port: u16, head: &str, body: &[u8]) -> String {
    String::from_utf8_lossy(&exchange_bytes(port, head, body)).into_owned()
}

fn exchange_bytes(port: u16, head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let head = format!("{head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    answer
}

/// What a scrape shows.
struct Scraped {
    text: String,
    /// Type and labels by name.
    families: BTreeMap<String, (String, BTreeSet<String>)>,
}

impl Scraped {
    fn of(port: u16) -> Scraped {
        let answer = exchange(port, "GET /metrics HTTP/1.1\r\nHost: test", b"");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (head, text) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains("text/plain; version=0.0.4; charset=utf-8"), "{head}");
        Scraped::parse(text)
    }

    fn parse(text: &str) -> Scraped {
        let mut families = BTreeMap::new();
        let mut last = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("name and type");
                let before = families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
                assert!(before.is_none() && last.as_str() < name, "{name} comes once, in order");
                last = name.to_owned();
            } else if !line.starts_with('#') {
                let labels =
                    line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').expect("closed").0);
                let family = families.get_mut(&last).expect("a type comes first");
                let names =
                    labels.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name);
                family.1.extend(names.filter(|name| *name != "le").map(str::to_owned));
                line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number");
            }
        }
        Scraped { text: text.to_owned(), families }
    }

    /// The sum of all series of that name, with or without `_total`.
    fn sum(&self, name: &str) -> f64 {
        let is_it = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| {
                let rest = rest.strip_prefix("_total").unwrap_or(rest);
                rest.starts_with(['{', ' '])
            })
        };
        self.text
            .lines()
            .filter(is_it)
            .map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number"))
            .sum()
    }
}

/// Metrics that otelcol 0.145 shows and Phoenix does not, and why.
const LEFT_OUT: &[(&str, &str)] = &[(
    "otelcol_process_runtime_total_alloc_bytes_total",
    "allocations are not counted: that would cost each of them; see docs/own-metrics.md",
)];

/// Beginnings of names that Phoenix shows and otelcol 0.145 does not, and why.
const ADDED: &[(&str, &str)] = &[
    ("phoenix_", "Phoenix's own"),
    ("otelcol_exporter_in_flight_requests", "of later versions of otelcol"),
    ("otelcol_processor_memory_limiter_accepted_", "the name since otelcol 0.155, beside the former one"),
];

/// Labels that Phoenix shows and otelcol 0.145 does not: level from which on, beginning of names, labels.
const ADDED_LABELS: &[(&str, &str, &[&str])] = &[
    // Of later versions of otelcol.
    ("basic", "otelcol_exporter_sent_", &["server_address", "server_port"]),
    ("detailed", "otelcol_exporter_send_failed_", &["error_permanent", "error_type"]),
];

#[test]
fn each_level_shows_what_it_shows_in_otelcol() {
    for level in ["basic", "normal", "detailed"] {
        let setup = Setup::new(level, ALL_SUFFIXES);
        let running = setup.start();
        let scraped = setup.scrape_after_load();
        let path = repository().join(format!("collector/tests/collector/data/own-metrics-{level}.txt"));
        let text = std::fs::read_to_string(path).expect("read");
        let mut expected = BTreeMap::new();
        for line in text.lines() {
            let [name, kind, labels] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let labels: BTreeSet<String> = labels.split(',').map(str::to_owned).collect();
            expected.insert(name.to_owned(), (kind.to_owned(), labels));
        }
        for (name, family) in &scraped.families {
            match expected.remove(name) {
                None => {
                    let reason = ADDED.iter().find(|(prefix, _)| name.starts_with(prefix));
                    assert!(reason.is_some(), "{level}: {name} is not in otelcol");
                }
                Some((kind, mut labels)) => {
                    let more = ADDED_LABELS.iter().filter(|(from, prefix, _)| {
                        name.starts_with(prefix) && (*from == level || *from == "basic")
                    });
                    more.for_each(|(_, _, more)| labels.extend(more.iter().map(|label| (*label).to_owned())));
                    assert_eq!(*family, (kind, labels), "{level}: {name}");
                }
            }
        }
        let missing: Vec<_> =
            expected.keys().filter(|name| !LEFT_OUT.iter().any(|(left_out, _)| left_out == name)).collect();
        assert!(missing.is_empty(), "{level}: {missing:?} are not there:\n{}", scraped.text);
        assert_eq!(running.terminate(), 0);
    }
}

#[test]
fn names_have_no_suffixes_where_the_reader_says_nothing_and_values_are_true() {
    let setup = Setup::new("normal", "");
    let running = setup.start();
    let scraped = setup.scrape_after_load();
    let line =
        format!("otelcol_receiver_accepted_spans{{receiver=\"otlp\",transport=\"http\"}} {}", load::SPANS);
    assert!(scraped.text.lines().any(|it| it == line), "{}", scraped.text);
    assert!(
        scraped
            .text
            .contains("\notelcol_exporter_queue_capacity{data_type=\"logs\",exporter=\"otlp\"} 1000\n")
    );
    for (name, expected) in [
        ("otelcol_processor_incoming_items", load::SPANS + 2),
        ("otelcol_processor_outgoing_items", load::SPANS + 2),
        ("otelcol_exporter_send_failed_log_records", 1),
        ("otelcol_processor_batch_batch_send_size_count", 3),
        ("otelcol_processor_batch_batch_send_size_sum", load::SPANS + 2),
        ("phoenix_swaps", 1),
        ("target_info", 1),
    ] {
        assert_eq!(scraped.sum(name), expected as f64, "{name}: {}", scraped.text);
    }
    for name in ["otelcol_process_uptime", "otelcol_process_memory_rss", "phoenix_budget_limit"] {
        assert!(scraped.sum(name) > 0.0, "{name}: {}", scraped.text);
    }
    let lost = exchange(setup.metrics, "GET / HTTP/1.1\r\nHost: test", b"");
    assert!(lost.starts_with("HTTP/1.1 404"), "{lost}");
    let zipped = exchange_bytes(
        setup.metrics,
        "GET /metrics HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\nAccept: application/openmetrics-text",
        b"",
    );
    let at = zipped.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a body") + 4;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped[at..]).read_to_string(&mut text).expect("gzip");
    assert!(Scraped::parse(&text).sum("otelcol_exporter_sent_spans") > 0.0);
    assert_eq!(running.terminate(), 0);
}

/// Readers that are slow, or never end their request, keep nobody else from the metrics, and are let go.
#[test]
fn a_slow_reader_holds_up_nobody() {
    let setup = Setup::new("normal", "");
    let running = setup.start();
    let connect = || TcpStream::connect(("127.0.0.1", setup.metrics)).expect("connects");
    let mut half: Vec<_> = (0..20).map(|_| connect()).collect();
    for stream in &mut half {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").expect("sent");
    }
    let mut silent: Vec<_> = (0..20).map(|_| connect()).collect();
    for stream in &mut silent {
        // Asks a hundred times and reads nothing: what it is sent fills up every buffer.
        let _ = stream.write_all("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n".repeat(100).as_bytes());
    }
    // Slow readers are let go after five seconds. A busy machine may hold up one scrape, readers would hold up each.
    let quickest = (0..5).map(|_| {
        let begun = Instant::now();
        Scraped::of(setup.metrics);
        begun.elapsed()
    });
    let quickest = quickest.min().expect("five were tried");
    assert!(quickest < Duration::from_secs(4), "{quickest:?}");
    let mut rest = Vec::new();
    half[0].set_read_timeout(Some(PATIENCE)).expect("set");
    // The end of the connection, whatever is said before it.
    let _ = half[0].read_to_end(&mut rest);
    assert_eq!(running.terminate(), 0);
}

/// Scrapes on one connection while the configuration changes.
#[test]
fn a_scrape_while_swapping_is_answered_on_the_same_connection() {
    let folder = tempfile::tempdir().expect("made");
    let path = folder.path().join("collector.yaml");
    let mut setup = Setup::new("normal", "");
    std::fs::write(&path, setup.yaml()).expect("written");
    let running = collector().arg("--config").arg(&path).start_with_metrics();
    let mut stream = TcpStream::connect(("127.0.0.1", setup.metrics)).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut scrape = || {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
        let mut answer = Vec::new();
        loop {
            let mut buffer = [0; 16 * 1024];
            let read = stream.read(&mut buffer).expect("read");
            assert!(read > 0, "the connection was closed");
            answer.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.expect("a length").trim().parse::<usize>().expect("a number") {
                return Scraped::parse(body);
            }
        }
    };
    for change in 1..=6 {
        setup.reader = if change % 2 == 1 { ALL_SUFFIXES } else { "" };
        setup.telemetry = format!("level: {}", if change % 3 == 0 { "detailed" } else { "basic" });
        std::fs::write(&path, setup.yaml()).expect("written");
        running.signal("HUP");
        let deadline = Instant::now() + PATIENCE;
        let name =
            if change % 2 == 1 { "otelcol_process_uptime_seconds_total" } else { "otelcol_process_uptime" };
        while !scrape().families.contains_key(name) {
            assert!(Instant::now() < deadline, "change {change} is not applied; the log:\n{}", running.log());
        }
        running.wait_for_log_count("configuration applied", change);
    }
    // Another port: the new one answers, the old one is free.
    let former = setup.metrics;
    setup.metrics = free_port();
    std::fs::write(&path, setup.yaml()).expect("written");
    running.signal("HUP");
    running.wait_for_log_count("configuration applied", 7);
    Scraped::of(setup.metrics);
    let deadline = Instant::now() + PATIENCE;
    while TcpListener::bind(("127.0.0.1", former)).is_err() {
        assert!(Instant::now() < deadline, "the former port is not free");
        std::thread::sleep(Duration::from_millis(10));
    }
    // A port that somebody has changes nothing.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let current = setup.metrics;
    setup.metrics = taken.local_addr().expect("bound").port();
    std::fs::write(&path, setup.yaml()).expect("written");
    running.signal("HUP");
    running.wait_for_log("the new configuration was not applied");
    Scraped::of(current);
    std::fs::write(&path, "service: {telemetry: {metrics: {level: loud}}}").expect("written");
    running.signal("HUP");
    running.wait_for_log("the new configuration has mistakes");
    assert_eq!(Scraped::of(current).sum("phoenix_config_rejected"), 1.0);
    assert_eq!(running.terminate(), 0);
}

#[test]
fn a_port_that_somebody_has_is_an_error_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut setup = Setup::new("normal", "");
    setup.metrics = taken.local_addr().expect("bound").port();
    let finished = collector().arg(format!("--config=yaml:{}", setup.yaml())).finish();
    assert_eq!(finished.code, 1);
    for text in ["service::telemetry::metrics", "the address is in use", &setup.metrics.to_string()] {
        assert!(finished.stderr.contains(text), "{text}: {}", finished.stderr);
    }
}
