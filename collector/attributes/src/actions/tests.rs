use std::net::SocketAddr;
use std::sync::Arc;

use phoenix_component::auth::Identity;
use phoenix_config::decode_text;
use phoenix_config::{Described, Settings};
use phoenix_pdata::view::{LogRecord, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::write::{put_bytes, put_message, put_uint};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(default)]
struct Section {
    actions: Vec<ActionSettings>,
}

impl Settings for Section {
    fn validate(&self, problems: &mut phoenix_config::Problems) {
        validate_actions(&self.actions, "actions", problems);
    }
}

fn actions(list: &Value) -> Actions {
    let section = decode_text::<Section>(&json!({"actions": list}).to_string()).expect("valid");
    Actions::new(&section.actions).expect("valid")
}

/// A message with a log record that has these attributes, and something before, between and after.
fn message(attributes: &[(String, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 2, |out| {
        put_uint(out, 2, 9);
        for (index, (key, value)) in attributes.iter().enumerate() {
            put_message(out, 6, |out| {
                put_bytes(out, 1, key.as_bytes());
                put_bytes(out, 2, &Literal::from(value.clone()).encoded());
            });
            if index == 1 {
                put_bytes(out, 3, b"INFO");
            }
        }
        put_bytes(out, 99, b"unknown");
    });
    out
}

fn run(actions: &Actions, message: &[u8], client: Option<&ClientInfo>) -> Option<Vec<u8>> {
    let mut rewriter = Rewriter::new(message);
    let mut list = List::default();
    for field in Fields::new(message) {
        actions.apply(&mut list, &mut rewriter, &field, 6, client);
    }
    rewriter.finish()
}

fn read(message: &[u8]) -> Vec<(String, Value)> {
    let value = |value: AnyValue<'_>| match value {
        AnyValue::String(text) => json!(text.to_string()),
        AnyValue::Bool(value) => json!(value),
        AnyValue::Int(value) => json!(value),
        AnyValue::Double(value) => json!(value),
        AnyValue::Empty => Value::Null,
        other => serde_json::from_slice(&crate::as_text(&other)).expect("JSON"),
    };
    let field = Fields::new(message).next().expect("a record");
    let record = LogRecord::new(field.body);
    assert_eq!(record.severity_number(), 9, "the rest is as it was");
    assert!(Fields::new(field.body).any(|field| field.is_len(99) && field.body == b"unknown"));
    record.attributes().iter().map(|entry| (entry.key().to_string(), value(entry.value()))).collect()
}

fn attributes(value: Value) -> Vec<(String, Value)> {
    let pairs = value.as_array().cloned().unwrap_or_default();
    pairs.into_iter().map(|pair| (pair[0].as_str().unwrap_or_default().to_owned(), pair[1].clone())).collect()
}

#[test]
fn each_action_sees_what_the_ones_before_did() {
    let before = json!([["a", "x1"], ["b", 2], ["c", true], ["d", 4.5], ["e", {"f": [1]}]]);
    // (actions, attributes afterwards; null where nothing changes)
    let cases = [
        (json!([{"key": "a", "value": "y", "action": "insert"}]), json!(null)),
        (json!([{"key": "z", "value": "y", "action": "UPDATE"}]), json!(null)),
        (json!([{"key": "z", "from_attribute": "y", "action": "upsert"}]), json!(null)),
        (json!([{"key": "z", "from_context": "x-tenant", "action": "upsert"}]), json!(null)),
        (
            json!([{"key": "c", "action": "convert", "converted_type": "string"}]),
            json!([["a", "x1"], ["b", 2], ["c", "true"], ["d", 4.5], ["e", {"f": [1]}]]),
        ),
        (json!([{"key": "b", "action": "convert", "converted_type": "int"}]), json!(null)),
        (
            json!([{"key": "z", "value": {"k": [1, null]}, "action": "insert"}]),
            json!([["a", "x1"], ["b", 2], ["c", true], ["d", 4.5], ["e", {"f": [1]}], ["z", {"k": [1, null]}]]),
        ),
        (
            json!([{"key": "z", "from_attribute": "y", "default_value": 7, "action": "insert"}, {"key": "y", "from_attribute": "z", "action": "insert"}]),
            json!([["a", "x1"], ["b", 2], ["c", true], ["d", 4.5], ["e", {"f": [1]}], ["z", 7], ["y", 7]]),
        ),
        (
            json!([{"key": "a", "action": "delete"}]),
            json!([["e", {"f": [1]}], ["b", 2], ["c", true], ["d", 4.5]]),
        ),
        (
            json!([{"pattern": "^[ab]$", "action": "delete"}]),
            json!([["c", true], ["d", 4.5], ["e", {"f": [1]}]]),
        ),
        (json!([{"pattern": "z", "action": "delete"}]), json!(null)),
        (
            json!([{"key": "a", "pattern": "(?P<b>x)(?P<n>.)", "action": "extract"}]),
            json!([["a", "x1"], ["b", "x"], ["c", true], ["d", 4.5], ["e", {"f": [1]}], ["n", "1"]]),
        ),
        // Of groups with one name the last counts.
        (
            json!([{"key": "a", "pattern": "(?P<n>x)(?P<n>.)", "action": "extract"}]),
            json!([["a", "x1"], ["b", 2], ["c", true], ["d", 4.5], ["e", {"f": [1]}], ["n", "1"]]),
        ),
        (json!([{"key": "b", "pattern": "(?P<n>.)", "action": "extract"}]), json!(null)),
        (
            json!([{"key": "z", "value": 1, "action": "insert"}, {"key": "z", "action": "delete"}, {"key": "b", "value": 3, "action": "update"}]),
            json!([["a", "x1"], ["b", 3], ["c", true], ["d", 4.5], ["e", {"f": [1]}]]),
        ),
    ];
    let message = message(&attributes(before));
    for (list, after) in cases {
        let result = run(&actions(&list), &message, None);
        let expected = (!after.is_null()).then(|| attributes(after));
        assert_eq!(result.as_deref().map(read), expected, "{list}");
    }
}

#[test]
fn the_request_is_a_source() {
    let client = ClientInfo {
        address: Some(SocketAddr::from(([10, 0, 0, 7], 4317))),
        metadata: vec![("x-tenant".into(), "a".into()), ("x-tenant".into(), "b".into())],
        auth: Some(Arc::new(Identity::new(vec![
            ("subject".into(), json!("ann")),
            ("membership".into(), json!(["x", "y"])),
            ("level".into(), json!(7)),
        ]))),
    };
    let insert = |from: &str| actions(&json!([{"key": "v", "from_context": from, "action": "insert"}]));
    let cases = [
        ("metadata.X-Tenant", Some("a;b")),
        ("x-tenant", Some("a;b")),
        ("client.address", Some("10.0.0.7")),
        ("metadata.none", None),
        ("auth.subject", Some("ann")),
        ("auth.claims.membership", Some("x;y")),
        ("auth.level", None),
        ("auth.none", None),
    ];
    let message = message(&[]);
    for (from, expected) in cases {
        let result = run(&insert(from), &message, Some(&client)).map(|result| read(&result));
        let expected = expected.map(|text| vec![("v".to_owned(), json!(text))]);
        assert_eq!(result, expected, "{from}");
    }
    let unknown = run(&insert("client.address"), &message, None).map(|result| read(&result));
    assert_eq!(unknown, Some(vec![("v".to_owned(), json!(""))]), "as in otelcol");
}

#[test]
fn bad_settings_are_named() {
    // (action, the key that the error names)
    let cases = [
        (json!({"key": "a"}), "action"),
        (json!({"key": "a", "action": "rename"}), "action"),
        (json!({"action": "insert", "value": 1}), "key"),
        (json!({"action": "delete"}), "key"),
        (json!({"key": "a", "action": "insert"}), "value"),
        (json!({"key": "a", "action": "insert", "value": 1, "from_attribute": "b"}), "from_attribute"),
        (json!({"key": "a", "action": "insert", "value": 1, "pattern": "b"}), "pattern"),
        (json!({"key": "a", "action": "delete", "value": 1}), "value"),
        (json!({"key": "a", "action": "delete", "default_value": 1}), "default_value"),
        (json!({"pattern": "(", "action": "hash"}), "pattern"),
        (json!({"key": "a", "action": "extract"}), "pattern"),
        (json!({"key": "a", "action": "extract", "pattern": "a"}), "pattern"),
        (json!({"key": "a", "action": "extract", "pattern": "(?P<n>a)(b)"}), "pattern"),
        (json!({"key": "a", "action": "convert"}), "converted_type"),
        (json!({"key": "a", "action": "convert", "converted_type": "bool"}), "converted_type"),
        (json!({"key": "a", "action": "delete", "converted_type": "int"}), "converted_type"),
        (json!({"key": "a", "action": "delete", "keys": "b"}), "keys"),
    ];
    for (action, key) in cases {
        let report = decode_text::<Section>(&json!({"actions": [action]}).to_string()).expect_err(key);
        assert_eq!(report.keys(), [format!("actions::0::{key}")], "{action}: {report}");
    }
    let report = decode_text::<Section>("{actions: []}").expect_err("nothing to do");
    assert_eq!(report.keys(), ["actions"]);
}

/// The same on decoded attributes.
fn naive(list: &Value, mut attributes: Vec<(String, Value)>) -> Vec<(String, Value)> {
    for action in list.as_array().expect("a list") {
        let key = action["key"].as_str().unwrap_or_default();
        let place = attributes.iter().position(|(known, _)| known == key);
        let from = action["from_attribute"].as_str();
        let source = match from {
            Some(from) => attributes.iter().find(|(known, _)| known == from).map(|(_, value)| value.clone()),
            None => Some(action["value"].clone()),
        };
        match (action["action"].as_str().expect("an action"), place, source) {
            ("insert" | "upsert", None, Some(value)) => attributes.push((key.to_owned(), value)),
            ("update" | "upsert", Some(index), Some(value)) => attributes[index].1 = value,
            ("delete", place, _) => {
                if let Some(index) = place {
                    attributes.swap_remove(index);
                }
                if action["pattern"].is_string() {
                    attributes.retain(|(key, _)| !key.contains(['b', 'c']));
                }
            }
            _ => {}
        }
    }
    attributes
}

fn key() -> impl Strategy<Value = String> {
    "[a-e]"
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>().prop_map(Value::from), ".{0,150}".prop_map(Value::from), Just(json!(true))]
}

fn action() -> impl Strategy<Value = Value> {
    let set = prop_oneof![Just("insert"), Just("update"), Just("upsert")];
    prop_oneof![
        (key(), value(), set.clone())
            .prop_map(|(key, value, action)| json!({"key": key, "value": value, "action": action})),
        (key(), key(), set)
            .prop_map(|(key, from, action)| json!({"key": key, "from_attribute": from, "action": action})),
        key().prop_map(|key| json!({"key": key, "action": "delete"})),
        key().prop_map(|key| json!({"key": key, "pattern": "[bc]", "action": "delete"})),
    ]
}

proptest! {
    #[test]
    fn equals_the_same_on_decoded_attributes(
        before in prop::collection::btree_map(key(), value(), 0..5),
        list in prop::collection::vec(action(), 1..6),
    ) {
        let before: Vec<_> = before.into_iter().collect();
        let list = Value::from(list);
        let message = message(&before);
        let result = run(&actions(&list), &message, None);
        prop_assert_eq!(read(result.as_deref().unwrap_or(&message)), naive(&list, before));
    }
}
