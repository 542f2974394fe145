//! The reference under `docs/` is what the types say, and the schema agrees with what is decoded.

mod plans;

use std::path::{Path, PathBuf};

use phoenix_component::factory::Registry;
use phoenix_config::{Config, EnvProvider, Kind, Node, Problems, Resolver, Shape, YamlProvider};
use serde_json::Value;

use phoenix_collector::check::{Text, check};
use phoenix_collector::reference::{document, pages};

fn registry() -> Registry {
    phoenix_collector::default_distribution().registry
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("collector/ is in the repository").to_owned()
}

#[test]
fn the_reference_is_up_to_date() {
    let folder = repository().join("docs/reference");
    let pages = pages(&registry());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        // The pages about OTTL beside them are written by hand.
        for kind in Kind::ALL {
            let _ = std::fs::remove_dir_all(folder.join(kind.section()));
        }
        for (name, text) in &pages {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
    }
    for (name, text) in &pages {
        let found = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert_eq!(found, *text, "docs/reference/{name}: run this test with UPDATE_EXPECTED=1");
    }
    for kind in Kind::ALL {
        let Ok(entries) = std::fs::read_dir(folder.join(kind.section())) else { continue };
        for entry in entries {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            let path = format!("{}/{name}", kind.section());
            assert!(pages.contains_key(&path), "docs/reference/{path} describes nothing that is there");
        }
    }
}

#[test]
fn every_component_says_what_it_takes() {
    let registry = registry();
    for kind in Kind::ALL {
        for factory in registry.factories(kind) {
            let name = factory.descriptor().name;
            assert_ne!(factory.shape(), Shape::Any, "{kind} {name}: its factory has no `shape`");
        }
    }
}

fn resolve(text: &str) -> Node {
    let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).with(YamlProvider);
    resolver.resolve(&[format!("yaml:{text}")], &[]).expect("YAML").root
}

/// Errors about unknown keys in the section of one component.
fn unknown_keys(registry: &Registry, kind: Kind, type_name: &str, section: &str) -> Vec<String> {
    let root = resolve(&format!("{}: {{{type_name}: {section}}}", kind.section()));
    let mut problems = Problems::new();
    let config = Config::read(&root, registry, &mut problems);
    let component = config.components(kind).first().expect("a component");
    let mut found = component.problems();
    let _ = registry.parse(kind, component.id(), component.node(), &mut found);
    let unknown = found.errors().filter(|problem| problem.message == "unknown key");
    unknown.map(|problem| format!("{problem}")).collect()
}

/// A path of keys, and what follows after it, as one flow map.
fn nested(path: &[&str], key: &str) -> String {
    path.iter().rev().fold(format!("{{{key}: }}"), |inner, key| format!("{{{key}: {inner}}}"))
}

/// Every section of a shape with its path. Lists, maps and choices are left to the tests of their components.
fn sections<'a>(
    shape: &'a Shape,
    path: &[&'a str],
    found: &mut Vec<(Vec<&'a str>, &'a phoenix_config::Section)>,
) {
    let Some(section) = shape.section() else { return };
    found.push((path.to_vec(), section));
    for key in &section.keys {
        let below: Vec<&str> = path.iter().copied().chain([key.name]).collect();
        sections(&key.shape, &below, found);
    }
}

#[test]
fn keys_are_decoded_exactly_if_they_are_described() {
    let registry = registry();
    let mut checked = 0;
    for kind in Kind::ALL {
        for factory in registry.factories(kind) {
            let (name, shape) = (factory.descriptor().name, factory.shape());
            let mut found = Vec::new();
            sections(&shape, &[], &mut found);
            for (path, section) in found {
                for key in section.keys.iter().flat_map(|key| [&[key.name], &key.aliases[..]].concat()) {
                    let unknown = unknown_keys(&registry, kind, name, &nested(&path, key));
                    assert_eq!(unknown, [""; 0], "{kind} {name}: described and not decoded");
                    checked += 1;
                }
                let unknown = unknown_keys(&registry, kind, name, &nested(&path, "zzzzzzzz"));
                assert_eq!(unknown.len(), usize::from(section.closed), "{kind} {name} {path:?}");
                // The help lists what is decoded, in full where it is short.
                let Some((_, listed)) = unknown.first().and_then(|text| text.split_once("known keys are "))
                else {
                    continue;
                };
                if listed.contains(" more") {
                    continue;
                }
                for key in listed.split(", ").map(|key| key.trim_matches('`')).filter(|key| *key != "enabled")
                {
                    let described =
                        section.keys.iter().any(|known| known.name == key || known.aliases.contains(&key));
                    assert!(described, "{kind} {name} {path:?}: `{key}` is decoded and not described");
                }
            }
        }
    }
    assert!(checked > 150, "{checked} keys");
}

/// A tree as JSON, as a validator of schemas sees YAML.
fn json(root: &Node) -> Value {
    let text = phoenix_config::to_json(root, Problems::new().readings(), phoenix_config::Secrets::Shown);
    serde_json::from_str(&text).expect("JSON")
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn what_the_project_ships_fits_the_schema() {
    let schema = document(&registry()).to_json();
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    let mut files = Vec::new();
    for folder in ["configs", "examples", "benches/configs", "collector/tests/collector/data/shapes"] {
        yaml_files(&repository().join(folder), &mut files);
    }
    let mut checked = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).expect("read");
        // An overlay by itself is no whole configuration.
        if !text.contains("pipelines:") || text.contains(" !") {
            continue;
        }
        // With references as they are written: a text may stand for any value.
        let written = json(&phoenix_config::parse_yaml(&path.display().to_string(), &text).expect("YAML"));
        let errors = validator.iter_errors(&written);
        let errors: Vec<String> = errors.map(|error| format!("{}: {error}", error.instance_path)).collect();
        assert_eq!(errors, [""; 0], "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 4, "{checked} files");
}

/// The first example of each component's README, over a pipeline that does nothing.
#[test]
fn the_examples_of_the_components_fit_the_schema() {
    let registry = registry();
    let validator = jsonschema::draft202012::new(&document(&registry).to_json()).expect("a schema");
    let base = "yaml:{receivers: {nop: }, exporters: {nop: }, \
                service: {pipelines: {traces: {receivers: [nop], exporters: [nop]}}}}";
    for kind in Kind::ALL {
        for factory in registry.factories(kind) {
            let readme = format!("{}/{}/README.md", kind.section(), factory.descriptor().name);
            let text = std::fs::read_to_string(repository().join(&readme)).expect(&readme);
            let Some(example) = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next())
            else {
                continue;
            };
            let resolver = Resolver::with_environment(EnvProvider::new(|_| Some("a text".into())));
            let root = resolver.resolve(&[base, &format!("yaml:{example}")], &[]).expect(&readme).root;
            let instance = json(&root);
            let errors = validator.iter_errors(&instance);
            let errors: Vec<String> =
                errors.map(|error| format!("{}: {error}", error.instance_path)).collect();
            assert_eq!(errors, [""; 0], "{readme}");
        }
    }
}

#[test]
fn the_schema_refuses_what_is_refused() {
    let schema = document(&registry()).to_json();
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let around = |receivers: &str| {
        format!(
            "{{receivers: {receivers}, exporters: {{nop: }}, service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}}}"
        )
    };
    // (receivers, fits)
    let cases = [
        ("{otlp: {protocols: {grpc: }}}", true),
        ("{otlp/a: {protocols: {grpc: {enabled: false, endpoint: 'x:1'}}}}", true),
        ("{otlp: {protocols: {grpc: {max_recv_msg_size_mib: '${env:SIZE}'}}}}", true),
        ("{otlp: {protocols: {http: {idle_timeout: 1h30m, cors: {allowed_origins: 'a,b'}}}}}", true),
        ("{otlp: {protocols: {http: {response_headers: [{name: a, value: b}]}}}}", true),
        ("{otlpp: {protocols: {grpc: }}}", false),
        ("{otlp: {protocols: {grcp: }}}", false),
        ("{otlp: {protocols: {grpc: {max_recv_msg_size_mib: 5000}}}}", false),
        ("{otlp: {protocols: {grpc: {max_recv_msg_size_mib: many}}}}", false),
        ("{otlp: {protocols: {http: {idle_timeout: 5 minutes}}}}", false),
        ("{otlp: {protocols: {http: }, invalid_utf8: drop}}", false),
    ];
    for (receivers, fits) in cases {
        let instance = json(&phoenix_config::parse_yaml("case", &around(receivers)).expect("YAML"));
        assert_eq!(validator.is_valid(&instance), fits, "{receivers}");
    }
}

/// `(section, type, settings, whether otelcol's `validate` takes it, why Phoenix says otherwise)`.
#[derive(serde::Deserialize)]
struct Verdict(String, String, String, bool, #[serde(default)] Option<String>);

/// A configuration that runs these settings.
fn around(section: &str, type_name: &str, settings: &str) -> String {
    let (mut receivers, mut exporters) = ("otlp: {protocols: {grpc: }}".to_owned(), "debug: ".to_owned());
    let (mut processors, mut extensions, mut telemetry) = (String::new(), String::new(), "{}");
    let component = format!("{type_name}: {settings}");
    let (mut receiver, mut exporter, mut processor, mut extension) = ("otlp", "debug", "", "");
    match section {
        "receivers" => (receivers, receiver) = (component, type_name),
        "processors" => (processors, processor) = (component, type_name),
        "exporters" => (exporters, exporter) = (component, type_name),
        "extensions" => (extensions, extension) = (component, type_name),
        "service" => telemetry = settings,
        other => panic!("{other}"),
    }
    format!(
        "receivers: {{{receivers}}}\nprocessors: {{{processors}}}\nexporters: {{{exporters}}}\n\
         extensions: {{{extensions}}}\nservice:\n  telemetry: {telemetry}\n  extensions: [{extension}]\n  pipelines:\n    \
         traces: {{receivers: [{receiver}], processors: [{processor}], exporters: [{exporter}]}}\n"
    )
}

#[test]
fn verdicts_about_keys_are_those_of_otelcol_or_say_why_not() {
    let path = repository().join("collector/tests/collector/data/verdicts-by-key.json");
    let text = std::fs::read_to_string(&path).expect("read");
    let verdicts: Vec<Verdict> = serde_json::from_str(&text).expect("JSON");
    let registry = registry();
    let mut wrong = Vec::new();
    for Verdict(section, type_name, settings, otelcols, differs) in &verdicts {
        let text = around(section, type_name, settings);
        let checked = check(&[Text { name: "a.yaml".into(), text }], &registry);
        if checked.is_valid() != (otelcols ^ differs.is_some()) {
            wrong.push(format!(
                "{section} {type_name} {settings}: otelcol {otelcols}, {:?}",
                checked.findings
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), verdicts.len(), wrong.join("\n"));
}
