use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<Node, String> {
    let source = Source::quotable("x.yaml", text);
    parse(text, &source).map(|parsed| parsed.node).map_err(|error| format!("{}: {error}", error.location))
}

fn child<'a>(node: &'a Node, path: &str) -> &'a Value {
    node.at(&crate::KeyPath::parse(path)).expect(path).value()
}

#[test]
fn scalars_are_what_go_yaml_makes_of_them() {
    let text = |text: &str| Value::String(text.into());
    // (scalar, value)
    let cases = [
        ("", Value::Null),
        ("~", Value::Null),
        ("null", Value::Null),
        ("Null", Value::Null),
        ("nUll", text("nUll")),
        ("true", Value::Bool(true)),
        ("FALSE", Value::Bool(false)),
        ("yes", text("yes")),
        ("on", text("on")),
        ("y", text("y")),
        ("5", Value::Int(5)),
        ("-5", Value::Int(-5)),
        ("+5", Value::Int(5)),
        ("1_000", Value::Int(1000)),
        ("0x1F", Value::Int(31)),
        ("-0x10", Value::Int(-16)),
        ("0o17", Value::Int(15)),
        ("0b101", Value::Int(5)),
        ("0123", Value::Int(83)),
        ("08", Value::Float(8.0)),
        ("0", Value::Int(0)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("9223372036854775808", Value::Uint(1 << 63)),
        ("18446744073709551616", Value::Float(18446744073709551616.0)),
        ("1.5", Value::Float(1.5)),
        ("1.", Value::Float(1.0)),
        (".5", Value::Float(0.5)),
        (".5_0", Value::Float(0.5)),
        ("1_0.5", Value::Float(10.5)),
        ("1e3", Value::Float(1000.0)),
        ("1e400", text("1e400")),
        (".", text(".")),
        ("-", text("-")),
        ("+", text("+")),
        ("--5", text("--5")),
        ("0x", text("0x")),
        ("0x-5", text("0x-5")),
        ("1.2.3", text("1.2.3")),
        ("5s", text("5s")),
        (".inf", Value::Float(f64::INFINITY)),
        ("-.INF", Value::Float(f64::NEG_INFINITY)),
        ("127.0.0.1:4317", text("127.0.0.1:4317")),
        ("2024-01-02", text("2024-01-02")),
    ];
    for (written, value) in cases {
        assert_eq!(scalar::resolve(written), value, "{written}");
    }
    assert!(matches!(scalar::resolve(".nan"), Value::Float(value) if value.is_nan()));
}

#[test]
fn quotes_and_tags_make_text() {
    let node = read("a: '5'\nb: \"true\"\nc: !!str 5\nd: !own 5\ne: |\n  5\nf: !!float 5\n").expect("YAML");
    let cases = [("a", "5"), ("b", "true"), ("c", "5"), ("d", "5"), ("e", "5\n")];
    for (key, text) in cases {
        assert_eq!(*child(&node, key), Value::String(text.into()), "{key}");
    }
    assert_eq!(*child(&node, "f"), Value::Float(5.0));
}

#[test]
fn keys_are_text() {
    let node = read("{1: a, 0x10: b, '0x10': c, True: d, 1.50: e, ~: f, on: g}").expect("YAML");
    // (key, value)
    let cases =
        [("1", "a"), ("16", "b"), ("0x10", "c"), ("true", "d"), ("1.5", "e"), ("<nil>", "f"), ("on", "g")];
    for (key, value) in cases {
        assert_eq!(node.get(key).and_then(Node::as_text), Some(value), "{key}");
    }
}

#[test]
fn aliases_and_merges() {
    let node = read(
        "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\n\
         one: {<<: *base, b: 9}\nboth: {<<: [*base, *other]}\nalias: *base\nlast: {b: 9, <<: *base}\n",
    )
    .expect("YAML");
    // (path, value)
    let cases = [
        ("one::a", 1),
        ("one::b", 9),
        ("both::a", 1),
        ("both::b", 2),
        ("both::c", 4),
        ("alias::b", 2),
        ("last::b", 9),
        ("last::a", 1),
    ];
    for (path, value) in cases {
        assert_eq!(*child(&node, path), Value::Int(value), "{path}");
    }
    assert_eq!(node.get("alias"), node.get("base"));
}

#[test]
fn refuses_with_a_place() {
    let deep = format!("{}{}", "[".repeat(150), "]".repeat(150));
    let mut laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (this, last) in ('b'..='i').zip('a'..) {
        laughs += &format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 10].join(","));
    }
    // (text, start of the message)
    let cases = [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: key `a` is written twice in this map, first at line 1"),
        ("a: {b: 1, 'b': 2}\n", "x.yaml:1:11: key `b` is written twice"),
        ("a: &a [*a]\n", "x.yaml:1:8: "),
        ("a: *nope\n", "x.yaml:1:"),
        ("[a]: 1\n", "x.yaml:1:1: a key must be text"),
        ("? {a: 1}\n: 1\n", "x.yaml:1:3: a key must be text"),
        ("a: {<<: 5}\n", "x.yaml:1:5: `<<` wants a map"),
        ("a: [\n", "x.yaml:"),
        ("receivers: {otlp: \n  x: [\n", "x.yaml:"),
        ("a: !!int five\n", "x.yaml:1:"),
        ("a: 1\n\tb: 2\n", "x.yaml:1:4: not valid YAML: "),
        (&deep, "x.yaml:1:101: nested deeper"),
        (&laughs, "x.yaml:6:"),
    ];
    for (text, message) in cases {
        let error = read(text).expect_err(text);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn knows_places() {
    let node = read("a:\n  b: 1\n  c:\n    - x\n    - {d: yes}\n").expect("YAML");
    // (path, line, column)
    let cases = [("a::b", 2, 6), ("a::c::0", 4, 7), ("a::c::1::d", 5, 11)];
    for (path, line, column) in cases {
        let location = node.at(&crate::KeyPath::parse(path)).expect(path).location();
        assert_eq!((location.line(), location.column()), (line, column), "{path}");
    }
}

#[test]
fn only_the_first_document_counts() {
    for text in ["a: 1\n---\nb: 2\n", "---\na: 1\n...\n---\n[\n"] {
        let parsed = parse(text, &Source::private("x")).expect(text);
        assert_eq!(*child(&parsed.node, "a"), Value::Int(1), "{text}");
        assert!(parsed.more_documents, "{text}");
    }
    for text in ["", "# nothing\n", "---\n", "\u{feff}"] {
        assert!(read(text).expect("YAML").is_null(), "{text:?}");
    }
}

#[test]
fn equality_is_of_values() {
    let a = read("a: 1\nb: {c: [x, 2.5]}\n").expect("YAML");
    let b = read("\n\nb:\n  c:\n    - x\n    - 2.5\na: 1\n").expect("YAML");
    assert_eq!(a, b);
    assert_ne!(a, read("a: 1\nb: {c: [2.5, x]}\n").expect("YAML"));
    assert_ne!(a, read("a: '1'\nb: {c: [x, 2.5]}\n").expect("YAML"));
}

proptest! {
    #[test]
    fn any_text_gives_a_value_or_an_error(text in "\\PC*") {
        let _ = read(&text);
    }

    #[test]
    fn anything_that_looks_like_yaml_gives_a_value_or_an_error(
        text in "([-a?:,\\[\\]{}#&*!|>'\"%@` \n\t\r~<0x.$\u{feff}\u{85}]|: |- |\\? |<<: |&a |\\*a |---\n|\\.\\.\\.\n|!!int |%TAG ){0,60}"
    ) {
        let _ = read(&text);
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&String::from_utf8_lossy(&bytes));
    }
}
