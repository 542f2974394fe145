//! Rules from files.

use phoenix_component::factory::{Factory as _, ProcessorFactory as _};
use phoenix_component::harness::with_context;
use phoenix_config::{KeyPath, Kind, PipelineId, Problems, parse_yaml};
use phoenix_processor_optimizer::OptimizerFactory;

/// What becomes of a processor with these settings.
fn start(yaml: &str) -> Result<(), String> {
    let node = parse_yaml("section", yaml).map_err(|problems| problems.to_string())?;
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let settings = OptimizerFactory.parse(&node, &mut problems).ok_or_else(|| problems.to_string())?;
    assert_eq!(OptimizerFactory.touches(&*settings).len(), yaml.matches(".yaml").count());
    let pipeline = PipelineId::parse("metrics").expect("a pipeline");
    with_context(Kind::Processor, "optimizer", |cx| {
        OptimizerFactory.create(&*settings, cx, &pipeline).map(|_| ()).map_err(|error| error.to_string())
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
        start(&format!("catalogs: [{}]", names.join(", ")))
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
