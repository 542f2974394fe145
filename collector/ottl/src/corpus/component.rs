//! Inference of contexts, and sequences of conditions.

use phoenix_pdata::{Payload, Signal};
use serde_json::{Value as Json, json};

use crate::infer::infer;
use crate::{ConditionGroup, Context, ErrorMode, Group, MatchProgram, StatementProgram, sets};

use super::build::request;
use super::{cases, env};

fn texts(list: &Json) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn signal(case: &Json) -> Signal {
    match case["signal"].as_str().unwrap() {
        "traces" => Signal::Traces,
        "metrics" => Signal::Metrics,
        _ => Signal::Logs,
    }
}

fn inferred(case: &Json) -> Json {
    let (signal, statements, conditions) =
        (signal(case), texts(&case["statements"]), texts(&case["conditions"]));
    let explicit = case["context"].as_str().map(|name| name.parse::<Context>().unwrap());
    let context = match explicit {
        Some(context) => Ok(context),
        None => infer(Context::of(signal), sets::ALL, &statements, &conditions).map_err(drop),
    };
    let error_mode = ErrorMode::Propagate;
    let compiled = match statements.is_empty() {
        true => {
            let group = ConditionGroup { context: explicit, error_mode, conditions };
            MatchProgram::compile(signal, sets::ALL, &group).map(drop).map_err(drop)
        }
        false => {
            let group = Group { context: explicit, error_mode, conditions, statements };
            StatementProgram::compile(signal, sets::ALL, &[group]).map(drop).map_err(drop)
        }
    };
    match (context, compiled) {
        (Ok(context), Ok(())) => json!({ "context": context.name() }),
        _ => json!({ "error": true }),
    }
}

fn sequence(case: &Json) -> Json {
    let record = json!({ "log": { "body": "hello", "severity_number": 9 } });
    let payload = Payload::from(bytes::Bytes::from(request(Signal::Logs, &record)));
    let conditions = texts(&case["conditions"]);
    let error_mode: ErrorMode = case["error_mode"].as_str().unwrap().parse().unwrap();
    let group = ConditionGroup { context: Some(Context::Log), error_mode, conditions };
    let is_and = case["op"] == "and";
    let program = match is_and {
        true => MatchProgram::compile_all(Signal::Logs, sets::ALL, &group),
        false => MatchProgram::compile(Signal::Logs, sets::ALL, &group),
    };
    let mut count = 0;
    match program.unwrap().each_match(&payload, &env(), |_| count += 1) {
        Ok(()) => json!(count == 1),
        Err(_) => json!({ "error": true }),
    }
}

#[test]
fn components() {
    let corpus = cases();
    let mut failures = Vec::new();
    let cases = corpus["component_cases"].as_array().unwrap();
    for case in cases {
        let found = match case["kind"].as_str().unwrap() {
            "infer" => inferred(case),
            "sequence" => sequence(case),
            other => panic!("unknown kind {other}"),
        };
        if found != case["expect"] {
            failures.push(format!("{case}: found {found}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
