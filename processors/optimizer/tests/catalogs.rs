//! Rules from files.

use phoenix_component::Processor;
use phoenix_component::factory::{Factory as _, ProcessorFactory as _};
use phoenix_component::harness::{StageHarness, golden, with_context};
use phoenix_config::{KeyPath, Kind, PipelineId, Problems, parse_yaml};
use phoenix_pdata::Signal;
use phoenix_processor_optimizer::OptimizerFactory;

/// A processor with these settings.
fn made(yaml: &str) -> Result<Processor, String> {
    let node = parse_yaml("section", yaml).map_err(|problems| problems.to_string())?;
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let settings = OptimizerFactory.parse(&node, &mut problems).ok_or_else(|| problems.to_string())?;
    assert_eq!(OptimizerFactory.touches(&*settings).len(), yaml.matches(".yaml").count());
    let pipeline = PipelineId::parse("metrics").expect("a pipeline");
    with_context(Kind::Processor, "optimizer", |cx| {
        OptimizerFactory.create(&*settings, cx, &pipeline).map_err(|error| error.to_string())
    })
}

#[tokio::test]
async fn files_are_read_at_the_start_and_later_ones_win() {
    let folder = tempfile::tempdir().expect("made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("first.yaml", "rules: [{name: a, priority: 5, drop: true}]");
    write("second.yaml", "rules: [{name: b, match: {metrics: [x]}, keep: true}]");
    write("third.yaml", "rules: [{name: a, match: {metrics: [y]}, drop: true}]");
    write("wrong.yaml", "rules: [{name: a, drp: true}]");
    let catalogs = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("'{}'", path(name))).collect();
        made(&format!("catalogs: [{}]", names.join(", "))).map(|_| ())
    };
    assert_eq!(catalogs(&["first.yaml"]), Ok(()));
    let error = catalogs(&["first.yaml", "second.yaml"]).expect_err("a contradiction across files");
    assert!(error.contains("rule \"b\" is never reached: rule \"a\" drops"), "{error}");
    assert_eq!(catalogs(&["first.yaml", "second.yaml", "third.yaml"]), Ok(()), "the later rule counts");
    let error = catalogs(&["wrong.yaml"]).expect_err("an unknown key");
    assert!(error.contains("wrong.yaml") && error.contains("drp"), "{error}");
    let error = catalogs(&["absent.yaml"]).expect_err("no file");
    assert!(error.contains("cannot read the catalog") && error.contains("absent.yaml"), "{error}");
}

#[tokio::test]
async fn of_two_files_with_a_rule_of_one_name_the_later_is_carried_out() {
    let folder = tempfile::tempdir().expect("made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("drops.yaml"), "rules: [{name: a, match: {metrics: [x]}, drop: true}]")
        .expect("written");
    std::fs::write(path("keeps.yaml"), "rules: [{name: a, match: {metrics: [x]}, keep: true}]")
        .expect("written");
    let left = async |files: [&str; 2], own: &str| {
        let settings = format!("{{catalogs: ['{}', '{}'], rules: [{own}]}}", path(files[0]), path(files[1]));
        let Processor::Stage(spec) = made(&settings).expect("no conflicts") else { panic!("a stage") };
        let mut harness = StageHarness::new(spec);
        let request = r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"name": "x", "gauge": {"dataPoints": [{"asDouble": 1, "timeUnixNano": "5"}]}}]}]}]}"#;
        harness.send(golden::batch(Signal::Metrics, request)).expect("taken");
        harness.take_released().len()
    };
    let own = "{name: a, match: {metrics: [x]}, drop: true}";
    assert_eq!(left(["drops.yaml", "keeps.yaml"], "").await, 1);
    assert_eq!(left(["keeps.yaml", "drops.yaml"], "").await, 0);
    assert_eq!(left(["drops.yaml", "keeps.yaml"], own).await, 0, "the processor's own come last");
}
