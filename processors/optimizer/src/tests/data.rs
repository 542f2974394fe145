//! Requests and what comes out, in the form of a table.

use std::time::Duration;

use phoenix_component::Stage;
use phoenix_component::harness::{StageHarness, golden};
use phoenix_config::decode_text;
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;
use serde_json::{Value, json};

use crate::{OptimizerConfig, stage};

/// The Unix time at which tests begin, in seconds; times of points are given from here.
pub(crate) const EPOCH: u64 = 1_000_000;

/// An optimizer, and its metrics.
pub(crate) struct Fixture {
    pub(crate) harness: StageHarness,
    pub(crate) metrics: Metrics,
}

/// A row of what comes out: name, resource and point labels, start, time, value; times in seconds from [`EPOCH`], `-` for none.
pub(crate) type Row = (String, String, i64, i64, String);

/// An optimizer with these rules, in YAML.
pub(crate) fn optimizer(rules: &str) -> Fixture {
    configured(&format!("{{interval: 10s, idle: 600s, rules: [{rules}]}}"))
}

pub(crate) fn settings(yaml: &str) -> OptimizerConfig {
    decode_text::<OptimizerConfig>(yaml).unwrap_or_else(|problems| panic!("{yaml}: {problems}"))
}

/// An optimizer with these settings, in YAML.
pub(crate) fn configured(yaml: &str) -> Fixture {
    let metrics = Metrics::default();
    let spec = stage(&settings(yaml), &[], 1, &metrics, "optimizer").expect("rules without conflicts");
    let mut harness = StageHarness::new(spec);
    harness.advance(Duration::from_secs(EPOCH));
    Fixture { harness, metrics }
}

/// A stage by itself, for hot swaps.
pub(crate) fn bare(yaml: &str) -> Box<dyn Stage> {
    let mut spec = stage(&settings(yaml), &[], 1, &Metrics::default(), "optimizer").expect("no conflicts");
    spec.shards.pop().expect("one shard")
}

pub(crate) fn nanos(seconds: i64) -> String {
    // Below the epoch of the tests: no time at all.
    if seconds < 0 { "0".to_owned() } else { ((EPOCH as i64 + seconds) * 1_000_000_000).to_string() }
}

/// Attributes written as `a=1 b=x`.
pub(crate) fn attributes(text: &str) -> Value {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}

/// A request with one metric.
pub(crate) fn request(resource: &str, metric: Value) -> Value {
    json!({"resourceMetrics": [{
        "resource": {"attributes": attributes(resource)},
        "scopeMetrics": [{"scope": {"name": "lib"}, "metrics": [metric]}],
    }]})
}

/// A point: labels, start (-1 for none), time, value.
pub(crate) type Point<'a> = (&'a str, i64, i64, f64);

fn number_points(points: &[Point<'_>]) -> Value {
    let point = |(labels, start, time, value): &Point<'_>| {
        let mut point = json!({
            "attributes": attributes(labels), "startTimeUnixNano": nanos(*start), "timeUnixNano": nanos(*time),
        });
        match value.is_finite() && value.fract() == 0.0 {
            true => point["asInt"] = json!((*value as i64).to_string()),
            false if value.is_nan() => point["asDouble"] = json!("NaN"),
            false if value.is_infinite() => point["asDouble"] = json!("Infinity"),
            false => point["asDouble"] = json!(value),
        }
        point
    };
    points.iter().map(point).collect()
}

pub(crate) fn sum(name: &str, temporality: i32, monotonic: bool, points: &[Point<'_>]) -> Value {
    json!({"name": name, "unit": "1", "sum": {
        "aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": number_points(points),
    }})
}

/// A cumulative counter.
pub(crate) fn counter(name: &str, points: &[Point<'_>]) -> Value {
    sum(name, 2, true, points)
}

/// A counter of deltas.
pub(crate) fn deltas(name: &str, points: &[Point<'_>]) -> Value {
    sum(name, 1, true, points)
}

pub(crate) fn gauge(name: &str, points: &[Point<'_>]) -> Value {
    json!({"name": name, "unit": "1", "gauge": {"dataPoints": number_points(points)}})
}

/// A histogram with one point.
pub(crate) fn histogram(
    temporality: i32,
    (labels, start, time): (&str, i64, i64),
    bounds: &[f64],
    counts: &[u64],
    sum: f64,
) -> Value {
    json!({"name": "h", "histogram": {"aggregationTemporality": temporality, "dataPoints": [{
        "attributes": attributes(labels), "startTimeUnixNano": nanos(start), "timeUnixNano": nanos(time),
        "count": counts.iter().sum::<u64>().to_string(), "sum": sum, "explicitBounds": bounds,
        "bucketCounts": counts.iter().map(u64::to_string).collect::<Vec<_>>(),
    }]}})
}

impl Fixture {
    /// Sends a metric of a resource, and gives what goes on at once.
    pub(crate) fn send(&mut self, resource: &str, metric: Value) -> Vec<Row> {
        self.send_request(&request(resource, metric))
    }

    pub(crate) fn send_request(&mut self, request: &Value) -> Vec<Row> {
        let batch = golden::batch(Signal::Metrics, &request.to_string());
        self.harness.send(batch).expect("taken");
        self.rows()
    }

    /// Lets time pass, and gives what is let out.
    pub(crate) fn advance(&mut self, seconds: u64) -> Vec<Row> {
        self.harness.advance(Duration::from_secs(seconds));
        self.rows()
    }

    pub(crate) fn drain(&mut self) -> Vec<Row> {
        self.harness.drain();
        self.rows()
    }

    /// The requests that came out since the last call.
    pub(crate) fn requests(&mut self) -> Vec<Value> {
        self.harness.take_released().iter().map(|fragment| golden::to_json(&fragment.batch)).collect()
    }

    fn rows(&mut self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.requests().iter().flat_map(rows).collect();
        rows.sort();
        rows
    }

    /// How many points were not put into others, for a reason.
    pub(crate) fn ignored(&self, reason: &str) -> i64 {
        let attributes = [("processor", "optimizer"), ("reason", reason)];
        self.metrics.sum("phoenix_processor_optimizer_ignored", &attributes)
    }
}

fn text_of(attributes: &Value) -> String {
    let mut pairs: Vec<String> = attributes
        .as_array()
        .into_iter()
        .flatten()
        .map(|pair| {
            let value = &pair["value"];
            let value = value["stringValue"].as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{}={value}", pair["key"].as_str().unwrap_or_default())
        })
        .collect();
    pairs.sort();
    pairs.join(" ")
}

fn seconds(time: &Value) -> i64 {
    let nanos: i64 = time.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    if nanos == 0 { -1 } else { nanos / 1_000_000_000 - EPOCH as i64 }
}

/// The rows of a request.
pub(crate) fn rows(request: &Value) -> Vec<Row> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for resource in list(&request["resourceMetrics"]) {
        let of_resource = text_of(&resource["resource"]["attributes"]);
        for scope in list(&resource["scopeMetrics"]) {
            for metric in list(&scope["metrics"]) {
                let kinds = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
                let data = kinds.iter().map(|kind| &metric[*kind]).find(|data| data.is_object());
                for point in list(&data.expect("data")["dataPoints"]) {
                    let labels = [of_resource.as_str(), &text_of(&point["attributes"])].join("|");
                    rows.push((
                        metric["name"].as_str().unwrap_or_default().to_owned(),
                        labels,
                        seconds(&point["startTimeUnixNano"]),
                        seconds(&point["timeUnixNano"]),
                        value_of(&point),
                    ));
                }
            }
        }
    }
    rows
}

fn value_of(point: &Value) -> String {
    if point["flags"] == 1 {
        return "stale".to_owned();
    }
    if let Some(text) = point["asInt"].as_str() {
        return text.to_owned();
    }
    if point["asDouble"].is_f64() {
        let value = point["asDouble"].as_f64().unwrap_or_default();
        return format!("{:.6}", value).trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if point["asDouble"].is_string() || point["asDouble"].is_i64() {
        return point["asDouble"].to_string();
    }
    let texts = |value: &Value| {
        let list = value.as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(",")
    };
    match point["positive"].is_object() || point["scale"].is_i64() {
        true => format!(
            "scale {} offset {} [{}] zero {} count {}",
            point["scale"].as_i64().unwrap_or(0),
            point["positive"]["offset"].as_i64().unwrap_or(0),
            texts(&point["positive"]["bucketCounts"]),
            point["zeroCount"].as_str().unwrap_or("0"),
            point["count"].as_str().unwrap_or("0"),
        ),
        false => format!(
            "[{}] [{}] count {} sum {}",
            texts(&point["explicitBounds"]),
            texts(&point["bucketCounts"]),
            point["count"].as_str().unwrap_or("0"),
            point["sum"].as_f64().unwrap_or(f64::NAN),
        ),
    }
}

/// Rows as they are compared: labels, start, time, value.
pub(crate) fn short(rows: &[Row]) -> Vec<(&str, i64, i64, &str)> {
    rows.iter()
        .map(|(_, labels, start, time, value)| (labels.as_str(), *start, *time, value.as_str()))
        .collect()
}
