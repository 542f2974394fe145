//! The conformance cases: expressions, conditions, statements, inference, and what is expected of each.

mod build;
mod component;
mod read;

use std::cell::RefCell;

use phoenix_pdata::Signal;
use serde_json::{Map, Value as Json};

use crate::check::Compiler;
use crate::plan::Levels;
use crate::run::{Arena, Layout, State, Verdict, Walk, walk};
use crate::{Context, Env, EvalError, sets};

use build::request;
use read::{sections, to_json};

/// Why a case did not come out as expected.
type Outcome = Result<(), String>;

/// What running a case gave.
enum Run {
    /// It does not compile.
    Parse(String),
    Eval(EvalError),
    Value(Json),
    /// The request after the statements.
    Changed(Vec<u8>),
}

pub(super) fn cases() -> Json {
    serde_json::from_str(include_str!("../tests/data/cases.json")).unwrap()
}

pub(super) fn env() -> Env<'static> {
    Env { now_unix_nanos: 1_764_000_000_000_000_000, random: &|| 7, client: &(), report: &() }
}

pub(super) fn signal_of(context: Context) -> Signal {
    match context {
        Context::Metric | Context::DataPoint | Context::Exemplar => Signal::Metrics,
        Context::Span | Context::SpanEvent => Signal::Traces,
        Context::Log | Context::Resource | Context::Scope => Signal::Logs,
    }
}

fn sources(case: &Json) -> Vec<String> {
    match &case["ottl"] {
        Json::Array(sources) => sources.iter().map(|source| source.as_str().unwrap().to_owned()).collect(),
        source => vec![source.as_str().unwrap().to_owned()],
    }
}

/// Runs a case over the one record that its input names.
fn run(case: &Json, context: Context, input: &Json) -> Run {
    let mut layout = Layout::default();
    let mut compiler = Compiler::new(context, sets::ALL, false, &mut layout);
    let (mut value, mut condition, mut statements) = (None, None, Vec::new());
    for source in sources(case) {
        let compiled = match case["kind"].as_str().unwrap() {
            "value" => compiler.value(&source).map(|expr| value = Some(expr)),
            "condition" => compiler.condition(&source).map(|(compiled, _)| condition = Some(compiled)),
            _ => compiler.statement(&source).map(|(statement, _)| statements.push(statement)),
        };
        if let Err(problem) = compiled {
            return Run::Parse(problem.to_string());
        }
    }
    let signal = signal_of(context);
    let piece = request(signal, input);
    let arena = Arena::default();
    let mut state = State::new(&layout, &arena, env());
    let wanted = input["datapoint_index"].as_u64().or(input["event_index"].as_u64()).unwrap_or(0);
    let how = Walk {
        signal,
        visits: Levels::of(context.depth()),
        prunes: false,
        keeps_metric: context == Context::DataPoint,
    };
    let found = RefCell::new(None);
    let mut index = 0;
    let result = walk(&mut state, &piece, how, &mut |state, depth| {
        state.depth = depth;
        index += 1;
        if index - 1 == wanted {
            if let Some(value) = &value {
                *found.borrow_mut() = Some(to_json(value.evaluate(state)?.into_value()));
            }
            if let Some(condition) = &condition {
                *found.borrow_mut() = Some(Json::Bool(condition.test(state)?));
            }
            for statement in &statements {
                statement.run(state)?;
            }
        }
        Ok(Verdict::Keep)
    });
    match (result, found.into_inner()) {
        (Err(error), _) => Run::Eval(error),
        (Ok(_), Some(value)) => Run::Value(value),
        (Ok(changed), None) => Run::Changed(changed.unwrap_or(piece)),
    }
}

fn check(case: &Json, defaults: &Json) -> Outcome {
    let name = case["context"].as_str().unwrap();
    let context: Context = match name.parse() {
        Ok(context) => context,
        // Profiles are no signal of this collector: they are refused by name.
        Err(crate::UnknownContext::Profile) => return refused(case),
        Err(error) => return Err(error.to_string()),
    };
    let input = match case["input"].as_str() {
        Some("default") => &defaults[name],
        Some(other) => &defaults[other],
        None => &case["input"],
    };
    let expected = &case["expect"];
    match (run(case, context, input), expected["phase"].as_str()) {
        (Run::Parse(_), Some("parse")) | (Run::Eval(_), Some("eval")) => Ok(()),
        (Run::Parse(message), _) => Err(format!("does not compile: {message}")),
        (Run::Eval(error), _) => Err(format!("fails: {error}")),
        (Run::Value(_) | Run::Changed(_), Some(phase)) => Err(format!("must fail in phase {phase}")),
        (Run::Value(value), None) => same(&value, expected, "value"),
        (Run::Changed(after), None) => {
            let signal = signal_of(context);
            let index = input["datapoint_index"].as_u64().or(input["event_index"].as_u64());
            let mut before = sections(signal, &request(signal, input), index);
            let after = sections(signal, &after, index);
            let both = [&before, &after].map(|sections| sections["metric"]["data_points"].clone());
            change(&mut before, expected);
            if context == Context::DataPoint && both[0] != both[1] {
                // The point is compared by itself.
                before["metric"]["data_points"] = both[1].clone();
            }
            same(&after, &before, "record")
        }
    }
}

/// A case of profiles: it must be refused, and the reason named.
fn refused(case: &Json) -> Outcome {
    let mut layout = Layout::default();
    let mut compiler = Compiler::new(Context::Log, sets::ALL, false, &mut layout);
    let source = &sources(case)[0];
    let result = match case["kind"].as_str().unwrap() {
        "value" => compiler.value(source).map(drop),
        "condition" => compiler.condition(source).map(drop),
        _ => compiler.statement(source).map(drop),
    };
    match result {
        Err(problem) if problem.message.contains("profile") => Ok(()),
        other => Err(format!("profiles must be refused by name, got {other:?}")),
    }
}

/// Applies what is expected to change.
fn change(before: &mut Json, expected: &Json) {
    for (section, fields) in expected.as_object().unwrap() {
        if section == "appended_metrics" {
            before[section] = fields.clone();
            continue;
        }
        for (field, value) in fields.as_object().unwrap() {
            let place = &mut before[section][field];
            match value.get("$patch") {
                None => *place = value.clone(),
                Some(patch) => {
                    if place.is_null() {
                        *place = Json::Object(Map::new());
                    }
                    let place = place.as_object_mut().unwrap();
                    for (key, value) in patch["set"].as_object().into_iter().flatten() {
                        place.insert(key.clone(), value.clone());
                    }
                    for key in patch["del"].as_array().into_iter().flatten() {
                        place.remove(key.as_str().unwrap());
                    }
                }
            }
        }
    }
}

/// Compares by the rules of the corpus: what is zero or empty is as if it were not there.
fn same(found: &Json, expected: &Json, place: &str) -> Outcome {
    let differs = || Err(format!("{place}: expected {expected}, found {found}"));
    match (found, expected) {
        (Json::Object(found), Json::Object(expected))
            if found.len() == 1 && found.contains_key("$double") =>
        {
            match (number(&found["$double"]), expected.get("$double").and_then(number)) {
                (Some(left), Some(right)) if close(left, right) => Ok(()),
                _ => differs(),
            }
        }
        (Json::Object(left), Json::Object(right)) => {
            let is_record = !place.contains("attributes") && !place.contains("body") && place != "value";
            let keys = left.keys().chain(right.keys());
            for key in keys {
                let (left, right) = (left.get(key), right.get(key));
                let empty = |value: Option<&Json>| value.is_none_or(is_empty);
                match (left, right) {
                    (Some(left), Some(right)) if !(is_record && is_empty(left) && is_empty(right)) => {
                        same(left, right, &format!("{place}.{key}"))?;
                    }
                    (left, right) if is_record && empty(left) && empty(right) => {}
                    (left, right) => {
                        return Err(format!("{place}.{key}: expected {right:?}, found {left:?}"));
                    }
                }
            }
            Ok(())
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .try_for_each(|(index, (left, right))| same(left, right, &format!("{place}[{index}]"))),
        _ if found == expected => Ok(()),
        _ => differs(),
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(values) => values.is_empty(),
        Json::Object(fields) => match fields.get("$double") {
            Some(double) => number(double) == Some(0.0),
            None => fields.values().all(is_empty),
        },
    }
}

fn number(value: &Json) -> Option<f64> {
    match value {
        Json::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn close(left: f64, right: f64) -> bool {
    left == right
        || left.is_nan() && right.is_nan()
        || (left - right).abs() <= 1e-12 * left.abs().max(right.abs())
}

#[test]
fn all_cases() {
    let corpus = cases();
    let defaults = &corpus["defaults"];
    let cases = corpus["cases"].as_array().unwrap();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let outcome = check(case, defaults).err()?;
            Some(format!("{} {}: {outcome}", case["id"].as_str().unwrap(), case["ottl"]))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
