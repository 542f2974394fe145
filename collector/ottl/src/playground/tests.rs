use serde_json::json;

use super::*;

const SPANS: &str = r#"{"resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
    "scopeSpans": [{"scope": {"name": "lib"}, "spans": [
        {"name": "one", "kind": 2, "attributes": [{"key": "n", "value": {"intValue": "1"}}]}, {"name": "two"}
    ]}]
}]}"#;
const METRICS: &str = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
    {"name": "m", "gauge": {"dataPoints": [{"asInt": "1"}, {"asInt": "2"}]}},
    {"name": "s", "sum": {"dataPoints": [{"asInt": "3"}]}}
]}]}]}"#;

fn trial(context: Option<Context>, texts: &[&str]) -> Trial {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Trial { context, error_mode: ErrorMode::Ignore, texts, conditions: false, max_records: 100 }
}

fn run(trial: &Trial, input: &str) -> Result<Vec<Tried>, TrialError> {
    let surroundings = Surroundings { now_unix_nanos: 0, random: &|| 0, client: &() };
    let mut all = Vec::new();
    trial.run(input.as_bytes(), &surroundings, &mut |tried| all.push(tried))?;
    Ok(all)
}

fn error(trial: &Trial, input: &str) -> String {
    run(trial, input).unwrap_err().to_string()
}

#[test]
fn each_record_has_its_own_resource_before_and_after() {
    let tried = run(&trial(None, &[r#"set(resource.attributes["n"], span.name)"#]), SPANS).unwrap();
    let Outcome::Became(after) = &tried[1].outcome else { panic!("{:?}", tried[1].outcome) };
    assert_eq!(tried.len(), 2);
    assert!(tried.iter().all(Tried::is_changed));
    assert_eq!(
        tried[1].parts(after)["resource"]["attributes"][1],
        json!({"key": "n", "value": {"stringValue": "two"}})
    );
    assert_eq!(tried[1].parts(&tried[1].before)["resource"]["attributes"].as_array().map(Vec::len), Some(1));
    assert_eq!(tried[1].title(), "span \"two\"");
}

#[test]
fn what_failed_is_told_at_its_record() {
    let mut failing = trial(
        Some(Context::Span),
        &[r#"set(name, Concat([name, String(attributes["n"] + 1)], "/"))"#, "set(kind, 1)"],
    );
    let tried = run(&failing, SPANS).unwrap();
    assert!(tried[0].messages.is_empty());
    let said = format!("Concat: String: cannot calculate nil + int64, in `{}`", failing.texts[0]);
    assert_eq!(tried[1].messages, [said]);
    failing.error_mode = ErrorMode::Propagate;
    assert!(matches!(&run(&failing, SPANS).unwrap()[1].outcome, Outcome::Refused(_)));
}

#[test]
fn records_are_what_statements_run_over() {
    let count =
        |context, input: &str| run(&trial(Some(context), &["set(cache[\"a\"], 1)"]), input).map(|t| t.len());
    assert_eq!(count(Context::Resource, SPANS).unwrap(), 1);
    assert_eq!(count(Context::Span, SPANS).unwrap(), 2);
    assert_eq!(count(Context::Metric, METRICS).unwrap(), 2);
    assert_eq!(count(Context::DataPoint, METRICS).unwrap(), 3);
    assert_eq!(count(Context::Span, &format!("{SPANS}\n{SPANS}\n")).unwrap(), 4, "requests in a row");
}

#[test]
fn one_of_the_conditions_must_hold() {
    let mut condition = trial(Some(Context::DataPoint), &["value_int > 1", "metric.name == \"none\""]);
    condition.conditions = true;
    let matched: Vec<Outcome> =
        run(&condition, METRICS).unwrap().into_iter().map(|tried| tried.outcome).collect();
    assert_eq!(matched, [false, true, true].map(Outcome::Matched));
}

#[test]
fn mistakes_and_other_input_are_refused() {
    let statement = trial(Some(Context::Span), &[r#"set(name, "x")"#]);
    assert!(error(&trial(Some(Context::Span), &["set(nam, 1)"]), SPANS).contains("did you mean"));
    assert_eq!(error(&trial(None, &[" "]), SPANS), "there is no statement");
    assert_eq!(error(&statement, ""), "the input has no records");
    assert!(error(&statement, "{").starts_with("the input is no JSON: "));
    assert!(error(&statement, "{}").contains("none of resourceSpans"));
    let misshapen = json!({"resourceSpans": [{"scopeSpans": 1}]}).to_string();
    assert!(error(&statement, &misshapen).starts_with("the input is no request in OTLP/JSON: "));
    assert!(error(&statement, METRICS).contains("span"), "{}", error(&statement, METRICS));
    let one = Trial { max_records: 1, ..statement };
    assert_eq!(error(&one, SPANS), "the input has more than 1 records");
}
