//! From YAML to OTLP/JSON, by way of the factory.

use std::time::Duration;

use phoenix_component::factory::{CreateContext, Factory as _, ProcessorFactory as _, Shared};
use phoenix_component::harness::{StageHarness, golden};
use phoenix_component::{Host, Processor, StatusReporter};
use phoenix_config::{ComponentId, KeyPath, Kind, PipelineId, Problems, parse_yaml};
use phoenix_pdata::Signal;
use phoenix_processor_aggregator::AggregatorFactory;
use serde_json::Value;

/// The clock of the cases: past all of their data points.
const NOW: Duration = Duration::from_secs(1_800_010_000);

fn stage(yaml: &str) -> StageHarness {
    let node = parse_yaml("section", yaml).expect("YAML");
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let settings = AggregatorFactory.parse(&node, &mut problems).unwrap_or_else(|| panic!("{problems}"));
    let id = ComponentId::parse("aggregator").expect("an identifier");
    let pipeline = PipelineId::parse("metrics").expect("a pipeline");
    let (host, shared) = (Host::for_tests(), Shared::default());
    let status = StatusReporter::detached(Kind::Processor, id.clone());
    let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
    match AggregatorFactory.create(&*settings, cx, &pipeline).expect("a processor") {
        Processor::Stage(spec) => StageHarness::new(spec),
        Processor::Transform(_) => panic!("no stage"),
    }
}

/// Each case has settings, requests, and all that comes out: at once, and at the end.
#[tokio::test]
async fn cases() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("data/cases.json")).expect("a list of cases");
    for case in &cases {
        let name = case["case"].as_str().expect("a name");
        let mut harness = stage(&case["settings"].to_string());
        harness.advance(NOW);
        for request in case["input"].as_array().expect("requests") {
            harness.send(golden::batch(Signal::Metrics, &request.to_string())).expect("taken");
        }
        harness.drain();
        let found: Vec<Value> =
            harness.take_released().iter().map(|fragment| golden::to_json(&fragment.batch)).collect();
        let found = Value::from(found);
        assert_eq!(found, case["output"], "{name}:\n{found:#}");
    }
}
