//! Tail sampling: the same traces, in pieces over several requests, and generated policies; the same traces have to be kept.
//!
//! Only policies without memory: what limits keep depends on when spans come.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cases::Case;
use crate::collector::Outcome;
use crate::random::Random;

const NAME: &str = "tail_sampling";
/// Traces of a case, and requests that their spans are spread over.
const TRACES: usize = 24;
const REQUESTS: usize = 3;

/// So many generated cases.
pub(crate) fn generated(seed: u64, count: u64) -> Vec<Case> {
    (0..count).map(|index| one(seed, index)).collect()
}

fn one(seed: u64, index: u64) -> Case {
    let random = &mut Random::new(seed.wrapping_mul(7_919).wrapping_add(index));
    let policies: Vec<Value> =
        (0..1 + random.below(4)).map(|number| policy(&format!("p{number}"), random, 0)).collect();
    let settings = json!({"decision_wait": "1s", "num_traces": 1000, "policies": policies});
    Case {
        name: format!("tail {seed}/{index}"),
        signal: "traces".to_owned(),
        processors: json!({NAME: settings}),
        connector: None,
        inputs: inputs(random),
    }
}

/// Whether a case is one of these.
pub(crate) fn is_one(case: &Case) -> bool {
    case.processors.get(NAME).is_some()
}

/// The traces that were kept, with how many spans, in place of the requests that they came in.
pub(crate) fn kept(outcome: Outcome) -> Outcome {
    let Outcome::Ran { statuses, out } = outcome else { return outcome };
    let mut traces: BTreeMap<String, u64> = BTreeMap::new();
    for request in &out {
        for resource in request["resourceSpans"].as_array().into_iter().flatten() {
            for scope in resource["scopeSpans"].as_array().into_iter().flatten() {
                for span in scope["spans"].as_array().into_iter().flatten() {
                    *traces.entry(span["traceId"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
                }
            }
        }
    }
    Outcome::Ran { statuses, out: vec![json!(traces)] }
}

/// A policy of a type; what it has inside depends on how deep it stands.
fn policy(name: &str, random: &mut Random, depth: u32) -> Value {
    let leaf = |kind: &str, settings: Value| json!({"name": name, "type": kind, kind: settings});
    match random.below(if depth == 0 { 14 } else { 11 }) {
        0 => json!({"name": name, "type": "always_sample"}),
        // An upper threshold is asked span by span there: a difference that is meant.
        1 => leaf("latency", json!({"threshold_ms": random.number(&[1, 50, 400])})),
        2 => leaf("numeric_attribute", json!({"key": "n", "min_value": 1 + random.below(4), "max_value": 5})),
        3 => leaf("boolean_attribute", json!({"key": "flag", "value": random.one_in(2)})),
        4 => leaf(
            "string_attribute",
            json!({"key": random.pick(&["route", "service.name"]), "values": ["/a", "cart"]}),
        ),
        5 => {
            let values = json!([random.pick(&["^/a", "c", "/b$$", "x.*y"])]);
            let key = random.pick(&["route", "service.name"]);
            leaf("string_attribute", json!({"key": key, "values": values, "enabled_regex_matching": true}))
        }
        6 => leaf("status_code", json!({"status_codes": [random.pick(&["ERROR", "OK", "UNSET"])]})),
        7 => {
            leaf("span_count", json!({"min_spans": 1 + random.below(4), "max_spans": random.number(&[0, 5])}))
        }
        8 => leaf("trace_state", json!({"key": "vendor", "values": ["a", "b"]})),
        9 => {
            let mut settings = json!({"sampling_percentage": random.number(&[0.0, 5.0, 33.3, 50.0, 100.0])});
            if random.one_in(2) {
                settings["hash_salt"] = random.pick(&["s2", "other"]).into();
            }
            leaf("probabilistic", settings)
        }
        10 => {
            let condition = random.pick(&[
                "attributes[\"n\"] == 3",
                "name == \"GET /a\" and status.code == STATUS_CODE_ERROR",
                "IsMatch(resource.attributes[\"service.name\"], \"^c\")",
                "IsRootSpan() and attributes[\"route\"] == \"/b\"",
            ]);
            leaf("ottl_condition", json!({"error_mode": "ignore", "span": [condition]}))
        }
        11 => leaf("and", json!({"and_sub_policy": inner(random)})),
        12 => leaf("drop", json!({"drop_sub_policy": inner(random)})),
        _ => leaf("not", json!({"not_sub_policy": policy("inner", random, 1)})),
    }
}

fn inner(random: &mut Random) -> Vec<Value> {
    (0..1 + random.below(3)).map(|number| policy(&format!("s{number}"), random, 1)).collect()
}

/// Spans of a few traces, each in any of the requests.
fn inputs(random: &mut Random) -> Vec<String> {
    let mut requests: Vec<Vec<Value>> = vec![Vec::new(); REQUESTS];
    for _ in 0..TRACES {
        let id = format!("{:016x}{:016x}", random.next(), random.next());
        for number in 0..1 + random.below(6) {
            let span = span(&id, number, random);
            requests[random.below(REQUESTS)].push(span);
        }
    }
    requests
        .into_iter()
        .map(|spans| {
            let resources: Vec<Value> = ["checkout", "cart"]
                .iter()
                .enumerate()
                .map(|(index, service)| {
                    let own: Vec<&Value> = spans.iter().skip(index).step_by(2).collect();
                    let name = json!([{"key": "service.name", "value": {"stringValue": service}}]);
                    json!({"resource": {"attributes": name}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": own}]})
                })
                .collect();
            json!({"resourceSpans": resources}).to_string()
        })
        .collect()
}

fn span(id: &str, number: usize, random: &mut Random) -> Value {
    const START: u64 = 1_760_000_000_000_000_000;
    let start = START + random.below(200) as u64 * 1_000_000;
    let end = start + random.below(500) as u64 * 1_000_000;
    let mut attributes = vec![json!({"key": "n", "value": {"intValue": random.below(8).to_string()}})];
    if random.one_in(2) {
        attributes.push(json!({"key": "route", "value": {"stringValue": random.pick(&["/a", "/b", "/c"])}}));
    }
    if random.one_in(3) {
        attributes.push(json!({"key": "flag", "value": {"boolValue": random.one_in(2)}}));
    }
    let mut span = json!({
        "traceId": id, "spanId": format!("{:016x}", number + 1), "name": random.pick(&["GET /a", "GET /b"]),
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
        "attributes": attributes, "status": {"code": random.below(3)},
    });
    if number > 0 {
        span["parentSpanId"] = "0000000000000001".into();
    }
    if random.one_in(4) {
        span["traceState"] = random.pick(&["vendor=a", "vendor=c", "x=1,vendor=b"]).into();
    }
    span
}
