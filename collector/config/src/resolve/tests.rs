use super::*;
use crate::{ProviderError, Retrieved};

/// Files that exist nowhere but here.
struct Files;

impl Provider for Files {
    fn scheme(&self) -> &str {
        "file"
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        let text = match &uri["file:".len()..] {
            "a.yaml" => {
                "receivers: {otlp: {x: 1, y: [1, 2]}}\nprocessors: {batch: {timeout: 1s}}\nservice: {a: 1}\n"
            }
            "b.yaml" => "receivers: {otlp: {y: [3]}, nop: }\nservice: {b: 2}\n",
            "null.yaml" => "processors:\n",
            "empty.yaml" => "# nothing\n",
            "two.yaml" => "a: 1\n---\nb: 2\n",
            "list.yaml" => "[1, 2]\n",
            "bad.yaml" => "receivers: {otlp: \n  x: [\n",
            "flow.yaml" => "a: {b: ${env:X}}\n",
            "C:\\x.yaml" => "drive: 1\n",
            path => return Err(ProviderError::new(format!("unable to read the file {path}: no such file"))),
        };
        Ok(Retrieved::yaml(text))
    }
}

fn resolver() -> Resolver {
    Resolver::new().with(Files).with(YamlProvider).with(EnvProvider::new(|name| match name {
        "CONFIG" => Some("from: env".to_owned()),
        _ => None,
    }))
}

fn printed(uris: &[&str], sets: &[&str]) -> String {
    let resolved = resolver().resolve(uris, sets).expect("sources");
    crate::to_json(&resolved.root, resolved.problems.readings(), crate::Secrets::Shown)
        .split_whitespace()
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn later_sources_win() {
    // (uris, sets, JSON)
    let a = r#"{"receivers":{"otlp":{"x":1,"y":[1,2]}},"processors":{"batch":{"timeout":"1s"}},"service":{"a":1}}"#;
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&["a.yaml"], &[], a),
        (&["file:a.yaml", "empty.yaml"], &[], a),
        (
            &["a.yaml", "b.yaml"],
            &[],
            r#"{"receivers":{"otlp":{"x":1,"y":[3]},"nop":null},"processors":{"batch":{"timeout":"1s"}},"service":{"a":1,"b":2}}"#,
        ),
        (
            &["a.yaml", "null.yaml"],
            &[],
            r#"{"receivers":{"otlp":{"x":1,"y":[1,2]}},"processors":null,"service":{"a":1}}"#,
        ),
        (
            &["a.yaml", "yaml:processors::batch::timeout: 2s"],
            &["processors.batch.timeout=3s", "service.c=[x, y]"],
            r#"{"receivers":{"otlp":{"x":1,"y":[1,2]}},"processors":{"batch":{"timeout":"3s"}},"service":{"a":1,"c":["x","y"]}}"#,
        ),
        (&["env:CONFIG"], &[], r#"{"from":"env"}"#),
        (&["C:\\x.yaml"], &[], r#"{"drive":1}"#),
        (&["yaml:{a::b: 1, a::c: 2}"], &[], r#"{"a":{"b":1,"c":2}}"#),
        (&[], &["a.b=1"], r#"{"a":{"b":1}}"#),
    ];
    for (uris, sets, json) in cases {
        assert_eq!(printed(uris, sets), *json, "{uris:?} {sets:?}");
    }
}

#[test]
fn places_are_those_of_the_winner() {
    let resolved =
        resolver().resolve(&["a.yaml", "b.yaml"], &["processors.batch.timeout=3s"]).expect("sources");
    // (path, place)
    let cases = [
        ("receivers::otlp::x", "a.yaml:1:23"),
        ("receivers::otlp::y", "b.yaml:1:23"),
        ("processors::batch::timeout", "--set processors.batch.timeout"),
    ];
    for (path, place) in cases {
        let node = resolved.root.at(&KeyPath::parse(path)).expect(path);
        assert_eq!(node.location().to_string(), place, "{path}");
    }
}

#[test]
fn reports_every_source_that_cannot_be_used() {
    let problems = resolver()
        .resolve(&["none.yaml", "list.yaml", "bad.yaml", "flow.yaml", "vault:x", "1:x"], &["novalue"])
        .expect_err("no source is usable");
    let report = problems.to_string();
    let expected = [
        "error: list.yaml:1:1: a configuration must be a map, found a list",
        "error: bad.yaml:2:",
        "error: flow.yaml:1:",
        "  help: inside `{}` and `[]` a `${…}` must be in quotes",
        "error: cannot retrieve the configuration: unable to read the file none.yaml: no such file",
        "error: unsupported scheme on URI \"vault:x\"",
        "error: invalid uri: \"1:x\"",
        "error: missing equal sign in `--set novalue`",
    ];
    for line in expected {
        assert!(report.contains(line), "{line} is not in\n{report}");
    }
    assert_eq!(problems.errors().count(), 7);
    let none = resolver().resolve::<&str>(&[], &[]).expect_err("no source");
    assert_eq!(
        none.errors().next().map(|error| &*error.message),
        Some("at least one config flag must be provided")
    );
}

#[test]
fn warns_of_what_is_lost() {
    // (uris, warning)
    let cases: &[(&[&str], &str)] = &[
        (
            &["a.yaml", "null.yaml"],
            "warning: null.yaml:1:11: processors: replaces the map written at a.yaml:2:13 with nothing",
        ),
        (&["two.yaml"], "warning: two.yaml:1:1: only the first YAML document is read, more follow"),
    ];
    for (uris, warning) in cases {
        let resolved = resolver().resolve(uris, &[]).expect("sources");
        assert!(resolved.problems.to_string().starts_with(warning), "{}", resolved.problems);
        assert!(!resolved.problems.has_errors());
    }
}
