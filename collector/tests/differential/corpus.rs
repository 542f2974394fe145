//! The conformance cases of OTTL, as statements of `transform` and conditions of `filter`.
//!
//! A value is set as an attribute of the resource, and so is the word of a condition that holds. Left out are contexts of
//! profiles, which are no signal here, lists of conditions joined by `and`, which no component offers, and copies of metrics without a condition.

use serde_json::{Map, Value, json};

use crate::cases::Case;
use crate::collector::Outcome;

/// Where the result of a value or a condition is put.
const RESULT: &str = "resource.attributes[\"result\"]";

/// A case of a component: a record of its own.
const RECORD: &str = r#"{"log": {"body": "hello", "severity_number": 9}}"#;

/// What is said of a function, or an argument, that came after the version that is compared with.
const NEWER: [&str; 6] = [
    "undefined function",
    "does not support the function",
    "incorrect number of arguments",
    "unsupported semconv version",
    "must be a float",
    "unable to infer a valid context",
];

/// Cases whose values are lists, which the version that is compared with neither reads from points nor sets.
const LISTS: [&str; 4] = ["ottl path-dp-009", "ottl path-dp-014", "ottl path-dp-025", "ottl path-dp-026"];

/// Why a case differs from an older version; what is expected of it, of a later one, is tested with the language.
pub(crate) fn newer(case: &Case, theirs: &Outcome, ours: &Outcome) -> Option<&'static str> {
    if !is_one(case) {
        return None;
    }
    match (theirs, ours) {
        (Outcome::Refused(why), Outcome::Ran { .. }) if NEWER.iter().any(|text| why.contains(text)) => {
            Some("a function or an argument that later versions have")
        }
        (Outcome::Ran { statuses, .. }, Outcome::Refused(_)) if statuses == &[503] => {
            Some("an argument that can never be right is refused at the start")
        }
        (Outcome::Ran { statuses, .. }, Outcome::Ran { statuses: ours, .. })
            if statuses == &[200] && ours == &[500] =>
        {
            Some("a value of a type that cannot be set is an error, as in later versions; 0.145 sets nothing")
        }
        (Outcome::Ran { .. }, Outcome::Ran { .. }) if LISTS.contains(&case.name.as_str()) => {
            Some("lists of numbers of a point can be read and set, as in later versions")
        }
        (Outcome::Ran { statuses, .. }, Outcome::Ran { .. }) if case.name == "ottl path-spanevent-002" => {
            (statuses == &[503])
                .then_some("the index of an event can be set as a value, as in later versions")
        }
        _ => None,
    }
}

pub(crate) fn is_one(case: &Case) -> bool {
    case.name.starts_with("ottl ")
}

/// An outcome with its maps in one order: that of the original is a matter of chance.
pub(crate) fn ordered(outcome: Outcome) -> Outcome {
    let Outcome::Ran { statuses, mut out } = outcome else { return outcome };
    out.iter_mut().for_each(order);
    Outcome::Ran { statuses, out }
}

fn order(value: &mut Value) {
    match value {
        Value::Array(list) => {
            list.iter_mut().for_each(order);
            if list.iter().all(|entry| entry.get("key").is_some()) {
                list.sort_by_key(|entry| entry["key"].to_string());
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(order),
        _ => {}
    }
}

/// Every case that a pipeline can show.
pub(crate) fn cases() -> Vec<Case> {
    let all: Value = serde_json::from_str(include_str!("../../ottl/tests/data/cases.json")).expect("JSON");
    let list = |name: &str| all[name].as_array().expect("a list").clone();
    let of_language = list("cases").into_iter().filter_map(|case| language(&case, &all["defaults"]));
    let of_components =
        list("component_cases").into_iter().filter_map(|case| component(&case, &all["defaults"]));
    of_language.chain(of_components).collect()
}

fn case(name: &Value, signal: &str, processors: Value, input: &Value) -> Case {
    Case {
        name: format!("ottl {}", name.as_str().expect("an id")),
        signal: signal.to_owned(),
        processors,
        connector: None,
        inputs: vec![request(signal, input).to_string()],
    }
}

fn language(it: &Value, defaults: &Value) -> Option<Case> {
    let context = it["context"].as_str().expect("a context");
    let signal = match context {
        "profile" => return None,
        "log" => "logs",
        "metric" | "datapoint" => "metrics",
        _ => "traces",
    };
    let sources: Vec<&str> = match &it["ottl"] {
        Value::Array(sources) => sources.iter().filter_map(Value::as_str).collect(),
        source => source.as_str().into_iter().collect(),
    };
    // Over all metrics of a scope, and not for one as in the corpus, the original copies copies for ever.
    if sources.iter().any(|source| source.contains("copy_metric(") && !source.contains(" where ")) {
        return None;
    }
    let statement = |source: &&str| match it["kind"].as_str() {
        Some("value") => format!("set({RESULT}, {source})"),
        Some("condition") => format!("set({RESULT}, \"holds\") where {source}"),
        _ => (*source).to_owned(),
    };
    let statements: Vec<String> = sources.iter().map(statement).collect();
    let input = match it["input"].as_str() {
        Some("default") => &defaults[context],
        Some(name) => &defaults[name],
        None => &it["input"],
    };
    let group = json!({"context": context, "statements": statements});
    let settings = json!({"error_mode": "propagate", statements_key(signal): [group]});
    Some(case(&it["id"], signal, json!({"transform": settings}), input))
}

fn component(it: &Value, defaults: &Value) -> Option<Case> {
    let signal = it["signal"].as_str().unwrap_or("logs");
    let mode = it["error_mode"].as_str().unwrap_or("propagate");
    if it["op"] == "and" {
        return None;
    }
    if it["statements"].is_null() {
        let filter = json!({"filter": {"error_mode": mode, "logs": {"log_record": it["conditions"]}}});
        let record: Value = serde_json::from_str(RECORD).expect("JSON");
        return Some(case(&it["id"], signal, filter, &record));
    }
    let mut group = Map::new();
    for key in ["context", "statements", "conditions"] {
        if !it[key].is_null() {
            group.insert(key.to_owned(), it[key].clone());
        }
    }
    let settings = json!({"error_mode": mode, statements_key(signal): [group]});
    let input = match signal {
        "traces" => &defaults["spanevent"],
        "metrics" => &defaults["metric_hist"],
        _ => &defaults["log"],
    };
    Some(case(&it["id"], signal, json!({"transform": settings}), input))
}

fn statements_key(signal: &str) -> &'static str {
    match signal {
        "traces" => "trace_statements",
        "metrics" => "metric_statements",
        _ => "log_statements",
    }
}

/// The request that holds the one record of an input.
fn request(signal: &str, input: &Value) -> Value {
    let (resources, scopes, records, record) = match signal {
        "traces" => ("resourceSpans", "scopeSpans", "spans", "span"),
        "metrics" => ("resourceMetrics", "scopeMetrics", "metrics", "metric"),
        _ => ("resourceLogs", "scopeLogs", "logRecords", "log"),
    };
    let mut entry = object(&input["resource"]);
    let resource_schema = entry.remove("schemaUrl").unwrap_or_default();
    let mut scope = object(&input["scope"]);
    let scope_schema = scope.remove("schemaUrl").unwrap_or_default();
    let record = match &input[record] {
        Value::Null => Map::new(),
        value if signal == "metrics" => metric(value),
        value => object(value),
    };
    let scope = without_nulls(json!({"scope": scope, records: [record], "schemaUrl": scope_schema}));
    json!({resources: [without_nulls(json!({"resource": entry, scopes: [scope], "schemaUrl": resource_schema}))]})
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// A record of the corpus with the names and values of OTLP/JSON.
fn object(fields: &Value) -> Map<String, Value> {
    let field = |(name, value): (&String, &Value)| {
        let value = match name.as_str() {
            "attributes" | "metadata" => attributes(value),
            "body" => any(value),
            "events" | "quantile_values" => {
                value.as_array().expect("a list").iter().map(object).map(Value::from).collect()
            }
            "status" | "positive" | "negative" => object(value).into(),
            "value_int" | "count" | "zero_count" => value.to_string().into(),
            "bucket_counts" => {
                value.as_array().expect("a list").iter().map(|count| Value::from(count.to_string())).collect()
            }
            "explicit_bounds" => value.as_array().expect("a list").iter().map(number).collect(),
            name if name.ends_with("_nano") => value.to_string().into(),
            _ => number(value),
        };
        (camel(name), value)
    };
    fields.as_object().into_iter().flatten().map(field).collect()
}

fn metric(fields: &Value) -> Map<String, Value> {
    let mut metric = Map::new();
    let mut data = Map::new();
    let mut kind = "gauge";
    for (name, value) in fields.as_object().into_iter().flatten() {
        match name.as_str() {
            "type" => kind = value.as_str().expect("a type"),
            "data_points" => {
                let points = value.as_array().expect("a list").iter().map(object).map(Value::from).collect();
                data.insert("dataPoints".into(), points);
            }
            "aggregation_temporality" | "is_monotonic" => {
                data.insert(camel(name), value.clone());
            }
            "metadata" => {
                metric.insert(name.clone(), attributes(value));
            }
            _ => {
                metric.insert(name.clone(), value.clone());
            }
        }
    }
    metric.insert(camel(kind), data.into());
    metric
}

/// A double of the corpus as one of JSON; anything else as it is.
fn number(value: &Value) -> Value {
    value.get("$double").unwrap_or(value).clone()
}

fn attributes(map: &Value) -> Value {
    let pair = |(key, value): (&String, &Value)| json!({"key": key, "value": any(value)});
    map.as_object().into_iter().flatten().map(pair).collect()
}

fn any(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"boolValue": value}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(_) => json!({"stringValue": value}),
        Value::Array(values) => json!({"arrayValue": {"values": values.iter().map(any).collect::<Vec<_>>()}}),
        Value::Object(fields) => match (fields.get("$double"), fields.get("$bytes")) {
            (Some(double), _) => json!({"doubleValue": double}),
            (_, Some(bytes)) => json!({"bytesValue": base64(bytes.as_str().expect("hexadecimal"))}),
            _ => json!({"kvlistValue": {"values": attributes(value)}}),
        },
    }
}

fn base64(hex: &str) -> String {
    use base64::Engine as _;
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The name of a field in OTLP/JSON.
fn camel(name: &str) -> String {
    let name = match name {
        "value_int" => "as_int",
        "value_double" => "as_double",
        name => name,
    };
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}
