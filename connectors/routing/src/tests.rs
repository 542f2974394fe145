use std::sync::Mutex;

use futures_util::FutureExt as _;
use phoenix_component::factory::ConnectorFactory as _;
use phoenix_component::harness::{golden, with_context};
use phoenix_component::{
    Batch, BoxFuture, ClientInfo, ConnectorFlow, ConnectorOutlets, Consumer, Outlet, Refusal,
};
use phoenix_config::{Kind, PipelineId, decode_text};
use phoenix_pdata::Signal;
use serde_json::{Value, json};

use super::*;

/// Remembers what came, and answers as told, in this order and then with yes.
#[derive(Default)]
struct Sink {
    got: Mutex<Vec<Batch>>,
    answers: Mutex<Vec<Refusal>>,
}

impl Consumer for Sink {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        let refusal = self.answers.lock().expect("not poisoned").pop();
        if refusal.is_none() {
            self.got.lock().expect("not poisoned").push(batch);
        }
        Box::pin(async move { refusal.map_or(Ok(()), Err) })
    }
}

/// A connector with the pipelines `a`, `b` and `c`, and what is behind them.
struct Rig {
    flow: Arc<dyn ConnectorFlow>,
    sinks: Vec<Arc<Sink>>,
}

const PIPELINES: [&str; 3] = ["a", "b", "c"];

impl Rig {
    fn new(settings: &str, signal: Signal) -> Rig {
        Rig::try_new(settings, signal).unwrap_or_else(|error| panic!("{settings}: {error}"))
    }

    fn try_new(settings: &str, signal: Signal) -> Result<Rig, String> {
        let config = decode_text::<RoutingConfig>(settings).map_err(|report| report.to_string())?;
        let sinks: Vec<Arc<Sink>> = PIPELINES.map(|_| Arc::default()).into();
        let by_pipeline = PIPELINES.iter().zip(&sinks).map(|(name, sink)| {
            let outlet = Outlet::unwired(signal);
            outlet.wire(Some(sink.clone()));
            (PipelineId::parse(&format!("{signal}/{name}")).expect("a pipeline"), outlet)
        });
        let outlets = ConnectorOutlets { all: Outlet::unwired(signal), by_pipeline: by_pipeline.collect() };
        let made = with_context(Kind::Connector, "routing", |cx| {
            RoutingFactory.create(&config, cx, signal, signal, outlets)
        });
        match made.map_err(|error| error.to_string())? {
            Connector::Flow(flow) => Ok(Rig { flow, sinks }),
            _ => panic!("it holds nothing"),
        }
    }

    /// What came to each pipeline of `request`: the names of its spans, metrics or the bodies of its records.
    fn route(&self, signal: Signal, request: &Value) -> [Vec<String>; 3] {
        let batch = golden::batch(signal, &request.to_string());
        self.flow.consume(batch).now_or_never().expect("inline").expect("taken");
        self.names()
    }

    fn names(&self) -> [Vec<String>; 3] {
        let names = |sink: &Arc<Sink>| {
            let got = std::mem::take(&mut *sink.got.lock().expect("not poisoned"));
            got.iter().flat_map(|batch| names(&golden::to_json(batch))).collect::<Vec<_>>()
        };
        [names(&self.sinks[0]), names(&self.sinks[1]), names(&self.sinks[2])]
    }
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("name", Value::String(name)) => vec![name.clone()],
                ("body", body) => vec![body["stringValue"].as_str().unwrap_or("").to_owned()],
                _ => names(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

fn resource(tenant: &str, bodies: &[&str]) -> Value {
    let records: Vec<Value> = bodies.iter().map(|body| json!({"body": {"stringValue": body}})).collect();
    json!({"resource": {"attributes": [{"key": "tenant", "value": {"stringValue": tenant}}]}, "scopeLogs": [{"logRecords": records}]})
}

fn logs() -> Value {
    json!({"resourceLogs": [resource("x", &["x1", "x2"]), resource("y", &["y1"]), resource("z", &["z1"])]})
}

fn texts(lists: [&[&str]; 3]) -> [Vec<String>; 3] {
    lists.map(|list| list.iter().map(|text| (*text).to_owned()).collect())
}

#[tokio::test]
async fn each_record_goes_to_the_first_route_that_takes_it_and_the_rest_to_the_default() {
    // (settings, what comes to a, b and c)
    let cases = [
        (
            r#"{table: [{condition: 'attributes["tenant"] == "x"', pipelines: [logs/a]}], default_pipelines: [logs/c]}"#,
            texts([&["x1", "x2"], &[], &["y1", "z1"]]),
        ),
        (
            r#"{table: [{condition: 'attributes["tenant"] == "x"', pipelines: [logs/a]}]}"#,
            texts([&["x1", "x2"], &[], &[]]),
        ),
        (
            r#"{table: [{statement: 'route() where resource.attributes["tenant"] != "x"', pipelines: [logs/a, logs/b]}, {condition: 'true', context: resource, pipelines: [logs/b]}]}"#,
            texts([&["y1", "z1"], &["y1", "z1", "x1", "x2"], &[]]),
        ),
        (
            r#"{table: [{context: log, condition: 'body == "x2" or resource.attributes["tenant"] == "z"', pipelines: [logs/a]}], default_pipelines: [logs/b]}"#,
            texts([&["x2", "z1"], &["x1", "y1"], &[]]),
        ),
        (
            r#"{table: [{context: log, action: copy, condition: 'IsMatch(body, "1$")', pipelines: [logs/a]}, {condition: 'attributes["tenant"] == "x"', pipelines: [logs/b]}], default_pipelines: [logs/c]}"#,
            texts([&["x1", "y1", "z1"], &["x1", "x2"], &["y1", "z1"]]),
        ),
        (
            r#"{table: [{statement: 'delete_key(attributes, "tenant") where attributes["tenant"] == "x"', pipelines: [logs/a]}]}"#,
            texts([&["x1", "x2"], &[], &[]]),
        ),
    ];
    for (settings, expected) in cases {
        assert_eq!(Rig::new(settings, Signal::Logs).route(Signal::Logs, &logs()), expected, "{settings}");
    }
}

#[tokio::test]
async fn spans_and_data_points_are_cut_out_of_what_they_are_in() {
    let span = |name: &str| json!({"name": name, "kind": if name == "s" { 2 } else { 3 }});
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span("s"), span("c")]}, {"spans": [span("d")]}]}]});
    let rig = Rig::new(
        "{table: [{context: span, condition: kind == SPAN_KIND_SERVER, pipelines: [traces/a]}], default_pipelines: [traces/b]}",
        Signal::Traces,
    );
    assert_eq!(rig.route(Signal::Traces, &request), texts([&["s"], &["c", "d"], &[]]));

    let point = |value: u32| json!({"asInt": value.to_string()});
    let metric = |name: &str, points: &[Value]| json!({"name": name, "gauge": {"dataPoints": points}});
    let request = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric("m", &[point(1), point(9)]), metric("n", &[point(1)])]}]}]});
    let rig = Rig::new(
        "{table: [{context: datapoint, condition: value_int > 5, pipelines: [metrics/a]}], default_pipelines: [metrics/b]}",
        Signal::Metrics,
    );
    assert_eq!(rig.route(Signal::Metrics, &request), texts([&["m"], &["m", "n"], &[]]));
}

#[tokio::test]
async fn a_request_may_be_routed_as_a_whole_by_its_headers() {
    let rig = Rig::new(
        r#"{table: [{context: request, condition: 'request["x-tenant"] == "acme"', pipelines: [logs/a]}], default_pipelines: [logs/b]}"#,
        Signal::Logs,
    );
    let metadata = vec![("x-tenant".to_owned(), "acme".to_owned())];
    let client = Some(Arc::new(ClientInfo { metadata, ..ClientInfo::default() }));
    let batch = Batch { client, ..golden::batch(Signal::Logs, &logs().to_string()) };
    rig.flow.consume(batch).await.expect("taken");
    assert_eq!(rig.names()[0].len(), 4);
    assert_eq!(rig.route(Signal::Logs, &logs())[1].len(), 4);
}

#[tokio::test]
async fn an_error_refuses_the_request_or_leaves_the_record_unmatched() {
    let settings = |mode: &str| {
        format!(
            r#"{{error_mode: {mode}, table: [{{context: log, condition: 'Substring(body, 5, 1) == "a"', pipelines: [logs/a]}}], default_pipelines: [logs/b]}}"#
        )
    };
    let rig = Rig::new(&settings("propagate"), Signal::Logs);
    let batch = golden::batch(Signal::Logs, &logs().to_string());
    let refusal = rig.flow.consume(batch).await.expect_err("no such part");
    assert!(!refusal.is_retryable(), "{refusal}");
    assert_eq!(Rig::new(&settings("ignore"), Signal::Logs).route(Signal::Logs, &logs())[1].len(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_pipelines_that_refused_are_asked_again() {
    let settings = r#"{table: [{condition: 'attributes["tenant"] == "x"', pipelines: [logs/a]}], default_pipelines: [logs/b]}"#;
    let rig = Rig::new(settings, Signal::Logs);
    let busy = Refusal::retryable("busy", "not now");
    rig.sinks[1].answers.lock().expect("not poisoned").extend([busy.clone(), busy.clone()]);
    rig.flow.consume(golden::batch(Signal::Logs, &logs().to_string())).await.expect("taken in the end");
    assert_eq!(rig.names(), texts([&["x1", "x2"], &["y1", "z1"], &[]]));

    // Nobody took anything: the sender hears at once.
    for sink in &rig.sinks[..2] {
        sink.answers.lock().expect("not poisoned").push(busy.clone());
    }
    let answer = rig.flow.consume(golden::batch(Signal::Logs, &logs().to_string())).now_or_never();
    assert_eq!(answer.expect("at once").expect_err("refused"), busy);

    // A pipeline that goes on refusing makes the sender hear it after a while; for good at once.
    rig.sinks[1].answers.lock().expect("not poisoned").extend(vec![busy.clone(); 1000]);
    let batch = golden::batch(Signal::Logs, &logs().to_string());
    assert!(rig.flow.consume(batch).await.expect_err("refused").is_retryable());
    rig.sinks[1].answers.lock().expect("not poisoned").clear();
    rig.sinks[1].answers.lock().expect("not poisoned").push(Refusal::permanent("bad", "never"));
    let batch = golden::batch(Signal::Logs, &logs().to_string());
    assert!(!rig.flow.consume(batch).await.expect_err("refused").is_retryable());
}

#[tokio::test]
async fn bad_settings_are_named() {
    // (settings, a part of what is said)
    let cases = [
        ("{}", "table: must have at least one route"),
        ("{table: [{pipelines: [logs/a]}]}", "needs a `condition` or a `statement`"),
        ("{table: [{condition: 'true', statement: 'route()', pipelines: [logs/a]}]}", "table::0::statement"),
        ("{table: [{condition: 'true'}]}", "table::0::pipelines"),
        ("{table: [{condition: 'true', context: nowhere, pipelines: [logs/a]}]}", "table::0::context"),
        (
            "{table: [{condition: 'attributes[', context: log, pipelines: [logs/a]}]}",
            "table::0::condition: column",
        ),
        ("{table: [{condition: 'true', context: request, pipelines: [logs/a]}]}", "table::0::condition"),
        ("{table: [{condition: 'true', context: resource, pipelines: [nothing]}]}", "table::0::pipelines::0"),
        (
            "{table: [{condition: 'true', context: resource, pipelines: [logs/z]}]}",
            "\"logs/z\" does not list",
        ),
        (
            "{match_once: false, table: [{condition: 'true', context: resource, pipelines: [logs/a]}]}",
            "match_once",
        ),
    ];
    for (settings, words) in cases {
        let error = Rig::try_new(settings, Signal::Logs).err().expect(settings);
        assert!(error.contains(words), "{settings}: {error}");
    }
}
