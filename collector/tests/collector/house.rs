//! The house: which crate may use which. See docs/architecture.md.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate of the core may use, directly.
const CORE: &[(&str, &[&str])] = &[
    ("phoenix-pdata", &[]),
    ("phoenix-prometheus-units", &[]),
    ("phoenix-telemetry", &["phoenix-pdata", "phoenix-prometheus-units"]),
    ("phoenix-config-derive", &[]),
    ("phoenix-config", &["phoenix-config-derive", "phoenix-pdata"]),
    ("phoenix-component", &["phoenix-config", "phoenix-pdata", "phoenix-telemetry"]),
    ("phoenix-engine", &["phoenix-component", "phoenix-config", "phoenix-pdata", "phoenix-telemetry"]),
    ("phoenix-transport", &["phoenix-component", "phoenix-config", "phoenix-pdata", "phoenix-telemetry"]),
    ("phoenix-storage", &[]),
    (
        "phoenix-delivery",
        &["phoenix-component", "phoenix-config", "phoenix-pdata", "phoenix-storage", "phoenix-telemetry"],
    ),
    (
        "phoenix-otlp",
        &[
            "phoenix-component",
            "phoenix-config",
            "phoenix-delivery",
            "phoenix-pdata",
            "phoenix-telemetry",
            "phoenix-transport",
        ],
    ),
    ("phoenix-profiling", &[]),
    ("phoenix-residency", &[]),
    ("phoenix-ottl", &["phoenix-pdata"]),
    ("phoenix-attributes", &["phoenix-component", "phoenix-config", "phoenix-ottl", "phoenix-pdata"]),
    ("phoenix-sampling", &[]),
    ("phoenix-series", &["phoenix-pdata"]),
    ("phoenix-prometheus", &["phoenix-pdata", "phoenix-prometheus-units", "phoenix-series"]),
    ("phoenix-analytics", &["phoenix-pdata", "phoenix-series"]),
    ("phoenix-opamp", &[]),
    (
        "phoenix-control",
        &[
            "phoenix-analytics",
            "phoenix-collector",
            "phoenix-config",
            "phoenix-opamp",
            "phoenix-telemetry",
            "phoenix-transport",
        ],
    ),
    ("phoenix-cli", &["phoenix-config"]),
    (
        "phoenix-statements",
        &["phoenix-component", "phoenix-config", "phoenix-ottl", "phoenix-pdata", "phoenix-telemetry"],
    ),
    ("phoenix-benches", &[]),
    ("phoenix-fleet", &["phoenix-opamp"]),
    ("phoenix-builder", &["phoenix-config"]),
];

/// What a component may use.
const COMPONENT: &[&str] = &[
    "phoenix-attributes",
    "phoenix-component",
    "phoenix-config",
    "phoenix-delivery",
    "phoenix-otlp",
    "phoenix-opamp",
    "phoenix-ottl",
    "phoenix-pdata",
    "phoenix-profiling",
    "phoenix-prometheus",
    "phoenix-sampling",
    "phoenix-series",
    "phoenix-statements",
    "phoenix-storage",
    "phoenix-telemetry",
    "phoenix-transport",
];

const KINDS: [&str; 5] = ["receiver", "processor", "exporter", "connector", "extension"];

fn graph() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata runs");
    let root = metadata.workspace_root.clone();
    let package = |package: &cargo_metadata::Package| {
        let folder =
            package.manifest_path.parent().expect("a folder").strip_prefix(&root).expect("in the workspace");
        let uses = package
            .dependencies
            .iter()
            .filter(|dependency| {
                dependency.kind == DependencyKind::Normal && dependency.name.starts_with("phoenix-")
            })
            .map(|dependency| dependency.name.clone());
        (package.name.to_string(), (folder.to_string(), uses.collect()))
    };
    metadata.workspace_packages().into_iter().map(package).collect()
}

#[test]
fn arrows_point_one_way() {
    for (name, (_, uses)) in graph() {
        let allowed: BTreeSet<&str> = match CORE.iter().find(|(crate_name, _)| *crate_name == name) {
            Some((_, allowed)) => allowed.iter().copied().collect(),
            None if name == "phoenix-collector" => continue,
            None => COMPONENT.iter().copied().collect(),
        };
        for used in &uses {
            assert!(allowed.contains(used.as_str()), "{name} must not use {used}");
        }
    }
}

#[test]
fn folders_are_the_inventory() {
    for (name, (folder, _)) in graph() {
        let Some((kind, rest)) =
            KINDS.iter().find_map(|kind| Some((kind, name.strip_prefix(&format!("phoenix-{kind}-"))?)))
        else {
            continue;
        };
        assert_eq!(folder, format!("{kind}s/{}", rest.replace('-', "_")), "the folder of {name}");
    }
}

#[test]
fn only_the_binary_uses_components_and_engine() {
    let is_component = |name: &str| KINDS.iter().any(|kind| name.starts_with(&format!("phoenix-{kind}-")));
    for (name, (_, uses)) in graph() {
        let used = uses.iter().find(|used| is_component(used) || *used == "phoenix-engine");
        assert!(name == "phoenix-collector" || used.is_none(), "{name} must not use {used:?}");
    }
}

/// Each test binary links its crate and all that it uses: what takes minutes over the workspace. The collector's suites of
/// faults and of differences are run by themselves, for hours.
#[test]
fn a_crate_has_one_test_binary() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("metadata");
    for package in metadata.packages {
        let tests = package.targets.iter().filter(|target| target.is_test());
        let names: Vec<_> = tests.map(|target| target.name.as_str()).collect();
        let most = if *package.name == "phoenix-collector" { 3 } else { 1 };
        assert!(names.len() <= most, "{} has {names:?}: join them in tests/<name>/main.rs", package.name);
    }
}
