//! What the catalogs of `configs/` leave of metrics: of a recorded host, of the sample of `examples/optimization`, and of services in
//! pods. The table is in `docs/optimizer.md`; `UPDATE_EXPECTED=1` writes `recorded/reductions.md`, from where it is copied.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phoenix_component::harness::{StageHarness, golden};
use phoenix_pdata::Signal;
use phoenix_processor_optimizer::stage;
use phoenix_telemetry::Metrics;
use serde_json::{Value, json};

/// Configuration and input.
const CASES: [(&str, &str); 18] = [
    ("host", "recorded host"),
    ("optimize", "recorded host"),
    ("processes-by-program", "recorded host"),
    ("processes-total", "recorded host"),
    ("metrics-labels", "recorded host"),
    ("metrics-kubernetes", "recorded host"),
    ("metrics-budget", "recorded host"),
    ("host", "sample processes"),
    ("optimize", "sample processes"),
    ("processes-by-program", "sample processes"),
    ("processes-total", "sample processes"),
    ("metrics-labels", "sample processes"),
    ("metrics-kubernetes", "sample processes"),
    ("metrics-budget", "sample processes"),
    ("optimize", "services"),
    ("metrics-labels", "services"),
    ("metrics-kubernetes", "services"),
    ("metrics-budget", "services"),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join(path)).expect("a recording");
    text.lines().map(|line| serde_json::from_str(line).expect("a request")).collect()
}

/// Two teams with ten pods each, which serve routes with identifiers in them to some clients, and tell it once a minute.
fn services() -> Vec<Value> {
    let attributes = |pairs: &[(&str, String)]| -> Value {
        pairs.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
    };
    let request = |minute: u64| -> Value {
        let time = ((START + 60 * minute) * 1_000_000_000).to_string();
        let start = (START * 1_000_000_000).to_string();
        let pods = (0..20).map(|pod| {
            let team = if pod < 10 { "payments" } else { "search" };
            let resource = [
                ("service.namespace", team.to_owned()),
                ("service.name", format!("{team}-api")),
                ("service.instance.id", format!("instance-{pod}")),
                ("k8s.pod.name", format!("{team}-api-6d5f7-{pod}")),
                ("k8s.pod.uid", format!("uid-{pod}")),
                ("k8s.deployment.name", format!("{team}-api")),
                ("k8s.node.name", format!("node-{}", pod % 5)),
            ];
            let labels = |route: u64, client: u64| {
                attributes(&[
                    ("http.request.method", if route == 0 { "POST".to_owned() } else { "GET".to_owned() }),
                    ("http.response.status_code", if client == 0 { "500".to_owned() } else { "200".to_owned() }),
                    ("url.path", format!("/orders/{}/items/{route}", 1000 + client)),
                    ("client.address", format!("10.0.0.{client}")),
                ])
            };
            let pairs = || (0..4_u64).flat_map(|route| (0..5_u64).map(move |client| (route, client)));
            let histogram = |(route, client): (u64, u64)| {
                let counts: Vec<String> =
                    (0..15_u64).map(|bucket| (minute * (bucket % 5) * (route + client)).to_string()).collect();
                let count: u64 = (0..15_u64).map(|bucket| minute * (bucket % 5) * (route + client)).sum();
                json!({
                    "attributes": labels(route, client), "startTimeUnixNano": start, "timeUnixNano": time,
                    "count": count.to_string(), "sum": count as f64 / 10.0, "bucketCounts": counts,
                    "explicitBounds": [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
                })
            };
            let counter = |(route, client): (u64, u64)| {
                json!({
                    "attributes": labels(route, client), "startTimeUnixNano": start, "timeUnixNano": time,
                    "asInt": (minute * (1 + route + client)).to_string(),
                })
            };
            json!({"resource": {"attributes": attributes(&resource)}, "scopeMetrics": [{"scope": {"name": "http"}, "metrics": [
                {"name": "http.server.request.duration", "unit": "s", "description": "Duration of HTTP server requests.",
                    "histogram": {"aggregationTemporality": 2, "dataPoints": pairs().map(histogram).collect::<Vec<_>>()}},
                {"name": "http.server.requests", "unit": "{request}", "description": "Requests served.",
                    "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": pairs().map(counter).collect::<Vec<_>>()}},
            ]}]})
        });
        json!({"resourceMetrics": pods.collect::<Vec<_>>()})
    };
    (1..=5).map(request).collect()
}

/// When the services begin, in Unix seconds.
const START: u64 = 1_700_000_040;

fn input(name: &str) -> Vec<Value> {
    match name {
        "recorded host" => lines("processors/optimizer/tests/recorded/host.jsonl"),
        "sample processes" => lines("examples/optimization/processes.jsonl"),
        _ => services(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Each data point of a request with what its series is called.
fn points(request: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for resource in list(&request["resourceMetrics"]) {
        for scope in list(&resource["scopeMetrics"]) {
            for metric in list(&scope["metrics"]) {
                let kinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
                for point in kinds.iter().flat_map(|kind| list(&metric[*kind]["dataPoints"])) {
                    let of_resource = &resource["resource"]["attributes"];
                    found.push((format!("{} {of_resource} {}", metric["name"], point["attributes"]), point));
                }
            }
        }
    }
    found
}

fn seconds(request: &Value) -> u64 {
    let latest = points(request)
        .into_iter()
        .filter_map(|(_, point)| point["timeUnixNano"].as_str()?.parse::<u64>().ok());
    latest.max().expect("a time") / 1_000_000_000
}

/// Series and bytes.
type Size = (usize, usize);

/// What there was and what is left, but for the first interval, in which rankings are still made.
fn run(config: &str, requests: &[Value]) -> (Size, Size) {
    let config = crate::shipped::settings(config);
    let metrics = Metrics::default();
    let spec = stage(&config, &[], 1, &metrics, "optimizer").expect("no conflicts");
    let mut harness = StageHarness::new(spec);
    let mut now = seconds(&requests[0]) / 60 * 60;
    harness.advance(Duration::from_secs(now));
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    let (mut bytes_before, mut bytes_after) = (0, 0);
    for (number, request) in requests.iter().enumerate() {
        let at = seconds(request);
        harness.advance(Duration::from_secs(at.saturating_sub(now)));
        now = now.max(at);
        let batch = golden::batch(Signal::Metrics, &request.to_string());
        if number > 0 {
            before.extend(points(request).into_iter().map(|(name, _)| name));
            bytes_before += batch.payload.len();
        }
        harness.send(batch).expect("taken");
        // What goes on at once, and what is let out at the end of the minute.
        let end = (now / 60 + 1) * 60;
        harness.advance(Duration::from_secs(end - now));
        now = end;
        for fragment in harness.take_released() {
            if number > 0 {
                let left = golden::to_json(&fragment.batch);
                // What only says that it ended is left no more.
                let goes_on = |(_, point): &(String, &Value)| point["flags"] != 1;
                after.extend(points(&left).into_iter().filter(goes_on).map(|(name, _)| name));
                bytes_after += fragment.batch.payload.len();
            }
        }
    }
    harness.books().assert_balanced();
    ((before.len(), bytes_before), (after.len(), bytes_after))
}

#[test]
fn catalogs_leave_what_the_documentation_says() {
    let mut table =
        String::from("| configuration | input | series | left | bytes left |\n|---|---|---|---|---|\n");
    for (config, name) in CASES {
        let (before, after) = run(config, &input(name));
        let percent = |after: usize, before: usize| 100.0 * after as f64 / before as f64;
        let (series, bytes) = (percent(after.0, before.0), percent(after.1, before.1));
        writeln!(table, "| [`{config}.yaml`](../configs/{config}.yaml) | {name} | {} to {} | {series:.0} % | {bytes:.0} % |", before.0, after.0)
            .expect("written");
    }
    let path = repository().join("processors/optimizer/tests/recorded/reductions.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &table).expect("written");
    }
    assert_eq!(table, std::fs::read_to_string(&path).expect("the table"));
    let docs = std::fs::read_to_string(repository().join("docs/optimizer.md")).expect("the page");
    assert!(docs.contains(&table), "docs/optimizer.md has another table than\n{table}");
}
