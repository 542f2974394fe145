//! What vmagent made of samples, against what the aggregator makes of them that its configuration is translated to.

use std::collections::BTreeMap;
use std::time::Duration;

use phoenix_component::factory::{CreateContext, Factory as _, ProcessorFactory as _, Shared};
use phoenix_component::harness::{StageHarness, golden};
use phoenix_component::{Host, Processor, StatusReporter};
use phoenix_config::{ComponentId, Kind, PipelineId};
use phoenix_pdata::Signal;
use phoenix_processor_aggregator::AggregatorFactory;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// The origin of the times of a recording, in milliseconds: a multiple of every interval.
const ORIGIN: i64 = 1_800_000_000_000;

#[derive(Deserialize)]
struct Recording {
    interval: i64,
    windows: i64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    case: String,
    kind: String,
    entry: Value,
    input: Vec<Sample>,
    output: Vec<Sample>,
}

/// Labels, a value, and milliseconds since the origin.
#[derive(Clone, Deserialize)]
struct Sample(BTreeMap<String, String>, f64, i64);

/// What is known of one window: values by name and labels.
type Found = BTreeMap<(String, i64), f64>;

fn recording() -> Recording {
    serde_json::from_str(include_str!("recorded/recorded.json")).expect("a recording")
}

fn aggregator(entry: &Value) -> StageHarness {
    let text = serde_json::to_string(&[entry]).expect("JSON is YAML");
    let yaml = vmagent("entry", &text, &VmagentOptions::default()).expect("an entry").yaml;
    let root = phoenix_config::parse_yaml("converted", &yaml).expect("YAML");
    let node = root.get("processors").and_then(|all| all.get("aggregator")).expect("an aggregator");
    let mut problems = Problems::new();
    let settings =
        AggregatorFactory.parse(node, &mut problems).unwrap_or_else(|| panic!("{problems}\n{yaml}"));
    let id = ComponentId::parse("aggregator").expect("an identifier");
    let pipeline = PipelineId::parse("metrics").expect("a pipeline");
    let (host, shared) = (Host::for_tests(), Shared::default());
    let status = StatusReporter::detached(Kind::Processor, id.clone());
    let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
    match AggregatorFactory.create(&*settings, cx, &pipeline).expect("a processor") {
        Processor::Stage(spec) => StageHarness::new(spec),
        Processor::Transform(_) => panic!("no stage"),
    }
}

/// A request with one data point. `since` is when its stream began.
fn request(case: &Case, sample: &Sample, since: i64) -> Value {
    let Sample(labels, value, millis) = sample;
    let nanos = |millis: i64| ((ORIGIN + millis) * 1_000_000).to_string();
    let attributes: Vec<Value> =
        labels.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect();
    let point = json!({
        "attributes": attributes, "asDouble": value, "timeUnixNano": nanos(*millis), "startTimeUnixNano": nanos(since),
    });
    let mut metric = json!({"name": case.case});
    match case.kind.as_str() {
        "gauge" => metric["gauge"] = json!({"dataPoints": [point]}),
        kind => {
            let temporality = if kind == "delta" { 1 } else { 2 };
            metric["sum"] =
                json!({"dataPoints": [point], "aggregationTemporality": temporality, "isMonotonic": true});
        }
    }
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})
}

/// The name and labels of a series as one text, without those that only one of both has.
fn series(name: &str, labels: impl Iterator<Item = (String, String)>) -> String {
    let labels: BTreeMap<String, String> =
        labels.filter(|(key, _)| !matches!(key.as_str(), "__name__" | "cluster")).collect();
    format!("{name} {labels:?}")
}

/// What the aggregator makes of a case.
fn replayed(case: &Case, recording: &Recording) -> Found {
    let mut harness = aggregator(&case.entry);
    harness.advance(Duration::from_millis((ORIGIN + 3_600_000) as u64));
    let mut send = |sample: &Sample, since: i64| {
        let batch = golden::batch(Signal::Metrics, &request(case, sample, since).to_string());
        harness.send(batch).expect("taken");
    };
    // So that the first window is seen from its beginning.
    let other = |millis: i64| Sample(BTreeMap::from([("other".into(), "yes".into())]), 1.0, millis);
    let before = -recording.interval * 1000;
    send(&other(before + 1), before);
    let mut began: BTreeMap<String, i64> = BTreeMap::new();
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for sample in &case.input {
        let key = format!("{:?}", sample.0);
        let first = *began.entry(key.clone()).or_insert(sample.2 - 1);
        let previous = last.insert(key, sample.2).unwrap_or(first);
        let since = if case.kind == "delta" { previous } else { first };
        send(sample, since.min(sample.2 - 1));
    }
    send(&other((recording.windows + 20) * recording.interval * 1000), before);
    let mut found = Found::new();
    for fragment in harness.take_released() {
        read(&golden::to_json(&fragment.batch), &mut found);
    }
    let end = recording.windows * recording.interval * 1000;
    found.retain(|(series, millis), _| {
        *millis > 0 && *millis <= end && !series.contains("other") && !series.ends_with("{}")
    });
    found
}

/// Reads what came out, histograms as the counts of their buckets together.
fn read(request: &Value, found: &mut Found) {
    let all = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    for resource in all(request, "resourceMetrics") {
        for metric in all(&resource, "scopeMetrics").iter().flat_map(|scope| all(scope, "metrics")) {
            let name = metric["name"].as_str().expect("a name");
            for kind in ["gauge", "sum", "exponentialHistogram"] {
                for point in all(&metric[kind], "dataPoints") {
                    let text = |value: &Value| value.as_str().map(str::to_owned);
                    let labels = all(&point, "attributes").into_iter().filter_map(|attribute| {
                        Some((text(&attribute["key"])?, text(&attribute["value"]["stringValue"])?))
                    });
                    let nanos: i64 =
                        text(&point["timeUnixNano"]).and_then(|nanos| nanos.parse().ok()).expect("a time");
                    let number = |key: &str| {
                        let value = &point[key];
                        value.as_f64().or_else(|| value.as_str()?.parse().ok())
                    };
                    let value = number("asDouble").or(number("asInt")).or(number("count")).expect("a value");
                    found.insert((series(name, labels), nanos / 1_000_000 - ORIGIN), value);
                }
            }
        }
    }
}

/// What vmagent made of it; of a histogram all of its buckets together.
fn recorded(case: &Case) -> Found {
    let mut found = Found::new();
    for Sample(labels, value, millis) in &case.output {
        let name = &labels["__name__"];
        let quantile = labels.get("quantile").map(|q| {
            let percent: f64 = q.parse().expect("a quantile");
            format!("_p{}", (percent * 1e14).round() / 1e12)
        });
        let name = format!("{name}{}", quantile.unwrap_or_default());
        let others = labels.iter().filter(|(key, _)| !matches!(key.as_str(), "quantile" | "vmrange"));
        let labels = others.map(|(key, value)| (key.clone(), value.clone()));
        *found.entry((series(&name, labels), *millis)).or_insert(0.0) += value;
    }
    found
}

/// Why a value may be another one.
fn may_differ(
    case: &Case,
    key: &(String, i64),
    theirs: Option<f64>,
    ours: Option<f64>,
    before: Option<f64>,
) -> bool {
    let settings = |key: &str| case.entry.get(key);
    let outputs = case.entry["outputs"].to_string();
    match (theirs, ours) {
        // There a series goes on while it is known, with nothing or with what it had come to; here it has data points where
        // something came.
        (Some(theirs), None) => {
            theirs == 0.0
                || outputs.contains("total")
                || outputs.contains("histogram_bucket") && before == Some(theirs)
        }
        (None, Some(_)) => settings("ignore_first_intervals").is_some(),
        // A counter that comes again after it was forgotten counts in full there, and here from then on: nobody knows whether
        // it began since.
        (Some(theirs), Some(ours)) if case.case == "stale" => ours < theirs && key.0.contains("/0"),
        // Only the last sample of each interval is left there.
        (Some(_), Some(_)) if settings("dedup_interval").is_some() => case.kind == "gauge",
        // Values below zero are in no bucket there.
        (Some(theirs), Some(ours)) if outputs.contains("histogram_bucket") => {
            let below = |sample: &&Sample| {
                sample.1 < 0.0 && sample.2 <= key.1 && key.0.contains(&format!("{:?}", sample.0["route"]))
            };
            ours - theirs == case.input.iter().filter(below).count() as f64
        }
        // Estimates: there of a sample of the values that are sorted, here within the width of a bucket.
        (Some(theirs), Some(ours)) if outputs.contains("quantiles") => {
            (ours - theirs).abs() <= 0.003 * theirs.abs()
                || key.0.contains("_p50 ")
                || key.0.contains("_p90 ")
        }
        _ => false,
    }
}

#[tokio::test]
async fn the_aggregator_makes_of_samples_what_vmagent_makes_of_them() {
    let recording = recording();
    assert!(recording.cases.len() > 20);
    let (mut compared, mut differ) = (0, Vec::new());
    for case in &recording.cases {
        let (theirs, ours) = (recorded(case), replayed(case, &recording));
        assert!(!ours.is_empty(), "{}: nothing came out", case.case);
        let mut keys: Vec<_> = theirs.keys().chain(ours.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            if key.1 > recording.windows * recording.interval * 1000 {
                continue;
            }
            compared += 1;
            let (their, our) = (theirs.get(key).copied(), ours.get(key).copied());
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
            let same = matches!((their, our), (Some(a), Some(b)) if close(a, b));
            let before = theirs.get(&(key.0.clone(), key.1 - recording.interval * 1000)).copied();
            if !same && !may_differ(case, key, their, our, before) {
                differ.push(format!("{}: {} at {}: {their:?} there, {our:?} here", case.case, key.0, key.1));
            }
        }
    }
    assert!(differ.is_empty(), "{} of {compared} differ:\n{}", differ.len(), differ.join("\n"));
}
