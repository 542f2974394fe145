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

/// What is said of these settings and the files that they name, as `validate` does.
fn examined(yaml: &str) -> Problems {
    let node = parse_yaml("collector.yaml", yaml).expect("YAML");
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    if OptimizerFactory.parse(&node, &mut problems).is_some() {
        OptimizerFactory.examine(&node, &mut problems);
    }
    problems
}

#[test]
fn what_contradicts_itself_is_told_at_both_places() {
    let folder = tempfile::tempdir().expect("made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("one.yaml", "rules:\n  - name: a\n    priority: 5\n    drop: true\n  - name: b\n    keep: true\n");
    write("two.yaml", "# a comment\n\nrules:\n  - name: c\n    match: {metrics: [x]}\n    interval: 60s\n");
    write("three.yaml", "rules:\n  - name: d\n    priority: 1\n    interval: 120s\n");
    write(
        "four.yaml",
        "rules:\n  - {name: e, drp: true}\n  - {name: f, interval: 1m}\n  - {name: f, interval: 2m}\n",
    );
    write(
        "five.yaml",
        "rules:\n  - {name: later, match: {metrics: [\"process.*\"]}, priority: -1, gauges: sum, top_k: {k: 1, labels: [process.pid], rank_by: [c]}}\n",
    );
    write("six.yaml", "rules: [");
    write("seven.yaml", "rules:\n  - {name: slow, interval: 10m}\n");
    write(
        "many.yaml",
        &format!(
            "rules:\n{}",
            (0..5000).map(|number| format!("  - {{name: r{number}, drop_unit: true}}\n")).collect::<String>()
        ),
    );
    let list =
        |names: &[&str]| names.iter().map(|name| format!("'{}'", path(name))).collect::<Vec<_>>().join(", ");
    // (files, further settings, what the report says, in order)
    let cases: [(&[&str], &str, &[&str]); 10] = [
        (&["one.yaml"], "", &["one.yaml:5:5", "contradicts rule \"a\"", "rule \"a\" is at ", "one.yaml:2:5"]),
        (
            &["two.yaml", "three.yaml"],
            "",
            &["two.yaml:4:5", "its `interval` has no effect", "rule \"d\" is at ", "three.yaml:2:5"],
        ),
        (
            &["two.yaml"],
            "rules:\n  - {name: own, priority: 1, interval: 120s}",
            &["two.yaml:4:5", "its `interval` has no effect", "rule \"own\" is at collector.yaml:3:5"],
        ),
        (
            &["three.yaml"],
            "rules:\n  - {name: own, interval: 60s}",
            &["collector.yaml:3:5", "its `interval` has no effect", "three.yaml:2:5"],
        ),
        (
            &["five.yaml"],
            "presets: [processes]",
            &[
                "five.yaml:2:5",
                "needs label \"process.pid\"",
                "rule \"process-top\" comes with the preset `processes`",
            ],
        ),
        (&["four.yaml"], "", &["four.yaml:2:", "unknown key", "four.yaml:4:", "another rule \"f\""]),
        (&["six.yaml"], "", &["six.yaml"]),
        (&["seven.yaml"], "", &["seven.yaml:2:", "at most half of the processor's `idle`"]),
        (&["many.yaml"], "", &["more than 4096 rules"]),
        (&["absent.yaml", "one.yaml"], "", &["absent.yaml, so that its rules are not checked"]),
    ];
    for (files, settings, parts) in cases {
        let problems = examined(&format!("catalogs: [{}]\n{settings}\n", list(files)));
        let report = problems.to_string();
        let mut rest = report.as_str();
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| panic!("{files:?}: no {part} in order in\n{report}"));
            rest = &rest[at + part.len()..];
        }
        assert_eq!(problems.has_errors(), files[0] != "absent.yaml", "{report}");
    }
    assert!(
        examined(&format!(
            "catalogs: [{}]\nrules: [{{name: a, match: {{metrics: [x]}}, drop: true}}]",
            list(&["one.yaml"])
        ))
        .is_empty()
    );
}
