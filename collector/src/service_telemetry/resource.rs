//! `service::telemetry::resource`: what own telemetry says it is about.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use phoenix_component::BuildInfo;
use phoenix_config::{Node, Problems, Value};
use phoenix_telemetry::Resource;

/// What differs from the default resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ResourceSettings {
    /// None removes a default.
    attributes: Vec<(String, Option<String>)>,
    schema_url: String,
}

impl ResourceSettings {
    /// Reads either form: attributes inline, or a list of them under `attributes`.
    pub(super) fn read(section: &Node, problems: &mut Problems) -> ResourceSettings {
        let mut plan = ResourceSettings::default();
        if section.is_null() || is_open(section) {
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
                _ if is_open(&entry.value) => {}
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
                _ if is_open(&entry.value) => {}
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
                _ if [Some(item), item.get("name"), item.get("value")].into_iter().flatten().any(is_open) => {
                }
                (Some(name), Some(value)) => self.attributes.push((name.to_owned(), Some(value))),
                _ => problems
                    .error(&at, "must have a `name` and a `value` that is text, a number or a boolean"),
            }
        }
    }

    /// Takes attributes that nothing is said of.
    pub(super) fn default_to(&mut self, attributes: &[(String, String)]) {
        for (key, value) in attributes {
            if !self.attributes.iter().any(|(known, _)| known == key) {
                self.attributes.push((key.clone(), Some(value.clone())));
            }
        }
    }

    /// The attributes, by key.
    pub(super) fn attributes(&self, build: &BuildInfo) -> Vec<(String, String)> {
        let mut all = BTreeMap::from([
            ("service.instance.id".to_owned(), INSTANCE.clone()),
            ("service.name".to_owned(), build.command.to_owned()),
            ("service.version".to_owned(), build.version.to_owned()),
        ]);
        for (key, value) in &self.attributes {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        all.into_iter().collect()
    }

    /// The attributes with their schema.
    pub(super) fn resource(&self, build: &BuildInfo) -> Resource {
        Resource { attributes: self.attributes(build), schema_url: self.schema_url.clone() }
    }
}

/// Whether a value is only known where the configuration runs.
fn is_open(node: &Node) -> bool {
    matches!(node.plain(), Value::Unresolved)
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

/// A random UUID of this process. The hasher's keys come from the system's source of randomness.
static INSTANCE: LazyLock<String> = LazyLock::new(|| {
    let (high, low) = (RandomState::new().hash_one(1_u8), RandomState::new().hash_one(2_u8));
    let bits = (u128::from(high) << 64) | u128::from(low);
    let bits = (bits & !(0xf000 << 64) & !(0xc000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
    let digits = format!("{bits:032x}");
    let mut uuid = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        let _ = write!(uuid, "{}{digit}", if matches!(index, 8 | 12 | 16 | 20) { "-" } else { "" });
    }
    uuid
});

#[cfg(test)]
mod tests {
    use phoenix_config::{EnvProvider, Missing, Resolver};

    use super::*;

    fn attributes(text: &str) -> Vec<(String, String)> {
        let node = super::super::tests::node(text);
        let mut problems = Problems::new();
        let settings = ResourceSettings::read(&node, &mut problems);
        assert!(!problems.has_errors(), "{problems}");
        let build = BuildInfo { command: "c", description: "", version: "1" };
        let all = settings.attributes(&build);
        all.into_iter().filter(|(key, _)| key != "service.instance.id").collect()
    }

    #[test]
    fn defaults_are_set_replaced_and_taken_away() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(attributes("{}"), [pair("service.name", "c"), pair("service.version", "1")]);
        let inline = "{service.name: x, service.version: null, zone: a}";
        assert_eq!(attributes(inline), [pair("service.name", "x"), pair("zone", "a")]);
        let declared = "{attributes: [{name: service.name, value: y}]}";
        assert_eq!(attributes(declared), [pair("service.name", "y"), pair("service.version", "1")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_at_its_key() {
        // (section, key, text of the report)
        let cases = [
            ("{a: 5}", "a", "must be text or null"),
            ("[a]", "", "must be a map"),
            ("{a: b, attributes: []}", "", "exclude each other"),
            ("{attributes: [{name: a}]}", "attributes::0", "must have a `name` and a `value`"),
            ("{attributes: [{name: a, value: b, kind: c}]}", "attributes::0::kind", "unknown key"),
            ("{detection/development: {}}", "detection/development", "not supported"),
        ];
        for (section, key, text) in cases {
            let mut problems = Problems::new();
            ResourceSettings::read(&super::super::tests::node(section), &mut problems);
            assert_eq!(problems.keys(), [key], "{section}");
            assert!(problems.to_string().contains(text), "{section}: {problems}");
        }
    }

    #[test]
    fn nothing_is_said_about_what_is_only_known_elsewhere() {
        let read = |section: &str| {
            let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).missing(Missing::Open);
            let resolved = resolver.resolve::<String>(&[format!("yaml:it: {section}")], &[]).expect("read");
            let mut problems = Problems::new();
            let node = resolved.root.get("it").expect("it is there");
            (ResourceSettings::read(node, &mut problems), problems.to_string())
        };
        for section in
            ["{host.name: '${env:X}'}", "{attributes: [{name: a, value: '${env:X}'}]}", "'${env:X}'"]
        {
            assert_eq!(read(section), (ResourceSettings::default(), String::new()), "{section}");
        }
    }

    #[test]
    fn the_instance_is_a_random_uuid() {
        assert_eq!((INSTANCE.len(), &INSTANCE[14..15]), (36, "4"));
        assert!("89ab".contains(&INSTANCE[19..20]));
    }
}
