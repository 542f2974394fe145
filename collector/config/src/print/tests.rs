use super::*;
use crate::source::Source;
use crate::yaml;
use proptest::prelude::*;

fn read(text: &str) -> Node {
    yaml::parse(text, &Source::quotable("x.yaml", text)).expect(text).node
}

#[test]
fn yaml_is_indented_as_go_yaml_does() {
    let node = read(
        "b: {c: [1, {d: x, e: [w]}, [z]], f: {}, g: []}\na: [~, true, 1.5, 1e3, .inf, '5', 'yes', '', \" a\", \"x: y\", \"l\\nm\", '#', '- x', '*a']\n\
         'on': x\nurl: http://x:1/y\nid: otlp/a\n",
    );
    let expected = "\
b:
    c:
        - 1
        - d: x
          e:
            - w
        - - z
    f: {}
    g: []
a:
    - null
    - true
    - 1.5
    - 1000.0
    - .inf
    - \"5\"
    - \"yes\"
    - \"\"
    - \" a\"
    - \"x: y\"
    - \"l\\nm\"
    - \"#\"
    - \"- x\"
    - \"*a\"
\"on\": x
url: http://x:1/y
id: otlp/a
";
    assert_eq!(to_yaml(&node, &Readings::default(), Secrets::Hidden), expected);
    assert_eq!(read(expected), node);
}

#[test]
fn json_keeps_the_order() {
    let node = read("b: {c: [1, x], d: {}}\na: .nan\n");
    let expected = "{\n  \"b\": {\n    \"c\": [\n      1,\n      \"x\"\n    ],\n    \"d\": {}\n  },\n  \"a\": \".nan\"\n}\n";
    assert_eq!(to_json(&node, &Readings::default(), Secrets::Hidden), expected);
}

#[test]
fn secrets_and_texts_are_printed_as_they_were_read() {
    use crate::node::Expanded;
    use std::sync::Arc;
    let expanded = Value::Expanded(Arc::new(Expanded { value: Value::Int(83), text: "0123".into() }));
    let location = crate::source::Location::nowhere();
    let entry = |key: &str| Entry {
        key: key.into(),
        key_location: location.clone(),
        value: Node::new(expanded.clone(), location.clone()),
    };
    let entries = ["number", "text", "secret"].map(entry).to_vec();
    let node = Node::new(Value::Map(crate::node::Map::new(entries)), location.clone());
    let readings = Readings {
        secrets: vec![KeyPath::parse("secret")],
        texts: vec![KeyPath::parse("text"), KeyPath::parse("secret")],
        places: vec![],
        ..Readings::default()
    };
    let hidden = "number: 83\ntext: \"0123\"\nsecret: \"[REDACTED]\"\n";
    assert_eq!(to_yaml(&node, &readings, Secrets::Hidden), hidden);
    assert_eq!(to_yaml(&node, &readings, Secrets::Shown), hidden.replace("[REDACTED]", "0123"));
}

proptest! {
    #[test]
    fn any_text_survives(text in "([-a?:,\\[\\]{}#&*!|>'\"%@` \n\t0x.$~=]|\\PC){0,12}", key in "([-a?:,#&*!|>'\" 0.~]|\\PC){0,6}") {
        let location = crate::source::Location::nowhere();
        let value = Node::new(Value::String(text.as_str().into()), location.clone());
        let entry = Entry { key: key.as_str().into(), key_location: location.clone(), value: value.clone() };
        let list = Node::new(Value::List(std::sync::Arc::new(vec![value])), location.clone());
        let other = Entry { key: "a list".into(), key_location: location.clone(), value: list };
        let node = Node::new(Value::Map(crate::node::Map::new(vec![entry, other])), location);
        let printed = to_yaml(&node, &Readings::default(), Secrets::Shown);
        prop_assert_eq!(read(&printed), node, "{}", printed);
    }
}
