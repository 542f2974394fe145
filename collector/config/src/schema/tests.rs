use serde::Deserialize;
use serde_json::json;

use super::{ComponentShape, Document, Page, Shape, reference_page};
use crate::{Block, Described, GoDuration, Kind, Opaque, PresentBlock};

/// Settings of an example.
///
/// A second paragraph.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct Example {
    /// Where to.
    #[described(required)]
    endpoint: String,
    /// How long,
    /// at most.
    timeout: GoDuration,
    /// How many.
    #[serde(alias = "number")]
    #[described(min = 1, max = 5)]
    count: u32,
    /// How loud.
    loudness: Loudness,
    /// A key.
    token: Opaque,
    /// Not offered.
    #[described(unsupported = "there is none")]
    proxy: String,
    /// A block.
    inner: Block<Inner>,
    /// Another.
    present: PresentBlock<Inner>,
    /// Rules.
    rules: Vec<Rule>,
    #[serde(rename = "type")]
    #[described(words("a", "b"))]
    kind: String,
}

impl Default for Example {
    fn default() -> Example {
        Example {
            endpoint: String::new(),
            timeout: GoDuration::from_secs(5),
            count: 3,
            loudness: Loudness::Soft,
            token: Opaque::new("never shown"),
            proxy: String::new(),
            inner: Block::on(Inner::default()),
            present: PresentBlock::off(),
            rules: Vec::new(),
            kind: "a".into(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
enum Loudness {
    /// Hardly heard.
    #[default]
    Soft,
    /// Heard.
    #[serde(alias = "LOUD")]
    VeryLoud,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct Inner {
    /// Its size.
    size: u16,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum Rule {
    /// Keeps.
    Keep { share: f64 },
    /// Drops.
    Drop,
}

fn schema() -> serde_json::Value {
    let component = ComponentShape {
        kind: Kind::Exporter,
        name: "example",
        aliases: vec!["sample"],
        shape: Example::shape(),
    };
    let document = Document { components: vec![component], ignored: Vec::new(), telemetry: Shape::Any };
    document.to_json()
}

#[test]
fn types_say_what_they_take() {
    let schema = schema();
    let keys = &schema["$defs"]["Example"]["properties"];
    assert_eq!(keys["endpoint"], json!({"type": "string", "description": "Where to."}));
    assert_eq!(schema["$defs"]["Example"]["required"], json!(["endpoint"]));
    assert_eq!(schema["$defs"]["Example"]["additionalProperties"], json!(false));
    assert_eq!(keys["timeout"]["default"], json!("5s"));
    assert_eq!(keys["timeout"]["description"], json!("How long, at most."));
    assert_eq!(keys["count"]["anyOf"][0], json!({"type": "integer", "minimum": 1, "maximum": 5}));
    assert_eq!((&keys["count"]["default"], &keys["number"]["deprecated"]), (&json!(3), &json!(true)));
    assert_eq!(keys["loudness"]["default"], json!("soft"));
    assert_eq!(keys["loudness"]["anyOf"][0]["oneOf"][1]["const"], json!("very_loud"));
    assert_eq!(keys["token"]["writeOnly"], json!(true));
    assert!(!schema.to_string().contains("never shown\"}"), "{schema}");
    assert!(keys["token"].get("default").is_none());
    assert_eq!(keys["proxy"]["enum"], json!(["", null]));
    assert_eq!(keys["proxy"]["x-phoenix-unsupported"], json!("there is none"));
    assert_eq!(keys["inner"]["default"], json!({"size": 0}));
    assert!(keys["present"].get("default").is_none());
    assert!(schema["$defs"]["Inner.block"]["properties"].get("enabled").is_some());
    assert_eq!(keys["type"]["anyOf"][0], json!({"enum": ["a", "b"]}));
    assert_eq!(schema["$defs"]["Rule"]["oneOf"][0]["required"], json!(["action", "share"]));
    let exporters = &schema["properties"]["exporters"]["anyOf"][0]["patternProperties"];
    assert_eq!(exporters["^\\s*sample\\s*(/.+)?$"]["deprecated"], json!(true));
}

#[test]
fn a_page_lists_every_key_once() {
    let page = Page { title: "`example` exporter".into(), ..Page::default() };
    let text = reference_page(&page, &Example::shape());
    for row in [
        "| `endpoint` | string | required | Where to. |",
        "| `timeout` | duration | `5s` | How long, at most. |",
        "| `count` | integer, 1 to 5 | `3` | How many. Also `number`, which is deprecated. |",
        "| `loudness` | `soft`, `very_loud` | `soft` | How loud.<br>`soft`: Hardly heard.<br>`very_loud`: Heard. |",
        "| `token` | secret string |  | A key. |",
        "| `proxy` | – | `\"\"` | Not offered. Not supported: there is none. |",
        "| [`inner`](#inner) | block | on | A block. |",
        "| [`present`](#present) | block | off | Another. |",
        "### `present`\n",
        "| `enabled` | boolean | | `false` turns the block off. |\n| `size` | integer, 0 to 65535 | `0` | Its size. |",
        "**`action: keep`** Keeps.",
        "Settings of an example.\n\nA second paragraph.",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}

#[test]
fn unknown_keys_are_found_wherever_they_belong() {
    use crate::{KeyPath, Problems, decode, parse_yaml};
    // (settings, help)
    let cases = [
        ("{endpoint: x, size: 5}", "`size` is a key of `inner` and `present`, not of this level"),
        (
            "{endpoint: x, inner: {timeout: 5s}}",
            "`timeout` is a key of the top of this component, not of this level",
        ),
        ("{endpoint: x, inner: {sise: 5}}", "did you mean `size`?"),
        ("{endpoint: x, inner: {zzz: 5}}", "known keys are `size`, `enabled`"),
    ];
    for (settings, help) in cases {
        let node = parse_yaml("settings", settings).expect("YAML");
        let mut problems = Problems::in_section(KeyPath::parse("exporters::example"), &node, node.location());
        assert!(decode::<Example>(&node, &mut problems).is_none());
        problems.explain_unknown_keys(&Example::shape());
        let found = problems.errors().next().and_then(|problem| problem.help.clone());
        assert_eq!(found.as_deref(), Some(help), "{settings}");
    }
}

#[test]
fn durations_are_written_as_people_do() {
    for (seconds, text) in
        [(0, "0s"), (90, "1m30s"), (300, "5m"), (3600, "1h"), (5400, "1h30m"), (3601, "1h0m1s")]
    {
        assert_eq!(GoDuration::from_secs(seconds).written(), Some(text.into()));
    }
}
