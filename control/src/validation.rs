//! What a configuration would do, asked of the collector's own crates.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use phoenix_collector::Registry;
use phoenix_collector::check::{self, Checked, Text};
use phoenix_config::Kind;
use phoenix_opamp::{AgentConfigFile, AgentConfigMap, config_hash};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Error, FieldProblem, Result};
use crate::ids::hex;

/// One text of those that make up a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its file name.
    pub name: String,
    /// YAML.
    pub text: String,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Validation {
    /// Whether it can be run.
    pub valid: bool,
    /// Mistakes and warnings, each with its line and column.
    pub findings: Vec<FieldProblem>,
}

/// A value of the merged configuration, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Provenance {
    /// The key, with `::` between its parts.
    pub key: String,
    /// The configuration and version, for example `base@3.yaml`.
    pub source: String,
    /// The line in it.
    pub line: u32,
}

/// One difference of two configurations.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// The key, with `::` between its parts.
    pub key: String,
    /// `added`, `removed` or `changed`.
    pub kind: &'static str,
    /// What was there; secrets hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<serde_json::Value>,
    /// What is there now; secrets hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<serde_json::Value>,
}

/// The components that this program knows: those of the collector of the same version.
fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> =
        LazyLock::new(|| phoenix_collector::default_distribution().registry);
    &REGISTRY
}

/// What a component is called besides, by section: an agent that has it knows it under the one name or the other.
pub(crate) fn canonical(section: &str, name: &str) -> Option<&'static str> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.section() == section)?;
    registry().factory(kind, name).map(|factory| factory.descriptor().name)
}

fn texts(layers: &[Layer]) -> Vec<Text> {
    layers.iter().map(|layer| Text { name: layer.name.clone(), text: layer.text.clone() }).collect()
}

/// Checks what `layers` make together. Takes a while for large ones: not for a thread of the runtime.
pub fn check(layers: &[Layer]) -> (Validation, Checked) {
    let checked = check::check(&texts(layers), registry());
    let finding = |finding: &check::Finding| FieldProblem {
        field: finding.key.clone(),
        message: match finding.name.as_str() {
            "" => finding.message.clone(),
            _ if layers.len() < 2 => finding.message.clone(),
            name => format!("{name}: {}", finding.message),
        },
        help: finding.help.clone(),
        line: finding.line,
        column: finding.column,
        severity: if finding.is_error { "error" } else { "warning" },
    };
    let findings = checked.findings.iter().map(finding).collect();
    (Validation { valid: checked.is_valid(), findings }, checked)
}

/// The same, off the runtime.
///
/// # Errors
/// Where the check itself fails.
pub async fn check_off_the_runtime(layers: Vec<Layer>) -> Result<(Validation, Checked)> {
    let checked = tokio::task::spawn_blocking(move || check(&layers)).await;
    checked.map_err(|panic| Error::Internal(format!("a configuration could not be checked: {panic}")))
}

/// What a collector that runs `old` would do with `new`, for people; none where that cannot be said.
pub fn changes(old: &[Layer], new: &[Layer]) -> Option<serde_json::Value> {
    let changes = check::compare(&texts(old), &texts(new), registry())?;
    let mut told = serde_json::to_value(&changes).ok()?;
    let losses: Vec<_> =
        changes.losses().iter().map(|(component, what)| format!("{component}: {what}")).collect();
    if let Some(told) = told.as_object_mut() {
        told.insert("losses".to_owned(), losses.into());
        told.insert("summary".to_owned(), changes.to_string().into());
    }
    Some(told)
}

/// Where each value was written.
pub fn provenance(checked: &Checked) -> Vec<Provenance> {
    let told = |origin: &check::Origin| Provenance {
        key: origin.key.clone(),
        source: origin.name.clone(),
        line: origin.line,
    };
    checked.origins.iter().map(told).collect()
}

/// What differs between two configurations as they are meant: order of keys, comments and layout do not count.
pub fn differences(old: &str, new: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    let read = |json: &str| serde_json::from_str(json).unwrap_or_default();
    walk(String::new(), &read(old), &read(new), &mut found);
    found
}

fn walk(key: String, old: &serde_json::Value, new: &serde_json::Value, found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    if let (Some(before), Some(after)) = (old.as_object(), new.as_object()) {
        let names: BTreeMap<&String, ()> = before.keys().chain(after.keys()).map(|name| (name, ())).collect();
        for name in names.into_keys() {
            let inner = if key.is_empty() { name.clone() } else { format!("{key}::{name}") };
            match (before.get(name), after.get(name)) {
                (Some(old), Some(new)) => walk(inner, old, new, found),
                (old, new) => {
                    let kind = if old.is_none() { "added" } else { "removed" };
                    found.push(Difference { key: inner, kind, old: old.cloned(), new: new.cloned() });
                }
            }
        }
        return;
    }
    found.push(Difference { key, kind: "changed", old: Some(old.clone()), new: Some(new.clone()) });
}

/// The files that an agent is offered, in the order in which they are merged, and the hash that they are known by.
pub fn offer(layers: &[Layer]) -> (AgentConfigMap, String) {
    let file = |(index, layer): (usize, &Layer)| {
        let file =
            AgentConfigFile { body: layer.text.as_bytes().to_vec(), content_type: "text/yaml".to_owned() };
        (format!("{index:02}-{}", layer.name), file)
    };
    let map = AgentConfigMap { config_map: layers.iter().enumerate().map(file).collect() };
    let hash = hex(&config_hash(&map));
    (map, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "receivers: {otlp: {protocols: {grpc: {}}}}\nexporters: {debug: {}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n";

    fn layer(name: &str, text: &str) -> Layer {
        Layer { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn mistakes_have_a_line_and_a_column() {
        let (validation, _) = check(&[layer("a", GOOD)]);
        assert!(validation.valid, "{validation:?}");
        let (validation, _) = check(&[layer("a", &GOOD.replace("{grpc: {}}", "{grcp: {}}"))]);
        assert!(!validation.valid);
        let key = "receivers::otlp::protocols::grcp";
        let finding = validation.findings.iter().find(|finding| finding.field == key);
        let finding = finding.unwrap_or_else(|| panic!("{validation:?}"));
        assert_eq!((finding.line, finding.column), (Some(1), Some(32)), "{finding:?}");
        for wrong in ["a: [", "- 1", "a: &a [*a]", "\u{0}"] {
            assert!(!check(&[layer("a", wrong)]).0.valid, "{wrong}");
        }
    }

    #[test]
    fn nothing_of_this_machine_is_read() {
        let text = GOOD.replace("debug: {}", "debug: {}, otlphttp: {endpoint: 'http://x', headers: {a: '${file:/etc/hostname}', b: '${env:PATH}'}}");
        let (validation, checked) = check(&[layer("a", &text)]);
        assert!(validation.valid, "{validation:?}");
        let path = std::env::var("PATH").expect("set");
        let told = format!("{validation:?}{checked:?}");
        assert!(!told.contains(&path), "{told}");
        assert!(told.contains("is read where the configuration runs"), "{told}");
    }

    #[test]
    fn layers_are_merged_and_each_value_has_its_source() {
        let over = "exporters: {debug: {verbosity: detailed}}\n";
        let (validation, checked) = check(&[layer("base@1.yaml", GOOD), layer("edge@2.yaml", over)]);
        assert!(validation.valid, "{validation:?}");
        let from = |key: &str| {
            provenance(&checked).into_iter().find(|found| found.key == key).map(|found| found.source)
        };
        assert_eq!(from("exporters::debug::verbosity").as_deref(), Some("edge@2.yaml"));
        assert_eq!(from("service::pipelines::traces::receivers").as_deref(), Some("base@1.yaml"));
    }

    #[test]
    fn differences_are_those_of_meaning() {
        let json = |text: &str| check(&[layer("a", text)]).1.json;
        let shuffled = "# comment\nexporters: {debug: {}}\nservice: {pipelines: {traces: {exporters: [debug], receivers: [otlp]}}}\nreceivers: {otlp: {protocols: {grpc: {}}}}\n";
        assert_eq!(differences(&json(GOOD), &json(shuffled)), []);
        let changed = GOOD.replace("debug: {}", "debug: {verbosity: basic}").replace("traces:", "logs:");
        let found = differences(&json(GOOD), &json(&changed));
        let told: Vec<_> = found.iter().map(|one| (one.key.as_str(), one.kind)).collect();
        assert_eq!(
            told,
            [
                ("exporters::debug::verbosity", "added"),
                ("service::pipelines::logs", "added"),
                ("service::pipelines::traces", "removed")
            ]
        );
        let plan = changes(&[layer("a", GOOD)], &[layer("a", &changed)]).expect("both can run");
        assert!(plan["summary"].as_str().is_some_and(|text| text.contains("exporter debug")), "{plan}");
    }

    #[test]
    fn offers_are_known_by_their_content() {
        let (map, hash) = offer(&[layer("b@1.yaml", "x"), layer("a@1.yaml", "y")]);
        assert_eq!(map.config_map.keys().collect::<Vec<_>>(), ["00-b@1.yaml", "01-a@1.yaml"]);
        assert_eq!(hash, offer(&[layer("b@1.yaml", "x"), layer("a@1.yaml", "y")]).1);
        assert_ne!(hash, offer(&[layer("b@1.yaml", "x"), layer("a@1.yaml", "z")]).1);
    }
}
