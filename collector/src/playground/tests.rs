use phoenix_ottl::playground::Trial;
use phoenix_ottl::{Context, ErrorMode};
use serde_json::Value;

use super::run;

const SPANS: &str = r#"{"resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
    "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{"name": "one", "kind": 2}, {"name": "two"}]}]
}]}"#;
const METRICS: &str = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
    {"name": "m", "gauge": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}},
    {"name": "s", "sum": {"dataPoints": [{"asInt": "3"}]}}
]}]}]}"#;

fn trial(context: Option<Context>, texts: &[&str]) -> Trial {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Trial { context, error_mode: ErrorMode::Ignore, texts, conditions: false, max_records: usize::MAX }
}

fn said(trial: &Trial, input: &str) -> String {
    run(trial, input.as_bytes(), false).unwrap_or_else(|error| format!("{error:#}"))
}

fn lines(trial: &Trial, input: &str) -> Vec<Value> {
    let text = run(trial, input.as_bytes(), true).expect("it runs");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn each_record_is_shown_before_and_after() {
    let renamed = trial(Some(Context::Span), &[r#"set(name, "x") where kind == SPAN_KIND_SERVER"#]);
    assert_eq!(
        said(&renamed, SPANS),
        concat!(
            "1. span \"one\": changed\n",
            "    …\n",
            "      },\n",
            "      \"span\": {\n",
            "        \"kind\": 2,\n",
            "  -     \"name\": \"one\",\n",
            "  +     \"name\": \"x\",\n",
            "        \"status\": {}\n",
            "      }\n",
            "    }\n",
            "2. span \"two\": unchanged\n",
        )
    );
}

#[test]
fn programs_read_a_line_for_each_record() {
    let seen = lines(&trial(None, &[r#"set(resource.attributes["n"], span.name)"#]), SPANS);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1]["after"]["resource"]["attributes"][1]["value"]["stringValue"], "two");
    assert_eq!(seen[1]["before"]["resource"]["attributes"].as_array().map(Vec::len), Some(1));
    assert_eq!((&seen[1]["changed"], &seen[1]["record"]), (&Value::from(true), &Value::from(2)));
}

#[test]
fn what_fails_is_told_at_its_record() {
    let mut failing = trial(Some(Context::Span), &[r#"set(name, Hex(ParseJSON(name)))"#]);
    assert!(said(&failing, SPANS).contains("  error, passed over: "), "{}", said(&failing, SPANS));
    failing.error_mode = ErrorMode::Silent;
    assert_eq!(said(&failing, SPANS), "1. span \"one\": unchanged\n2. span \"two\": unchanged\n");
    failing.error_mode = ErrorMode::Propagate;
    assert!(said(&failing, SPANS).contains("refused, with the request that it is in\n  error: "));
}

#[test]
fn conditions_match_or_not() {
    let mut condition = trial(Some(Context::DataPoint), &["value_int > 1", "metric.name == \"none\""]);
    condition.conditions = true;
    assert_eq!(
        said(&condition, METRICS),
        "1. metric \"m\": does not match\n2. metric \"m\": matches\n3. metric \"s\": matches\n"
    );
}

#[test]
fn mistakes_are_pointed_at() {
    let said_of = |text: &str, input: &str| said(&trial(Some(Context::Span), &[text]), input);
    let wrong = said_of("set(nam, 1)", SPANS);
    assert!(wrong.contains("did you mean") && wrong.contains("\n      ^^^"), "{wrong}");
    let statement = r#"set(name, "x")"#;
    assert_eq!(said_of(statement, ""), "there are no records on standard input");
    assert!(said_of(statement, "{").starts_with("the input is no JSON: "));
}
