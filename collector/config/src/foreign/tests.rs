use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{KeyPath, Problems, Secrets, Settings, decode_checked, decode_text, parse_yaml, to_yaml};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, default)]
struct Part {
    name: String,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    small: u32,
    #[serde(skip)]
    foreign: Option<Foreign>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Small,
}

struct Own;

impl<'de> DeserializeSeed<'de> for Own {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        Part::deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Part, D::Error> {
        let (part, foreign) = read_with_foreign(deserializer, |word| word == "small", Own)?;
        Ok(Part { foreign, ..part })
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Whole {
    parts: Vec<Part>,
}

impl Settings for Whole {}

#[test]
fn a_word_that_is_a_key_too_has_settings_of_somebody_elses() {
    let text = "
parts:
  - {name: a, type: small, small: 3}
  - name: b
    acme/x: {list: [1, two], of: {depth: true}}
    type: acme/x
    small: 4
  - {type: acme, acme: }";
    let whole: Whole = decode_text(text).expect("settings");
    let foreign = |kind: &str, settings| Some(Foreign { kind: kind.into(), settings });
    let settings = json!({"list": [1, "two"], "of": {"depth": true}});
    let expected = [
        Part { name: "a".into(), kind: Some(Kind::Small), small: 3, foreign: None },
        Part { name: "b".into(), kind: None, small: 4, foreign: foreign("acme/x", settings) },
        Part { foreign: foreign("acme", Value::Null), ..Part::default() },
    ];
    assert_eq!(whole.parts, expected);
    assert_eq!(serde_json::from_value::<Part>(json!({"small": 2})).expect("a part").small, 2);
}

#[test]
fn they_are_not_shown() {
    let node =
        parse_yaml("settings", "parts: [{type: acme, acme: {token: t0p}}, {type: small}]").expect("YAML");
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    let whole: Whole = decode_checked(&node, &mut problems).expect("settings");
    assert!(!format!("{whole:?}").contains("t0p"));
    let printed = to_yaml(&node, problems.readings(), Secrets::Hidden);
    assert!(printed.contains("acme") && !printed.contains("t0p"), "{printed}");
    assert!(printed.contains("small"), "{printed}");
}

#[test]
fn mistakes_are_where_they_are_without_it() {
    // (part, the keys that are named)
    let cases: [(&str, &[&str]); 6] = [
        ("{type: smal, small: 3}", &["parts::0::type"]),
        ("{type: acme}", &["parts::0::type"]),
        ("{type: acme, acme: {}, acmes: {}}", &["parts::0::acmes"]),
        ("{type: small, acme: {}}", &["parts::0::acme"]),
        ("{acme: {}, small: x}", &["parts::0::acme", "parts::0::small"]),
        ("{type: acme, acme: {}, small: x, nome: y}", &["parts::0::nome", "parts::0::small"]),
    ];
    for (part, expected) in cases {
        let found = decode_text::<Whole>(&format!("{{parts: [{part}]}}")).expect_err(part);
        let mut keys = found.keys();
        keys.sort_unstable();
        assert_eq!(keys, expected, "{part}: {found}");
    }
}
