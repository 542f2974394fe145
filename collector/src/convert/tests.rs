use std::path::Path;

use phoenix_ottl::{ConditionGroup, Context, ErrorMode, MatchProgram, sets};
use phoenix_pdata::Signal;

use super::*;

fn converted(text: &str) -> Converted {
    refinery("rules.yaml", text, &RefineryOptions::default()).expect("rules")
}

/// What one rule with these conditions, in YAML, asks of a span.
fn condition(tests: &str, scope: &str) -> String {
    let rules = format!(
        "RulesVersion: 2\nSamplers: {{__default__: {{RulesBasedSampler: {{Rules: [{{SampleRate: 1, Scope: {scope}, Conditions: [{tests}]}}]}}}}}}"
    );
    let yaml = converted(&rules).yaml;
    let line = yaml.lines().find(|line| line.trim_start().starts_with("span: ")).expect("a condition");
    line.trim_start().trim_start_matches("span: ['").trim_end_matches("']").to_owned()
}

#[test]
fn a_rules_file_becomes_policies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/convert/data");
    let rules = std::fs::read_to_string(folder.join("rules.yaml")).expect("read");
    let expected_path = folder.join("rules.expected.yaml");
    let found = converted(&rules);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&expected_path, &found.yaml).expect("written");
    }
    assert_eq!(found.yaml, std::fs::read_to_string(&expected_path).expect("read"));
    assert_eq!(found.left_out.len(), 4, "{:?}", found.left_out);
}

#[test]
fn conditions_are_those_of_ottl() {
    // (condition of Refinery, of OTTL)
    let cases = [
        (
            "{Field: a, Operator: '=', Value: x}",
            r#"span.attributes["a"] == "x" or (span.attributes["a"] == nil and resource.attributes["a"] == "x")"#,
        ),
        ("{Field: name, Operator: '=', Value: 'GET \"/\"'}", r#"span.name == "GET \"/\"""#),
        ("{Field: name, Operator: contains, Value: 'a.b'}", r#"IsMatch(span.name, "a\\.b")"#),
        ("{Field: name, Operator: starts-with, Value: '$x'}", r#"IsMatch(span.name, "^\\$$x")"#),
        ("{Field: status_code, Operator: '>=', Value: '2', Datatype: int}", "Int(span.status.code) >= 2"),
        (
            "{Field: duration_ms, Operator: '<', Value: 0.5}",
            "(span.end_time_unix_nano - span.start_time_unix_nano) < 500000",
        ),
        (
            "{Field: name, Operator: in, Value: [a, b]}",
            r#"(String(span.name) == "a" or String(span.name) == "b")"#,
        ),
        ("{Field: trace.parent_id, Operator: exists}", "not IsRootSpan()"),
        (
            "{Field: root.a, Operator: not-exists}",
            r#"IsRootSpan() and (span.attributes["a"] == nil and resource.attributes["a"] == nil)"#,
        ),
    ];
    for (refinery, expected) in cases {
        assert_eq!(condition(refinery, "trace"), expected, "{refinery}");
    }
    let both = "{Field: name, Operator: '=', Value: a}, {Field: error, Operator: '=', Value: true}";
    let together = r#"(span.name == "a") and (span.status.code == STATUS_CODE_ERROR or span.attributes["error"] == true)"#;
    assert_eq!(condition(both, "span"), together);
}

#[test]
fn every_operator_compiles() {
    let operators = [
        "=",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "starts-with",
        "contains",
        "does-not-contain",
        "exists",
        "not-exists",
        "matches",
        "in",
        "not-in",
    ];
    for operator in operators {
        for (datatype, value) in
            [("string", "x"), ("int", "5"), ("float", "5.5"), ("bool", "true"), ("''", "x")]
        {
            for field in ["Field: a.b", "Fields: [a, root.b]"] {
                let text = condition(
                    &format!("{{{field}, Operator: '{operator}', Datatype: {datatype}, Value: {value}}}"),
                    "span",
                );
                let conditions = vec![text.replace("$$", "$").replace("''", "'")];
                let group = ConditionGroup {
                    context: Some(Context::Span),
                    error_mode: ErrorMode::Ignore,
                    conditions,
                };
                let compiled = MatchProgram::compile(Signal::Traces, sets::CONDITIONS, &group);
                assert!(compiled.is_ok(), "{operator} {datatype}: {text}: {compiled:?}");
            }
        }
    }
}

#[test]
fn what_is_no_rules_file_is_refused_and_said_where() {
    let cases = [
        ("RulesVersion: 1\nSamplers: {__default__: {DeterministicSampler: {SampleRate: 1}}}", "RulesVersion"),
        ("RulesVersion: 2\nSamplers: {a: {DeterministicSampler: {SampleRate: 1}}}", "Samplers"),
        ("RulesVersion: 2\nSamplers: {__default__: {}}", "Samplers::__default__"),
        (
            "RulesVersion: 2\nSamplers: {__default__: {RulesBasedSampler: {Rules: [{Conditions: [{Operator: exists}]}]}}}",
            "Samplers::__default__::RulesBasedSampler::Rules::0::Conditions::0::Field",
        ),
        ("RulesVersion: 2\nSamplers: {__default__: {NoSampler: {}}}", "Samplers::__default__::NoSampler"),
    ];
    for (text, key) in cases {
        let problems = refinery("rules.yaml", text, &RefineryOptions::default()).expect_err(text);
        assert_eq!(problems.keys(), [key], "{text}");
    }
    assert!(refinery("rules.yaml", "{", &RefineryOptions::default()).is_err());
}
