//! `service::telemetry::resource`: what own telemetry says it is about.

use std::collections::BTreeMap;

use phoenix_config::{Node, Problems, Value};
use phoenix_telemetry::Resource;

use crate::cli::BUILD;

/// What differs from the default resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ResourcePlan {
    /// None removes a default.
    attributes: Vec<(String, Option<String>)>,
    schema_url: String,
}

impl ResourcePlan {
    /// Reads either form: attributes inline, or a list of them under `attributes`.
    pub(super) fn read(section: &Node, problems: &mut Problems) -> ResourcePlan {
        let mut plan = ResourcePlan::default();
        if section.is_null() {
            return plan;
        }
        let Some(map) = section.as_map() else {
            problems.error("", format!("must be a map, found {}", section.describe()));
            return plan;
        };
        let is_declarative = |key: &str| {
            matches!(
                key,
                "attributes" | "schema_url" | "attributes_list" | "detection" | "detection/development"
            )
        };
        let (declarative, inline): (Vec<_>, Vec<_>) =
            map.entries().iter().partition(|entry| is_declarative(&entry.key));
        if !declarative.is_empty() && !inline.is_empty() {
            problems.error(
                "",
                format!(
                    "inline attributes ({}) and `{}` exclude each other",
                    inline.iter().map(|entry| &*entry.key).collect::<Vec<_>>().join(", "),
                    declarative[0].key
                ),
            );
            return plan;
        }
        for entry in inline {
            match (entry.value.is_null(), entry.value.as_text()) {
                (true, _) => plan.attributes.push((entry.key.to_string(), None)),
                (false, Some(text)) => plan.attributes.push((entry.key.to_string(), Some(text.to_owned()))),
                (false, None) => {
                    let found = entry.value.describe();
                    problems
                        .error(&entry.key, format!("must be text or null, found {found}: put it in quotes"));
                }
            }
        }
        for entry in declarative {
            match &*entry.key {
                "attributes" => plan.read_list(&entry.value, problems),
                "schema_url" => match (entry.value.is_null(), entry.value.as_text()) {
                    (false, None) => problems.error("schema_url", "must be text"),
                    (_, text) => plan.schema_url = text.unwrap_or_default().to_owned(),
                },
                "attributes_list" => match entry.value.as_text().map(parse_list) {
                    Some(Some(pairs)) => plan.attributes.extend(pairs),
                    _ => problems.error("attributes_list", "must be key=value pairs, separated by commas"),
                },
                key => {
                    problems.error(key, format!("`{key}` is not supported: name the attributes themselves"))
                }
            }
        }
        plan
    }

    fn read_list(&mut self, list: &Node, problems: &mut Problems) {
        let Some(items) = list.as_list() else {
            problems.error("attributes", "must be a list of {name, value}");
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let at = format!("attributes::{index}");
            for entry in item.as_map().map(|map| map.entries()).unwrap_or_default() {
                if !matches!(&*entry.key, "name" | "value" | "type") {
                    problems.error(&format!("{at}::{}", entry.key), "unknown key: name, value, type");
                }
            }
            let (name, value) =
                (item.get("name").and_then(Node::as_text), item.get("value").and_then(scalar));
            match (name.filter(|name| !name.is_empty()), value) {
                (Some(name), Some(value)) => self.attributes.push((name.to_owned(), Some(value))),
                _ => problems
                    .error(&at, "must have a `name` and a `value` that is text, a number or a boolean"),
            }
        }
    }

    /// The resource, with `instance` as its `service.instance.id` unless another one was set.
    pub(crate) fn resource(&self, instance: &str) -> Resource {
        let mut attributes = BTreeMap::from([
            ("service.name".to_owned(), BUILD.command.to_owned()),
            ("service.version".to_owned(), BUILD.version.to_owned()),
            ("service.instance.id".to_owned(), instance.to_owned()),
        ]);
        for (key, value) in &self.attributes {
            match value {
                Some(value) => attributes.insert(key.clone(), value.clone()),
                None => attributes.remove(key),
            };
        }
        Resource { attributes: attributes.into_iter().collect(), schema_url: self.schema_url.clone() }
    }
}

fn scalar(node: &Node) -> Option<String> {
    match node.plain() {
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Uint(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        _ => node.as_text().map(str::to_owned),
    }
}

fn parse_list(list: &str) -> Option<Vec<(String, Option<String>)>> {
    let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        (!key.trim().is_empty()).then(|| (key.trim().to_owned(), Some(value.trim().to_owned())))
    };
    pairs.map(pair).collect()
}
