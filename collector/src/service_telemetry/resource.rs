//! `service::telemetry::resource`: what own telemetry is about.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use phoenix_component::BuildInfo;
use phoenix_config::{Node, Problems};
use serde::Deserialize;

/// Attributes that are set, or (without a value) taken away, over the defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ResourceSettings {
    changes: BTreeMap<String, Option<String>>,
}

/// The declarative form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    #[serde(default)]
    attributes: Vec<Attribute>,
    #[serde(default, rename = "schema_url")]
    _schema_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    name: String,
    value: String,
}

impl ResourceSettings {
    /// Reads either form: `key: value`, where null takes a default away, or `attributes: [{name, value}]`.
    pub(super) fn read(node: &Node, problems: &mut Problems) -> ResourceSettings {
        let is_declared = node.get("attributes").is_some_and(|attributes| attributes.as_list().is_some());
        let changes = if is_declared {
            let declared = phoenix_config::decode::<Declared>(node, problems);
            let attributes = declared.map(|declared| declared.attributes).unwrap_or_default();
            attributes.into_iter().map(|attribute| (attribute.name, Some(attribute.value))).collect()
        } else {
            phoenix_config::decode(node, problems).unwrap_or_default()
        };
        ResourceSettings { changes }
    }

    /// The attributes, by key.
    pub(super) fn attributes(&self, build: &BuildInfo) -> Vec<(String, String)> {
        let mut all = BTreeMap::from([
            ("service.instance.id".to_owned(), INSTANCE.clone()),
            ("service.name".to_owned(), build.command.to_owned()),
            ("service.version".to_owned(), build.version.to_owned()),
        ]);
        for (key, value) in &self.changes {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        all.into_iter().collect()
    }
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
    fn the_instance_is_a_random_uuid() {
        assert_eq!((INSTANCE.len(), &INSTANCE[14..15]), (36, "4"));
        assert!("89ab".contains(&INSTANCE[19..20]));
    }
}
