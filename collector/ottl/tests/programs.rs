//! Programs over requests written as JSON.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;

use phoenix_ottl::{
    Client, ConditionGroup, Context, Env, ErrorMode, EvalError, FilterProgram, Group, MatchProgram, Report,
    RouteProgram, Scratch, SpanMatcher, StatementProgram, sets,
};
use phoenix_pdata::{InvalidUtf8, Payload, Signal, json, validate};
use serde_json::{Value, json};

fn payload(signal: Signal, request: &Value) -> Payload {
    json::decode(signal, request.to_string().as_bytes(), InvalidUtf8::Reject).unwrap().0
}

fn read(signal: Signal, payload: &Payload) -> Value {
    validate(signal, payload.clone().into_contiguous(), InvalidUtf8::Reject).unwrap();
    let mut out = Vec::new();
    json::encode(signal, payload, &mut out);
    serde_json::from_slice(&out).unwrap()
}

/// Keeps what is reported.
#[derive(Default)]
struct Reported(RefCell<Vec<String>>);

impl Report for Reported {
    fn ignored(&self, source: &str, error: &EvalError) {
        self.0.borrow_mut().push(format!("{source}: {error}"));
    }
}

struct Sender;

impl Client for Sender {
    fn address(&self) -> Option<String> {
        Some("10.0.0.1".to_owned())
    }

    fn metadata(&self, key: &str) -> Option<Vec<String>> {
        (key == "x-tenant").then(|| vec!["acme".to_owned(), "other".to_owned()])
    }
}

fn env(report: &dyn Report) -> Env<'_> {
    Env { now_unix_nanos: 1_700_000_000_000_000_000, random: &|| 3, client: &Sender, report }
}

fn texts(sources: &[&str]) -> Vec<String> {
    sources.iter().map(|source| (*source).to_owned()).collect()
}

fn group(context: Option<Context>, error_mode: ErrorMode, statements: &[&str]) -> Group {
    Group { context, error_mode, conditions: Vec::new(), statements: texts(statements) }
}

fn program(signal: Signal, groups: &[Group]) -> StatementProgram {
    StatementProgram::compile(signal, sets::TRANSFORM, groups).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Runs one group, and gives the request afterwards.
fn run(signal: Signal, context: Context, statements: &[&str], request: &Value) -> Value {
    let program = program(signal, &[group(Some(context), ErrorMode::Propagate, statements)]);
    read(signal, &program.apply(&payload(signal, request), &env(&())).unwrap())
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn spans(spans: Value) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", "shop")] },
        "scopeSpans": [{ "scope": { "name": "lib" }, "spans": spans }],
    }] })
}

fn logs(records: Value) -> Value {
    json!({ "resourceLogs": [{ "resource": {}, "scopeLogs": [{ "scope": {}, "logRecords": records }] }] })
}

fn metrics(metrics: Value) -> Value {
    json!({ "resourceMetrics": [{ "resource": {}, "scopeMetrics": [{ "scope": {}, "metrics": metrics }] }] })
}

#[test]
fn a_record_may_change_what_it_lies_in() {
    let request =
        spans(json!([{ "name": "a", "events": [{ "name": "e" }, { "name": "f" }] }, { "name": "b" }]));
    let statements = [
        r#"set(resource.attributes["last"], Concat([span.name, spanevent.name], "."))"#,
        r#"set(resource.schema_url, "https://r")"#,
        r#"set(scope.version, "2")"#,
        r#"set(scope.schema_url, "https://s")"#,
        r#"set(span.attributes["seen"], spanevent.event_index)"#,
        r#"set(spanevent.name, "g") where spanevent.name == "f""#,
    ];
    let changed = run(Signal::Traces, Context::SpanEvent, &statements, &request);
    let entry = &changed["resourceSpans"][0];
    assert_eq!(entry["resource"]["attributes"], json!([text("service.name", "shop"), text("last", "a.f")]));
    assert_eq!(
        (&entry["schemaUrl"], &entry["scopeSpans"][0]["schemaUrl"]),
        (&json!("https://r"), &json!("https://s"))
    );
    assert_eq!(entry["scopeSpans"][0]["scope"], json!({ "name": "lib", "version": "2" }));
    let spans = &entry["scopeSpans"][0]["spans"];
    assert_eq!(spans[0]["attributes"], json!([{ "key": "seen", "value": { "intValue": "1" } }]));
    assert_eq!((&spans[0]["events"][0]["name"], &spans[0]["events"][1]["name"]), (&json!("e"), &json!("g")));
    assert_eq!(spans[1]["attributes"], Value::Null);
}

#[test]
fn exemplars_and_the_points_they_lie_in() {
    let exemplar = json!({ "asInt": "1", "filteredAttributes": [text("a", "b")] });
    let request = metrics(json!([
        { "name": "m", "gauge": { "dataPoints": [{ "asInt": "1", "exemplars": [exemplar, exemplar] }] } },
        { "name": "s", "summary": { "dataPoints": [{ "count": "1" }] } },
    ]));
    let statements = [
        r#"set(exemplar.double_value, 2.5)"#,
        r#"set(exemplar.filtered_attributes["a"], metric.name)"#,
        r#"set(datapoint.flags, 1)"#,
    ];
    let changed = run(Signal::Metrics, Context::Exemplar, &statements, &request);
    let metrics = &changed["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let point = &metrics[0]["gauge"]["dataPoints"][0];
    assert_eq!(point["flags"], 1);
    for exemplar in point["exemplars"].as_array().unwrap() {
        assert_eq!((&exemplar["asDouble"], &exemplar["asInt"]), (&json!(2.5), &Value::Null));
        assert_eq!(exemplar["filteredAttributes"], json!([text("a", "m")]));
    }
    assert_eq!(metrics[1]["summary"]["dataPoints"][0]["count"], "1");
}

#[test]
fn what_replaces_events_is_walked_afterwards() {
    let groups = [
        group(Some(Context::Span), ErrorMode::Propagate, &["set(events, events)"]),
        group(Some(Context::SpanEvent), ErrorMode::Propagate, &[r#"set(name, "changed")"#]),
    ];
    let program = program(Signal::Traces, &groups);
    assert_eq!(program.passes(), 2);
    let request = payload(Signal::Traces, &spans(json!([{ "events": [{ "name": "a" }, { "name": "b" }] }])));
    let changed = read(Signal::Traces, &program.apply(&request, &env(&())).unwrap());
    let events = &changed["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["events"];
    assert_eq!((&events[0]["name"], &events[1]["name"]), (&json!("changed"), &json!("changed")));
}

#[test]
fn a_resource_that_is_not_there_is_made() {
    let request = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "severityText": "x" }] }] }] });
    let statements = [r#"set(resource.attributes["a"], "b")"#, r#"set(scope.name, "n")"#];
    let changed = run(Signal::Logs, Context::Log, &statements, &request);
    let entry = &changed["resourceLogs"][0];
    assert_eq!(entry["resource"]["attributes"], json!([text("a", "b")]));
    assert_eq!(entry["scopeLogs"][0]["scope"]["name"], "n");
    assert_eq!(entry["scopeLogs"][0]["logRecords"][0]["severityText"], "x");
}

#[test]
fn error_modes() {
    let request =
        logs(json!([{ "body": { "stringValue": "no number" } }, { "body": { "stringValue": "1" } }]));
    let statements = [r#"set(attributes["n"], Double(body))"#, r#"set(attributes["after"], true)"#];
    let payload = payload(Signal::Logs, &request);
    let run = |mode| {
        let reported = Reported::default();
        let program = program(Signal::Logs, &[group(Some(Context::Log), mode, &statements)]);
        let result = program.apply(&payload, &env(&reported));
        (result.map(|changed| read(Signal::Logs, &changed)), reported.0.into_inner())
    };
    let (result, reported) = run(ErrorMode::Propagate);
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("`set(attributes[\"n\"], Double(body))`: Double: "), "{error}");
    assert!(reported.is_empty());
    let (ignored, reported) = run(ErrorMode::Ignore);
    assert_eq!(reported.len(), 1);
    assert!(reported[0].starts_with("set(attributes[\"n\"], Double(body)): Double: "), "{reported:?}");
    let (silent, reported) = run(ErrorMode::Silent);
    assert!(reported.is_empty());
    let (ignored, silent) = (ignored.unwrap(), silent.unwrap());
    assert_eq!(ignored, silent);
    let records = &ignored["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    let after = json!({ "key": "after", "value": { "boolValue": true } });
    assert_eq!(records[0]["attributes"], json!([after]));
    assert_eq!(records[1]["attributes"], json!([{ "key": "n", "value": { "doubleValue": 1 } }, after]));
}

#[test]
fn groups_run_one_after_the_other_and_share_walks_where_nobody_can_tell() {
    let same_level = [
        group(None, ErrorMode::Propagate, &[r#"set(span.attributes["a"], "1")"#]),
        group(None, ErrorMode::Propagate, &[r#"set(span.attributes["b"], span.attributes["a"])"#]),
        group(None, ErrorMode::Propagate, &[r#"set(spanevent.name, span.attributes["b"])"#]),
    ];
    assert_eq!(program(Signal::Traces, &same_level).passes(), 1);
    // The first group sees no resource that the second one changes; the third reads it as all spans left it.
    let wider = [
        group(None, ErrorMode::Propagate, &[r#"set(span.attributes["before"], resource.attributes["n"])"#]),
        group(None, ErrorMode::Propagate, &[r#"set(resource.attributes["n"], span.name)"#]),
        group(None, ErrorMode::Propagate, &[r#"set(span.attributes["after"], resource.attributes["n"])"#]),
    ];
    let program = program(Signal::Traces, &wider);
    assert_eq!(program.passes(), 3);
    let request = payload(Signal::Traces, &spans(json!([{ "name": "a" }, { "name": "b" }])));
    let changed = read(Signal::Traces, &program.apply(&request, &env(&())).unwrap());
    for span in changed["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap() {
        assert_eq!(span["attributes"], json!([text("after", "b")]));
    }
}

#[test]
fn conditions_of_a_group_and_a_cache_for_each_record() {
    let mut group = group(
        Some(Context::Log),
        ErrorMode::Propagate,
        &[
            r#"set(attributes["left"], cache["x"])"#,
            r#"set(cache["x"], body)"#,
            r#"set(attributes["x"], cache["x"])"#,
        ],
    );
    group.conditions = texts(&[r#"body == "a""#, r#"body == "b""#]);
    let program = program(Signal::Logs, &[group]);
    let body = |text: &str| json!({ "body": { "stringValue": text } });
    let request = payload(Signal::Logs, &logs(json!([body("a"), body("z"), body("b")])));
    let changed = read(Signal::Logs, &program.apply(&request, &env(&())).unwrap());
    let records = &changed["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    assert_eq!(records[0]["attributes"], json!([text("x", "a")]));
    assert_eq!(records[1]["attributes"], Value::Null);
    assert_eq!(records[2]["attributes"], json!([text("x", "b")]));
}

#[test]
fn the_sender_can_be_asked() {
    let statements = [
        r#"set(attributes["tenant"], otelcol.client.metadata["X-Tenant"][0])"#,
        r#"set(attributes["address"], otelcol.client.addr)"#,
        r#"set(attributes["none"], otelcol.grpc.metadata["other"])"#,
    ];
    let changed = run(Signal::Logs, Context::Log, &statements, &logs(json!([{ "severityText": "x" }])));
    assert_eq!(
        changed["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"],
        json!([text("tenant", "acme"), text("address", "10.0.0.1")])
    );
}

#[test]
fn statements_that_would_never_end_are_stopped() {
    let point = json!({ "asInt": "1" });
    let request = metrics(json!([{ "name": "m", "gauge": { "dataPoints": [point] } }]));
    let once =
        run(Signal::Metrics, Context::Metric, &[r#"copy_metric(name="c") where name == "m""#], &request);
    let names: Vec<_> = once["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| metric["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["m", "c"]);
    let groups = [group(Some(Context::Metric), ErrorMode::Propagate, &["copy_metric()"])];
    let error =
        program(Signal::Metrics, &groups).apply(&payload(Signal::Metrics, &request), &env(&())).unwrap_err();
    assert!(error.to_string().contains("added 10000 metrics to one scope"), "{error}");
}

#[test]
fn values_cannot_grow_without_bound() {
    let request = logs(json!([{ "body": { "stringValue": "x".repeat(1000) } }]));
    let grow = r#"replace_pattern(body, ".", "$0$0$0$0$0$0$0$0$0$0")"#;
    let groups = [group(Some(Context::Log), ErrorMode::Propagate, &[grow; 12])];
    let error =
        program(Signal::Logs, &groups).apply(&payload(Signal::Logs, &request), &env(&())).unwrap_err();
    assert!(error.to_string().contains("would be larger than"), "{error}");
    let nest = r#"set(attributes["a"], {"b": attributes["a"]})"#;
    let deep = [r#"set(attributes["a"], {"b": 1})"#].into_iter().chain([nest; 40]).collect::<Vec<_>>();
    let groups = [group(Some(Context::Log), ErrorMode::Propagate, &deep)];
    let error =
        program(Signal::Logs, &groups).apply(&payload(Signal::Logs, &request), &env(&())).unwrap_err();
    assert!(error.to_string().ends_with("the value is nested too deep"), "{error}");
}

#[test]
fn a_batch_that_nothing_touches_shares_its_bytes() {
    let request = payload(Signal::Traces, &spans(json!([{ "name": "a" }])));
    let groups = [group(None, ErrorMode::Propagate, &[r#"set(span.name, "x") where span.name == "other""#])];
    let same = program(Signal::Traces, &groups).apply(&request, &env(&())).unwrap();
    let pointers = [&request, &same].map(|payload| payload.pieces().next().unwrap().as_ptr());
    assert_eq!(pointers[0], pointers[1]);
}

fn filter(signal: Signal, conditions: &[&str]) -> FilterProgram {
    let group =
        ConditionGroup { context: None, error_mode: ErrorMode::Propagate, conditions: texts(conditions) };
    FilterProgram::compile(signal, sets::FILTER, &[group]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn filters_drop_by_level_and_remove_what_is_left_empty() {
    let events = json!([{ "name": "keep" }, { "name": "drop" }]);
    let request = json!({ "resourceSpans": [
        { "resource": { "attributes": [text("r", "drop")] }, "scopeSpans": [{ "spans": [{ "name": "1" }, { "name": "2" }] }] },
        { "scopeSpans": [
            { "scope": { "name": "drop" }, "spans": [{ "name": "3" }] },
            { "scope": { "name": "all go" }, "spans": [{ "name": "drop" }] },
            { "scope": { "name": "keep" }, "spans": [{ "name": "drop" }, { "name": "4", "events": events }] },
        ] },
        { "scopeSpans": [{ "spans": [{ "name": "drop" }] }] },
        { "scopeSpans": [] },
    ] });
    let conditions = [
        r#"resource.attributes["r"] == "drop""#,
        r#"scope.name == "drop""#,
        r#"span.name == "drop""#,
        r#"spanevent.name == "drop""#,
    ];
    let filtered =
        filter(Signal::Traces, &conditions).apply(&payload(Signal::Traces, &request), &env(&())).unwrap();
    assert_eq!((filtered.dropped_items, filtered.dropped_events), (6, 1));
    let left = read(Signal::Traces, &filtered.payload);
    assert_eq!(left["resourceSpans"].as_array().unwrap().len(), 1);
    let scopes = left["resourceSpans"][0]["scopeSpans"].as_array().unwrap();
    assert_eq!(scopes.len(), 1);
    assert_eq!(scopes[0]["spans"][0]["name"], "4");
    assert_eq!(scopes[0]["spans"][0]["events"], json!([{ "name": "keep" }]));
}

#[test]
fn filters_drop_points_and_metrics_without_points() {
    let point = |value: i64| json!({ "asInt": value.to_string() });
    let request = metrics(json!([
        { "name": "some", "sum": { "dataPoints": [point(1), point(2)], "aggregationTemporality": 2 } },
        { "name": "all", "gauge": { "dataPoints": [point(1)] } },
        { "name": "never had one", "gauge": {} },
    ]));
    let program = filter(Signal::Metrics, &["datapoint.value_int == 1"]);
    let filtered = program.apply(&payload(Signal::Metrics, &request), &env(&())).unwrap();
    assert_eq!(filtered.dropped_items, 2);
    let left = read(Signal::Metrics, &filtered.payload);
    let metrics = left["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 1);
    assert_eq!(metrics[0]["sum"]["dataPoints"], json!([point(2)]));
    let nothing = filter(Signal::Metrics, &[r#"metric.name != "other""#]);
    let nothing = nothing.apply(&payload(Signal::Metrics, &request), &env(&())).unwrap();
    assert!(nothing.payload.is_empty());
    assert_eq!(nothing.dropped_items, 3);
}

#[test]
fn routes_move_whole_resources_with_what_the_statement_did() {
    let entry = |name: &str| {
        json!({ "resource": { "attributes": [text("team", name), text("secret", "x")] },
        "scopeLogs": [{ "logRecords": [{ "severityText": name }] }] })
    };
    let request = payload(Signal::Logs, &json!({ "resourceLogs": [entry("a"), entry("b"), entry("a")] }));
    let statement = r#"delete_key(resource.attributes, "secret") where attributes["team"] == "a""#;
    let route = RouteProgram::compile(
        Signal::Logs,
        sets::ROUTING,
        Some(Context::Resource),
        statement,
        ErrorMode::Propagate,
    )
    .unwrap();
    let routed = route.split(&request, &env(&())).unwrap();
    let matched = read(Signal::Logs, &routed.matched);
    assert_eq!(matched["resourceLogs"].as_array().unwrap().len(), 2);
    assert_eq!(matched["resourceLogs"][1]["resource"]["attributes"], json!([text("team", "a")]));
    let rest = read(Signal::Logs, &routed.rest);
    assert_eq!(rest["resourceLogs"].as_array().unwrap().len(), 1);
    assert_eq!(rest["resourceLogs"][0]["resource"], entry("b")["resource"]);
}

#[test]
fn matches_hand_over_the_record_and_what_it_lies_in() {
    use phoenix_pdata::view::{Metric, NumberPoint, View};
    let request = metrics(json!([
        { "name": "m", "gauge": { "dataPoints": [{ "asInt": "1" }, { "asInt": "2" }] } },
        { "name": "n", "gauge": { "dataPoints": [{ "asInt": "2" }] } },
    ]));
    let group = ConditionGroup {
        context: Some(Context::DataPoint),
        error_mode: ErrorMode::Propagate,
        conditions: texts(&["value_int == 2"]),
    };
    let program = MatchProgram::compile(Signal::Metrics, sets::CONDITIONS, &group).unwrap();
    let mut found = Vec::new();
    program
        .each_match(&payload(Signal::Metrics, &request), &env(&()), |record| {
            assert_eq!(NumberPoint::new(record.record).raw(), record.record);
            found.push(Metric::new(record.parent).name().to_string());
        })
        .unwrap();
    assert_eq!(found, ["m", "n"]);
}

#[test]
fn single_spans_are_matched_by_themselves_or_an_event() {
    let request = payload(
        Signal::Traces,
        &spans(json!([{ "name": "a" }, { "name": "b", "events": [{ "name": "e" }] }, { "name": "c" }])),
    );
    let span = texts(&[r#"span.name == "a" and resource.attributes["service.name"] == "shop""#]);
    let events = texts(&[r#"name == "e""#]);
    let matcher = SpanMatcher::compile(sets::CONDITIONS, &span, &events, ErrorMode::Propagate).unwrap();
    let scratch = Scratch::default();
    let mut session = matcher.begin(&scratch, env(&()));
    let mut found = Vec::new();
    for entry in request.resource_spans() {
        session.resource(&entry);
        for scope in entry.scopes() {
            session.scope(&scope);
            for span in scope.records() {
                found.push(session.matches(span.raw()).unwrap());
            }
        }
    }
    assert_eq!(found, [true, true, false]);
}
