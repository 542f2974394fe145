//! Requests in OTLP/JSON, cut into what statements run over.

use phoenix_pdata::Signal;
use serde_json::{Map, Value, json};

use crate::Context;

/// The lists that records of a signal lie in.
const fn lists(signal: Signal) -> [&'static str; 3] {
    match signal {
        Signal::Traces => ["resourceSpans", "scopeSpans", "spans"],
        Signal::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
        Signal::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
    }
}

/// The signal of a request, where it is one.
pub(super) fn signal(request: &Value) -> Option<Signal> {
    [Signal::Traces, Signal::Metrics, Signal::Logs]
        .into_iter()
        .find(|signal| request.get(lists(*signal)[0]).is_some_and(Value::is_array))
}

/// Each record of a request, in a request of its own with the scope and the resource that it is of. Where statements run
/// over resources, scopes or metrics, these are the records, with all that is in them.
pub(super) fn of(signal: Signal, context: Option<Context>, request: &Value) -> Vec<Value> {
    let [resources, scopes, records] = lists(signal);
    let points: &[&str] = match context {
        Some(Context::DataPoint | Context::Exemplar) => {
            &["gauge", "sum", "histogram", "exponentialHistogram", "summary"]
        }
        _ => &[],
    };
    let mut found = vec![request.clone()];
    let depth = match context {
        Some(Context::Resource) => 1,
        Some(Context::Scope) => 2,
        _ => 3,
    };
    for level in 0..depth {
        let place: &[&str] = &[resources, scopes, records][..=level];
        found = found.iter().flat_map(|request| cut(request, place)).collect();
    }
    for kind in points {
        let place = [resources, scopes, records, kind, "dataPoints"];
        found = found
            .into_iter()
            .flat_map(|request| {
                let metric = &request[resources][0][scopes][0][records][0];
                if metric.get(kind).is_some() { cut(&request, &place) } else { vec![request] }
            })
            .collect();
    }
    found
}

/// A request for each entry of the list at `place`; the lists above it have one entry each.
fn cut(request: &Value, place: &[&str]) -> Vec<Value> {
    fn list<'v>(value: &'v mut Value, place: &[&str]) -> Option<&'v mut Vec<Value>> {
        let (key, rest) = place.split_first()?;
        let here = value.get_mut(*key)?;
        if rest.is_empty() {
            return here.as_array_mut();
        }
        match here {
            Value::Array(entries) => list(entries.first_mut()?, rest),
            object => list(object, rest),
        }
    }
    let mut frame = request.clone();
    let Some(entries) = list(&mut frame, place).map(std::mem::take) else { return Vec::new() };
    let alone = |entry| {
        let mut one = frame.clone();
        if let Some(entries) = list(&mut one, place) {
            entries.push(entry);
        }
        one
    };
    entries.into_iter().map(alone).collect()
}

/// What people want to see of a request with one record: the resource, the scope and the record side by side; the
/// request itself where it has become more than that.
pub(super) fn parts(signal: Signal, request: &Value) -> Value {
    let [resources, scopes, records] = lists(signal);
    let only = |value: &Value, key: &str| -> Option<Map<String, Value>> {
        match value.get(key)?.as_array()?.as_slice() {
            [Value::Object(only)] => Some(only.clone()),
            _ => None,
        }
    };
    let name = match signal {
        Signal::Traces => "span",
        Signal::Metrics => "metric",
        Signal::Logs => "log",
    };
    let parts = || {
        let resource = only(request, resources)?;
        let scope = only(&Value::from(resource.clone()), scopes)?;
        let record = only(&Value::from(scope.clone()), records)?;
        let part = |of: &Map<String, Value>, key: &str| of.get(key).cloned().unwrap_or_else(|| json!({}));
        Some(json!({"resource": part(&resource, "resource"), "scope": part(&scope, "scope"), name: record}))
    };
    parts().unwrap_or_else(|| request.clone())
}

/// What a request with one record is called.
pub(super) fn title(signal: Signal, request: &Value) -> String {
    let parts = parts(signal, request);
    let named = |kind: &str, name: &Value| match name.as_str() {
        Some(name) if !name.is_empty() => format!("{kind} {name:?}"),
        _ => kind.to_owned(),
    };
    match signal {
        Signal::Traces if parts.get("span").is_some() => named("span", &parts["span"]["name"]),
        Signal::Metrics if parts.get("metric").is_some() => named("metric", &parts["metric"]["name"]),
        Signal::Logs if parts.get("log").is_some() => named("log", &parts["log"]["body"]["stringValue"]),
        _ => "resource or scope, with all that is in it".to_owned(),
    }
}
