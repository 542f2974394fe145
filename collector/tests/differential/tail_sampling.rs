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
    let mut settings = json!({"decision_wait": "1s", "num_traces": 1000, "policies": policies});
    if random.one_in(5) {
        settings["sample_on_first_match"] = true.into();
    }
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
    match random.below(if depth == 0 { 16 } else { 12 }) {
        0 => json!({"name": name, "type": "always_sample"}),
        // An upper threshold is asked span by span there: a difference that is meant.
        1 => leaf("latency", json!({"threshold_ms": random.number(&[1, 50, 400])})),
        2 => {
            let (least, most) = (random.number(&[-3, 1, 4]), random.number(&[-1, 2, 5]));
            let key = random.pick(&["n", "flag", "route"]);
            leaf(
                "numeric_attribute",
                json!({"key": key, "min_value": least, "max_value": most, "invert_match": random.one_in(4)}),
            )
        }
        3 => {
            let key = random.pick(&["flag", "n"]);
            leaf(
                "boolean_attribute",
                json!({"key": key, "value": random.one_in(2), "invert_match": random.one_in(4)}),
            )
        }
        4 => leaf(
            "string_attribute",
            json!({"key": random.pick(&["route", "service.name"]), "values": ["/a", "", "cart"], "invert_match": random.one_in(4)}),
        ),
        5 => {
            let values = json!([random.pick(&["^/a", "c", "/b$$", "x.*y", ""])]);
            let key = random.pick(&["route", "service.name", "n"]);
            let inverts = random.one_in(4);
            leaf(
                "string_attribute",
                json!({"key": key, "values": values, "enabled_regex_matching": true, "invert_match": inverts}),
            )
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
                "Substring(attributes[\"route\"], 0, 2) == \"/c\"",
            ]);
            let mut settings = json!({"span": [condition]});
            if random.one_in(3) {
                settings["spanevent"] =
                    json!(
                        [random.pick(&["name == \"exception\"", "Substring(name, 0, 9) == \"exception\""])]
                    );
            }
            match random.below(4) {
                0 => {}
                mode => settings["error_mode"] = ["ignore", "silent", "propagate"][mode - 1].into(),
            }
            leaf("ottl_condition", settings)
        }
        11 => json!({"name": name, "type": "trace_flags"}),
        12 => leaf("and", json!({"and_sub_policy": inner(random)})),
        13 => leaf("drop", json!({"drop_sub_policy": inner(random)})),
        14 => {
            // A rate that nothing exceeds: what is asked, and in which order, is left.
            let subs = inner(random);
            let parts: Vec<Value> = subs
                .iter()
                .map(|sub| json!({"policy": sub["name"], "percent": random.number(&[50, 120])}))
                .collect();
            leaf(
                "composite",
                json!({"max_total_spans_per_second": 1_000_000, "composite_sub_policy": subs, "rate_allocation": parts}),
            )
        }
        _ => leaf("not", json!({"not_sub_policy": policy("inner", random, 1)})),
    }
}

/// Policies inside of another; names mean nothing there.
fn inner(random: &mut Random) -> Vec<Value> {
    let name = |number: usize, random: &mut Random| match random.below(4) {
        0 => "same".to_owned(),
        _ => format!("s{number}"),
    };
    (0..1 + random.below(3))
        .map(|number| {
            let name = name(number, random);
            policy(&name, random, 1)
        })
        .collect()
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
        let states = [
            "vendor=a",
            "vendor=c",
            "x=1,vendor=b",
            "1x=1,vendor=a",
            "vendor=a, ",
            " vendor=a ,x@y=1",
            "vendor=a,vendor=b",
        ];
        span["traceState"] = random.pick(&states).into();
    }
    if random.one_in(3) {
        span["flags"] = [0, 1, 2, 257][random.below(4)].into();
    }
    if random.one_in(4) {
        span["events"] = json!([{"name": random.pick(&["exception", "e"])}]);
    }
    if random.one_in(20) {
        span["startTimeUnixNano"] = "0".into();
    }
    span
}
