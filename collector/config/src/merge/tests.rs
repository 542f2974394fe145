use crate::{EnvProvider, Problems, Resolver, Secrets, YamlProvider, to_json};

const BASE: &str = "
receivers: {otlp: {protocols: {grpc: , http: }}}
processors: {memory_limiter: {limit_mib: 100}, batch: {timeout: 1s}}
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [otlp/a, otlp/b]}
    logs: {receivers: '${env:RECEIVERS}', exporters: 'a,b'}
";

fn resolver() -> Resolver {
    Resolver::with_environment(EnvProvider::new(|_| Some("[otlp]".into()))).with(YamlProvider)
}

/// The value at `path` once `overlay` lies over the base, as JSON, and what there is to say about it.
fn over(overlay: &str, path: &str) -> (String, Problems) {
    match resolver().resolve(&[format!("yaml:{BASE}"), format!("yaml:{overlay}")], &[]) {
        Ok(resolved) => {
            let node = resolved.root.at(&crate::KeyPath::parse(path)).cloned().unwrap_or_default();
            let json = to_json(&node, Problems::new().readings(), Secrets::Shown);
            (json.split_whitespace().collect(), resolved.problems)
        }
        Err(problems) => (String::new(), *problems),
    }
}

#[test]
fn tags_say_how_a_list_is_changed() {
    // (overlay for the traces pipeline, list, JSON)
    let cases = [
        ("exporters: [debug]", "exporters", r#"["debug"]"#),
        ("exporters: !append [debug]", "exporters", r#"["otlp/a","otlp/b","debug"]"#),
        ("exporters: !append debug", "exporters", r#"["otlp/a","otlp/b","debug"]"#),
        ("exporters: !append [debug, otlp/a, debug]", "exporters", r#"["otlp/a","otlp/b","debug"]"#),
        ("exporters: !prepend [x, y]", "exporters", r#"["x","y","otlp/a","otlp/b"]"#),
        ("exporters: !remove [otlp/a]", "exporters", r#"["otlp/b"]"#),
        ("exporters: !replace [x]", "exporters", r#"["x"]"#),
        ("exporters: !edit {remove: [otlp/a], append: debug}", "exporters", r#"["otlp/b","debug"]"#),
        (
            "processors: !edit {before: {batch: [filter, transform]}, after: {memory_limiter: resource}}",
            "processors",
            r#"["memory_limiter","resource","filter","transform","batch"]"#,
        ),
        ("processors: !remove", "processors", "null"),
        ("attributes: !append [a]", "attributes", r#"["a"]"#),
    ];
    for (overlay, list, json) in cases {
        let overlay = format!("service: {{pipelines: {{traces: {{{overlay}}}}}}}");
        let (found, problems) = over(&overlay, &format!("service::pipelines::traces::{list}"));
        assert_eq!(found, json, "{overlay}\n{problems}");
        assert!(problems.is_empty(), "{overlay}\n{problems}");
    }
}

#[test]
fn keys_can_be_removed_and_maps_replaced() {
    // (overlay, path, JSON)
    let cases = [
        ("processors: {batch: !remove }", "processors", r#"{"memory_limiter":{"limit_mib":100}}"#),
        ("processors: !replace {batch: }", "processors", r#"{"batch":null}"#),
        (
            "service: {pipelines: {logs: {exporters: !append c}}}",
            "service::pipelines::logs::exporters",
            r#"["a","b","c"]"#,
        ),
        (
            "service: {pipelines: {metrics: {receivers: !append [otlp]}}}",
            "service::pipelines::metrics",
            r#"{"receivers":["otlp"]}"#,
        ),
        ("service::extensions: !append [zpages]", "service::extensions", r#"["health_check","zpages"]"#),
        ("{x: {y: !replace {z: !append [1]}}}", "x", r#"{"y":{"z":[1]}}"#),
    ];
    for (overlay, path, json) in cases {
        let (found, problems) = over(overlay, path);
        assert_eq!(found, json, "{overlay}\n{problems}");
        assert!(problems.is_empty(), "{overlay}\n{problems}");
    }
}

#[test]
fn three_sources_and_set_add_up() {
    let uris = [
        format!("yaml:{BASE}"),
        "yaml:service: {extensions: !append [a]}".into(),
        "yaml:service: {extensions: !prepend [b]}".into(),
    ];
    let sets = ["service.extensions=!append [c]".to_owned()];
    let resolved = resolver().resolve(&uris, &sets).expect("sources");
    let list = resolved.root.at(&crate::KeyPath::parse("service::extensions")).expect("there").clone();
    let names: Vec<&str> = list.as_list().expect("a list").iter().filter_map(crate::Node::as_text).collect();
    assert_eq!(names, ["b", "health_check", "a", "c"]);
    // Each item knows who wrote it.
    assert_eq!(list.as_list().expect("a list")[3].location().to_string(), "--set service.extensions");
}

#[test]
fn mistakes_have_their_places() {
    // (overlay, part of the report)
    let cases = [
        (
            "service: {pipelines: {traces: {exporters: !remove [otlp/c]}}}",
            "warning: --config yaml::1:52: service::pipelines::traces::exporters: there is no `otlp/c` to remove\n",
        ),
        ("service: {pipelines: {traces: {exporters: !remove [otlp/c]}}}", "help: did you mean `otlp/a`?"),
        (
            "service: {pipelines: {traces: {processors: !edit {before: {bacth: [x]}}}}}",
            "error: --config yaml::1:60: service::pipelines::traces::processors: there is no `bacth` in the list",
        ),
        ("service: {pipelines: {traces: {processors: !edit {befor: {batch: [x]}}}}}", "unknown key `befor`"),
        ("service: {pipelines: {traces: {processors: !edit [x]}}}", "`!edit` takes a map, found a list"),
        (
            "service: {pipelines: {traces: !append [x]}}",
            "`!append` changes a list, found a map at --config yaml::",
        ),
        (
            "service: {pipelines: {logs: {receivers: !append [x]}}}",
            "`!append` changes a list, found a `${…}` at --config yaml::",
        ),
        ("service: {extensions: !append 5}", "`append` takes a list, found the number 5"),
        ("service: {extensions: [!append [x]]}", "`!append` cannot stand inside a list"),
        ("service: {extensions: !apend [x]}", "unknown tag `!apend`: did you mean `!append`?"),
        ("nothing: !remove ", "warning: --config yaml::1:10: nothing: there is no such key to remove"),
        (
            "x: '${yaml:!append [a]}'",
            "a tag such as `!append` can only stand in a source, not in what a `${…}` inserts",
        ),
    ];
    for (overlay, part) in cases {
        let (_, problems) = over(overlay, "");
        assert!(problems.to_string().contains(part), "{overlay}\n{problems}");
    }
}

#[test]
fn long_lists_are_refused() {
    let list = "x,".repeat(10_001);
    let (_, problems) = over(&format!("service: {{extensions: !append '{list}'}}"), "");
    assert!(problems.to_string().contains("more than 10000 items cannot be edited"), "{problems}");
}

#[test]
fn items_that_may_be_secret_are_not_shown() {
    let (_, problems) = over("receivers: {otlp: {keys: !remove [hidden]}}", "");
    let report = format!("{}", problems.warnings().next().expect("a warning"));
    assert!(report.contains("there is no such item to remove") && !report.contains("hidden"), "{report}");
}

#[test]
fn the_gate_of_otelcol_adds_to_lists_under_service() {
    let overlay = "yaml:{receivers: {otlp: {x: [2]}}, service: {extensions: [health_check, zpages], pipelines: {traces: {exporters: [debug], processors: [batch]}}}}";
    let base = format!("yaml:{BASE}");
    let resolved = resolver()
        .append_service_lists(true)
        .resolve(&[base.as_str(), "yaml:receivers: {otlp: {x: [1]}}", overlay], &[]);
    let root = resolved.expect("sources").root;
    let at = |path: &str| {
        let node = root.at(&crate::KeyPath::parse(path)).expect("there");
        to_json(node, Problems::new().readings(), Secrets::Shown).split_whitespace().collect::<String>()
    };
    assert_eq!(at("service::extensions"), r#"["health_check","zpages"]"#);
    assert_eq!(at("service::pipelines::traces::exporters"), r#"["otlp/a","otlp/b","debug"]"#);
    assert_eq!(at("service::pipelines::traces::processors"), r#"["batch"]"#);
    assert_eq!(at("receivers::otlp::x"), "[2]");
}
