//! Requests: those that are written down, and generated ones.

use serde_json::{Value, json};

use crate::random::Random;

/// A request of a signal that was written down.
pub(crate) fn written(signal: &str) -> &'static str {
    match signal {
        "traces" => include_str!("../../pdata/tests/data/otelcol/input-traces.json"),
        "metrics" => include_str!("../../pdata/tests/data/otelcol/input-metrics.json"),
        _ => include_str!("../../pdata/tests/data/otelcol/input-logs.json"),
    }
}

/// A request of a signal, out of the same keys and values that statements speak of.
pub(crate) fn generated(signal: &str, random: &mut Random) -> String {
    let entries: Vec<Value> = (0..1 + random.below(3)).map(|_| entry(signal, random)).collect();
    let name = format!("resource{}{}", signal[..1].to_uppercase(), &signal[1..]);
    json!({name: entries}).to_string()
}

fn entry(signal: &str, random: &mut Random) -> Value {
    let (scopes, records) = match signal {
        "traces" => ("scopeSpans", "spans"),
        "metrics" => ("scopeMetrics", "metrics"),
        _ => ("scopeLogs", "logRecords"),
    };
    let scope = |random: &mut Random| {
        let list: Vec<Value> = (0..random.below(4))
            .map(|_| match signal {
                "traces" => span(random),
                "metrics" => metric(random),
                _ => log(random),
            })
            .collect();
        json!({"scope": {"name": random.pick(&["lib", "other", ""]), "version": random.pick(&["1.2.0", ""]),
            "attributes": attributes(random)}, records: list})
    };
    let list: Vec<Value> = (0..1 + random.below(2)).map(|_| scope(random)).collect();
    let mut attributes = attributes(random);
    let name = random.pick(&["checkout", "cart", ""]);
    if !name.is_empty()
        && let Some(list) = attributes.as_array_mut()
    {
        list.push(json!({"key": "service.name", "value": {"stringValue": name}}));
    }
    json!({"resource": {"attributes": attributes}, scopes: list})
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth > 1 { 6 } else { 9 }) {
        0 | 1 => {
            json!({"stringValue": random.pick(&["text", "", "GET /a", "42", "1.5", "a,b,c", "ünïcode", "k=v x=y", "TEXT"])})
        }
        2 => json!({"intValue": random.pick(&["0", "42", "-7", "9223372036854775807", "200", "404", "503"])}),
        3 => json!({"doubleValue": random.number(&[0.0, 0.5, -1.25, 1e21, 1.5e-7, 3.0])}),
        4 => json!({"boolValue": random.one_in(2)}),
        5 => json!({"bytesValue": random.pick(&["AQID", ""])}),
        6 => {
            json!({"arrayValue": {"values": (0..random.below(3)).map(|_| value(random, depth + 1)).collect::<Vec<_>>()}})
        }
        7 => json!({"kvlistValue": {"values": pairs(random, 2, depth + 1)}}),
        _ => json!({}),
    }
}

/// Attributes of different keys.
fn pairs(random: &mut Random, most: usize, depth: usize) -> Vec<Value> {
    let mut keys = vec!["s", "i", "d", "b", "m", "a", "http.method", "http.status_code", "user.id", "n"];
    (0..random.below(most + 1))
        .map(|_| {
            let key = keys.swap_remove(random.below(keys.len()));
            json!({"key": key, "value": value(random, depth)})
        })
        .collect()
}

fn attributes(random: &mut Random) -> Value {
    Value::from(pairs(random, 6, 0))
}

fn id(random: &mut Random, bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", random.below(256))).collect()
}

fn time(random: &mut Random) -> String {
    (1_760_000_000_000_000_000_u64 + random.next() % 10_000_000_000).to_string()
}

fn span(random: &mut Random) -> Value {
    let state = random.pick(&[
        "",
        "",
        "",
        "ot=th:8",
        "ot=rv:ce929d0e0e4736",
        "vendor=1",
        "a=1,ot=th:c;rv:f0000000000000,b=2",
        "bad",
        "ot=x:y",
    ]);
    let start: u64 = time(random).parse().expect("a number");
    let event = |random: &mut Random| json!({"timeUnixNano": time(random), "name": random.pick(&["exception", "log", ""]), "attributes": attributes(random)});
    let events: Vec<Value> = (0..random.below(3)).map(|_| event(random)).collect();
    json!({
        "traceId": if random.one_in(12) { String::new() } else { id(random, 16) },
        "spanId": id(random, 8),
        "parentSpanId": if random.one_in(2) { String::new() } else { id(random, 8) },
        "traceState": state,
        "name": random.pick(&["GET /a", "GET /b", "SELECT", "", "healthz"]),
        "kind": random.below(6),
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": (start + random.next() % 3_000_000_000).to_string(),
        "attributes": attributes(random),
        "events": events,
        "status": {"code": random.below(3), "message": random.pick(&["", "boom"])},
    })
}

fn log(random: &mut Random) -> Value {
    json!({
        "timeUnixNano": time(random),
        "observedTimeUnixNano": time(random),
        "severityNumber": random.number(&[0, 1, 5, 9, 13, 17, 21]),
        "severityText": random.pick(&["", "INFO", "ERROR", "warn"]),
        "body": value(random, 0),
        "attributes": attributes(random),
        "traceId": if random.one_in(3) { String::new() } else { id(random, 16) },
        "spanId": if random.one_in(3) { String::new() } else { id(random, 8) },
        "eventName": random.pick(&["", "ev"]),
    })
}

fn metric(random: &mut Random) -> Value {
    let number = |random: &mut Random| {
        let mut point = json!({"attributes": attributes(random), "startTimeUnixNano": "1760000000000000000", "timeUnixNano": time(random)});
        if random.one_in(2) {
            point["asInt"] = random.pick(&["0", "7", "-3", "100"]).into();
        } else {
            point["asDouble"] = random.number(&[0.0, 1.5, -2.25, 1e6]).into();
        }
        point
    };
    let histogram = |random: &mut Random| {
        json!({"attributes": attributes(random), "timeUnixNano": time(random), "count": "6", "sum": 12.5,
            "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.5, 1.0], "min": 0.25, "max": 9.0})
    };
    let name = random.pick(&["g", "c", "h", "http.requests", "system.cpu.time", ""]);
    let mut metric = json!({"name": name, "description": random.pick(&["", "a metric"]), "unit": random.pick(&["", "1", "By", "s"])});
    let temporality = 1 + random.below(2);
    let count = random.below(4);
    match random.below(4) {
        0 => metric["gauge"] = json!({"dataPoints": (0..count).map(|_| number(random)).collect::<Vec<_>>()}),
        1 => {
            metric["sum"] = json!({"dataPoints": (0..count).map(|_| number(random)).collect::<Vec<_>>(),
                "aggregationTemporality": temporality, "isMonotonic": random.one_in(2)});
        }
        2 => {
            metric["histogram"] = json!({"dataPoints": (0..count).map(|_| histogram(random)).collect::<Vec<_>>(),
                "aggregationTemporality": temporality});
        }
        _ => {
            let point = |random: &mut Random| {
                json!({"attributes": attributes(random), "timeUnixNano": time(random), "count": "3", "sum": 4.5,
                    "quantileValues": [{"quantile": 0.5, "value": 1.0}, {"quantile": 0.75, "value": 2.5}]})
            };
            metric["summary"] = json!({"dataPoints": (0..count).map(|_| point(random)).collect::<Vec<_>>()});
        }
    }
    metric
}
