use serde_json::json;

use super::*;

fn new(text: &str, parameters: Value) -> NewTemplate {
    let parameters = serde_json::from_value(parameters).expect("parameters");
    NewTemplate { name: "t".into(), description: String::new(), text: text.into(), parameters }
}

fn template(text: &str, parameters: Value) -> Template {
    let NewTemplate { name, description, text, parameters } = new(text, parameters);
    let created_at = String::new();
    Template { id: "tpl_1".into(), name, description, text, parameters, created_at, revision: 3 }
}

fn fields(error: Error) -> Vec<String> {
    let Error::Invalid(problems) = error else { panic!("{error}") };
    problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn values_are_put_in_and_defaults_filled_in() {
    let template = template(
        "a: '${param:host}:${param:port}' # ${param:host}\nb: ${param:on}\nc: ${param:key}\nd: ${param:every}\n",
        json!([
            {"name": "host", "type": "string"},
            {"name": "port", "type": "integer", "default": 4317, "minimum": 1, "maximum": 65535},
            {"name": "on", "type": "boolean", "default": true},
            {"name": "key", "type": "reference", "default": "${env:KEY}"},
            {"name": "every", "type": "duration", "default": "1m30s"}
        ]),
    );
    let (text, origin) =
        template.render(&BTreeMap::from([("host".into(), json!("db-1.example"))])).expect("sound");
    assert_eq!(text, "a: 'db-1.example:4317' # db-1.example\nb: true\nc: ${env:KEY}\nd: 1m30s\n");
    assert_eq!((origin.revision, &origin.values["port"]), (3, &json!(4317)));
}

#[test]
fn values_of_another_type_are_refused_at_their_fields() {
    let parameters = json!([
        {"name": "s", "type": "string"},
        {"name": "i", "type": "integer", "minimum": 1, "maximum": 9},
        {"name": "n", "type": "number"},
        {"name": "b", "type": "boolean"},
        {"name": "d", "type": "duration"},
        {"name": "r", "type": "reference"},
        {"name": "c", "type": "string", "choices": ["x", "y"]}
    ]);
    let text: String = "sinbdrc".chars().map(|name| format!("{name}: ${{param:{name}}}\n")).collect();
    let template = template(&text, parameters);
    let good = json!({"s": "a", "i": 5, "n": 0.5, "b": false, "d": "5s", "r": "${env:A}", "c": "x"});
    let values = |change: (&str, Value)| {
        let mut values: BTreeMap<String, Value> = serde_json::from_value(good.clone()).expect("a map");
        values.insert(change.0.to_owned(), change.1);
        values
    };
    assert!(template.render(&values(("s", json!("a")))).is_ok());
    for (name, value) in [
        ("s", json!("a: b")),
        ("s", json!("a:")),
        ("s", json!("a\nb: 1")),
        ("s", json!("it's")),
        ("s", json!("${env:HOME}")),
        ("s", json!("")),
        ("s", json!("~")),
        ("s", json!("null")),
        ("s", json!(5)),
        ("i", json!(10)),
        ("i", json!(1.5)),
        ("n", json!("1")),
        ("b", json!("true")),
        ("d", json!("soon")),
        ("r", json!("${yaml:x}")),
        ("r", json!("secret")),
        ("c", json!("z")),
        ("more", json!(1)),
    ] {
        let error = template.render(&values((name, value.clone()))).expect_err("another type");
        assert_eq!(fields(error), [format!("values.{name}")], "{value}");
    }
    assert_eq!(fields(template.render(&BTreeMap::new()).expect_err("none")).len(), 7);
}

#[test]
fn a_template_declares_what_it_uses_and_nothing_else() {
    for (text, parameters, field) in [
        ("a: ${param:x}", json!([]), "text"),
        ("a: 1", json!([{"name": "x", "type": "string"}]), "parameters.0.name"),
        ("${param:x y}", json!([{"name": "x y", "type": "string"}]), "parameters.0.name"),
        ("${param:x}", json!([{"name": "x", "type": "integer", "default": "1"}]), "parameters.0.default"),
        ("${param:x}", json!([{"name": "x", "type": "string", "choices": [1]}]), "parameters.0.choices"),
        ("${param:x}", json!([{"name": "x", "type": "string", "minimum": 1}]), "parameters.0.minimum"),
        (
            "${param:x}",
            json!([{"name": "x", "type": "string"}, {"name": "x", "type": "string"}]),
            "parameters.1.name",
        ),
    ] {
        assert_eq!(fields(check(&new(text, parameters)).expect_err(text)), [field], "{text}");
    }
    assert!(check(&new("a: ${param", json!([]))).is_ok(), "that is no parameter");
}
