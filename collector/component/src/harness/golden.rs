//! Whole processors and connectors, from YAML to what they make of a request in OTLP/JSON.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::{ComponentId, KeyPath, Kind, PipelineId, Problems, parse_yaml};
use phoenix_pdata::{InvalidUtf8, Signal, json};
use serde_json::Value;

use super::TransformHarness;
use crate::factory::{ConnectorFactory, CreateContext, ProcessorFactory, Shared};
use crate::{
    Batch, BoxFuture, Connector, ConnectorOutlets, Consumer, Host, Outlet, Processor, Refusal,
    StatusReporter, Transform,
};

/// The processor of a pipeline of `signal` that a section makes, as the engine makes it.
///
/// # Errors
/// What is wrong with the section, or why the processor cannot start.
///
/// # Panics
/// If it is no transform.
pub fn processor(
    factory: &dyn ProcessorFactory,
    yaml: &str,
    signal: Signal,
    host: &Host,
) -> Result<TransformHarness<Arc<dyn Transform>>, String> {
    let node = parse_yaml("section", yaml).map_err(|problems| problems.to_string())?;
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let settings = factory.parse(&node, &mut problems).ok_or_else(|| problems.to_string())?;
    let id = ComponentId::parse(factory.descriptor().name).expect("a type is an identifier");
    let pipeline = PipelineId::parse(signal.name()).expect("a signal is a pipeline");
    let (status, shared) = (StatusReporter::detached(Kind::Processor, id.clone()), Shared::default());
    let cx = CreateContext { id: &id, host, status, shared: &shared };
    match factory.create(&*settings, cx, &pipeline).map_err(|error| error.to_string())? {
        Processor::Transform(transform) => Ok(TransformHarness::new(transform)),
        Processor::Stage(_) => panic!("a stage"),
    }
}

/// A batch of the request that an OTLP/JSON text holds.
///
/// # Panics
/// If it holds none.
pub fn batch(signal: Signal, text: &str) -> Batch {
    let decoded = json::decode(signal, text.as_bytes(), InvalidUtf8::Pass);
    let (payload, counts) = decoded.expect("OTLP/JSON");
    Batch::new(signal, payload, counts.items)
}

/// What a batch holds, as OTLP/JSON in otelcol's form.
///
/// # Panics
/// If the payload is no valid request.
pub fn to_json(batch: &Batch) -> Value {
    for piece in batch.payload.pieces() {
        let checked = phoenix_pdata::check(batch.signal, piece, InvalidUtf8::Pass);
        checked.expect("a processor passes on valid requests");
    }
    assert_eq!(
        batch.items,
        phoenix_pdata::count_items(batch.signal, &batch.payload),
        "the items are counted"
    );
    let mut out = Vec::new();
    json::encode(batch.signal, &batch.payload, &mut out);
    serde_json::from_slice(&out).expect("what is written is JSON")
}

/// Runs cases of what otelcol made of a request: a JSON list of `{case, signal, processors: {type: settings},
/// input: file, output: [request]}`, the files in the folder `inputs`. Returns how many there were.
///
/// # Panics
/// If the processor makes something else.
pub fn run_cases(factory: &dyn ProcessorFactory, cases: &str, inputs: &Path) -> usize {
    let cases: Vec<Value> = serde_json::from_str(cases).expect("a list of cases");
    for case in &cases {
        let name = format!("{} ({})", case["case"].as_str().expect("a name"), case["signal"]);
        let signal = case["signal"].as_str().and_then(Signal::from_name).expect("a signal");
        let settings = &case["processors"][factory.descriptor().name];
        assert!(settings.is_object(), "{name}: settings of this processor");
        let path = inputs.join(case["input"].as_str().expect("an input"));
        let input =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut processor = processor(factory, &settings.to_string(), signal, &Host::for_tests())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let result =
            processor.apply(batch(signal, &input)).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let output: Vec<Value> = result.iter().map(to_json).collect();
        assert_eq!(Value::from(output), case["output"], "{name}");
    }
    cases.len()
}

/// Keeps what comes.
#[derive(Default)]
struct Sink(Mutex<Vec<Batch>>);

impl Consumer for Sink {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
        Box::pin(async { Ok(()) })
    }
}

/// Runs cases of what a connector makes of a request: a JSON list of `{case, from, to, settings, pipelines, without,
/// input: file, output: {pipeline: [request]}}`, the files in the folder `inputs`. Keys of `without` are left out of what
/// is compared, since they differ each time. Returns how many there were.
///
/// # Panics
/// If the connector makes something else, or holds data over time.
pub async fn run_connector_cases(factory: &dyn ConnectorFactory, cases: &str, inputs: &Path) -> usize {
    let cases: Vec<Value> = serde_json::from_str(cases).expect("a list of cases");
    for case in &cases {
        let name = case["case"].as_str().expect("a name");
        let signal = |key: &str| case[key].as_str().and_then(Signal::from_name).expect("a signal");
        let (from, to) = (signal("from"), signal("to"));
        let node = parse_yaml("section", &case["settings"].to_string())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
        let settings = factory.parse(&node, &mut problems).unwrap_or_else(|| panic!("{name}: {problems}"));
        let texts = |key: &str| {
            let list = case[key].as_array().into_iter().flatten();
            list.map(|text| text.as_str().expect("a text").to_owned()).collect::<Vec<_>>()
        };
        let sinks: Vec<(String, Arc<Sink>)> =
            texts("pipelines").into_iter().map(|name| (name, Arc::default())).collect();
        let wired = |sink: &Arc<Sink>| {
            let outlet = Outlet::unwired(to);
            outlet.wire(Some(sink.clone()));
            outlet
        };
        let by_pipeline =
            sinks.iter().map(|(name, sink)| (PipelineId::parse(name).expect("a pipeline"), wired(sink)));
        let by_pipeline: Vec<_> = by_pipeline.collect();
        let all = sinks.first().map_or_else(|| Outlet::unwired(to), |(_, sink)| wired(sink));
        let outlets = ConnectorOutlets { all, by_pipeline };
        let made = super::with_context(Kind::Connector, factory.descriptor().name, |cx| {
            factory.create(&*settings, cx, from, to, outlets)
        });
        let Connector::Flow(flow) = made.unwrap_or_else(|error| panic!("{name}: {error}")) else {
            panic!("{name}: it holds data");
        };
        let path = inputs.join(case["input"].as_str().expect("an input"));
        let input =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        flow.consume(batch(from, &input)).await.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let without = texts("without");
        let output = sinks.iter().map(|(name, sink)| {
            let came = sink.0.lock().unwrap_or_else(PoisonError::into_inner);
            let requests: Vec<Value> = came.iter().map(|batch| stripped(to_json(batch), &without)).collect();
            (name.clone(), Value::from(requests))
        });
        let output = Value::Object(output.collect());
        assert_eq!(output, stripped(case["output"].clone(), &without), "{name}: {output}");
    }
    cases.len()
}

/// A value without the entries of these keys, at any depth.
fn stripped(value: Value, without: &[String]) -> Value {
    match value {
        Value::Object(entries) => {
            let kept = entries.into_iter().filter(|(key, _)| !without.contains(key));
            Value::Object(kept.map(|(key, value)| (key, stripped(value, without))).collect())
        }
        Value::Array(values) => values.into_iter().map(|value| stripped(value, without)).collect(),
        other => other,
    }
}
