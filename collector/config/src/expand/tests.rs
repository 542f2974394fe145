use super::{Reference, find};
use crate::{EnvProvider, Node, Provider, ProviderError, Resolved, Resolver, Retrieved, Value};

/// Knows a few texts under `t:`.
struct Texts;

impl Provider for Texts {
    fn scheme(&self) -> &str {
        "te"
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        match uri {
            "te:map" => Ok(Retrieved::yaml("a: 1\nb: [x, '${env:HOST}']\nc: '$${no}'\n")),
            "te:bad" => Ok(Retrieved::yaml("[invalid:,")),
            "te:own" => Ok(Retrieved::yaml("again: ${te:own}\n")),
            "te:lines" => Ok(Retrieved::yaml("one\ntwo\n")),
            _ => Err(ProviderError::new(format!("no text {uri}"))),
        }
    }
}

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "HOST" => "localhost",
        "PORT" => "8080",
        "PIN" => "0123",
        "EXP" => "1e3",
        "YES" => "true",
        "LIST" => "[a, b]",
        "MAP" => "{a: 1}",
        "QUOTED" => "\"quoted\"",
        "EMPTY" => "",
        "NESTED" => "${env:HOST}",
        "NAME" => "HOST",
        "LOOP" => "${env:LOOP}",
        "GROW" => "${env:GROW}${env:GROW}",
        "DOLLARS" => "a$$b",
        "MONEY" => "a$b",
        "_under_1" => "u",
        _ => return None,
    };
    Some(value.to_owned())
}

fn resolve(text: &str) -> Resolved {
    Resolver::with_environment(EnvProvider::new(variable))
        .with(Texts)
        .resolve(&[format!("yaml:{text}")], &[])
        .expect("YAML")
}

fn value(text: &str) -> Node {
    let resolved = resolve(&format!("v: {text}"));
    assert!(!resolved.problems.has_errors(), "{text}: {}", resolved.problems);
    resolved.root.get("v").expect("a value").clone()
}

#[test]
fn references_become_what_they_stand_for() {
    // (scalar, text for a field of text, parsed value)
    let text = |text: &str| Value::String(text.into());
    let cases = [
        ("${env:HOST}", "localhost", text("localhost")),
        ("${HOST}", "localhost", text("localhost")),
        ("${env:PORT}", "8080", Value::Int(8080)),
        ("${env:PIN}", "0123", Value::Int(83)),
        ("${env:EXP}", "1e3", Value::Float(1000.0)),
        ("${env:YES}", "true", Value::Bool(true)),
        ("${env:QUOTED}", "\"quoted\"", text("\"quoted\"")),
        ("${env:EMPTY}", "", Value::Null),
        ("${env:UNSET}", "", Value::Null),
        ("${env:UNSET:-}", "", text("")),
        ("${env:UNSET:-5}", "5", Value::Int(5)),
        ("${env:UNSET:-127.0.0.1:4317}", "127.0.0.1:4317", text("127.0.0.1:4317")),
        ("${env:EMPTY:-5}", "", Value::Null),
        ("${env:HOST:-5}", "localhost", text("localhost")),
        ("${env:_under_1}", "u", text("u")),
        ("${env:NESTED}", "localhost", text("localhost")),
        ("${env:${env:NAME}}", "localhost", text("localhost")),
        ("${env:UNSET:-${env:PORT}}", "8080", Value::Int(8080)),
        ("http://${env:HOST}:${PORT}/x", "http://localhost:8080/x", text("http://localhost:8080/x")),
        ("a${env:UNSET}b", "ab", text("ab")),
        ("a${env:PIN}b", "a0123b", text("a0123b")),
        ("a${env:LIST}b", "a[a, b]b", text("a[a, b]b")),
        ("$HOST", "$HOST", text("$HOST")),
        ("$1 and $$1", "$1 and $1", text("$1 and $1")),
        ("$${env:HOST}", "${env:HOST}", text("${env:HOST}")),
        ("$$${env:HOST}", "$localhost", text("$localhost")),
        ("$$$${env:HOST}", "$${env:HOST}", text("$${env:HOST}")),
        ("$${HOST} ${HOST}", "${HOST} ${HOST}", text("${HOST} ${HOST}")),
        // The first reference is replaced wherever it stands, as in otelcol.
        ("${HOST} $${HOST}", "localhost $localhost", text("localhost $localhost")),
        ("${HOST} $${PORT}", "localhost ${PORT}", text("localhost ${PORT}")),
        ("x} ${HOST}", "x} localhost", text("x} localhost")),
        ("${env:DOLLARS}", "a$b", text("a$b")),
        ("${env:MONEY}", "a$b", text("a$b")),
        ("${te:lines}", "one\ntwo\n", text("one\ntwo\n")),
        ("${te:bad}", "[invalid:,", text("[invalid:,")),
        ("${yaml:5}", "5", Value::Int(5)),
        ("${HOST", "${HOST", text("${HOST")),
    ];
    for (scalar, as_text, parsed) in cases {
        let node = value(&format!("'{scalar}'"));
        assert_eq!(node.as_text(), Some(as_text), "{scalar}");
        assert_eq!(*node.plain(), parsed, "{scalar}");
    }
}

#[test]
fn references_become_structures() {
    let node = value("'${te:map}'");
    assert_eq!(node.get("a").map(Node::value), Some(&Value::Int(1)));
    let texts = |path| node.at(&crate::KeyPath::parse(path)).and_then(Node::as_text);
    assert_eq!((texts("b::1"), texts("c")), (Some("localhost"), Some("${no}")));
    let source = node.get("a").and_then(|node| node.location().source());
    assert_eq!(source.map(crate::Source::name), Some("te:map"));
    assert_eq!(value("'${LIST}'").as_list().map(<[Node]>::len), Some(2));
    assert_eq!(value("['${PORT}']").get("0").map(Node::plain), Some(&Value::Int(8080)));
}

#[test]
fn keys_are_not_touched() {
    let resolved = resolve("{'${env:HOST}': 1, '$$x': 2}");
    assert!(resolved.root.get("${env:HOST}").is_some());
    assert!(resolved.root.get("$$x").is_some());
}

#[test]
fn failures_name_the_reference_and_keep_the_rest() {
    // (scalar, message, part of the help)
    let cases = [
        ("${UNSET:-x}", "scheme \"UNSET\" is not supported for uri \"UNSET:-x\"", "write `${env:UNSET:-x}`"),
        ("${MY_VAR:-x}", "invalid uri: \"MY_VAR:-x\"", "write `${env:MY_VAR:-x}`"),
        (
            "${vault:x}",
            "scheme \"vault\" is not supported for uri \"vault:x\"",
            "known schemes are env, file, te, yaml",
        ),
        ("${yml:x}", "scheme \"yml\" is not supported for uri \"yml:x\"", "did you mean `yaml`?"),
        (
            "${env:1X}",
            "environment variable \"1X\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$",
            "",
        ),
        ("${}", "environment variable \"\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$", ""),
        ("${te:none}", "no text te:none", ""),
        ("${LOOP}", "too many recursive expansions", ""),
        ("a${LOOP}", "too many recursive expansions", ""),
        ("${te:own}", "too many recursive expansions", ""),
        ("${te:a$b}", "the uri \"te:a$b\" contains unsupported characters ('$')", ""),
    ];
    for (scalar, message, help) in cases {
        let resolved = resolve(&format!("a: 1\nv: '{scalar}'\n"));
        let errors: Vec<_> = resolved.problems.errors().collect();
        assert_eq!(errors.len(), 1, "{scalar}");
        assert_eq!(errors[0].message, message, "{scalar}");
        assert!(errors[0].help.as_deref().unwrap_or_default().starts_with(help), "{scalar}");
        assert_eq!((errors[0].location.line(), errors[0].location.column()), (2, 4), "{scalar}");
        assert_eq!(resolved.root.get("a").map(Node::value), Some(&Value::Int(1)));
    }
}

#[test]
fn growth_is_bounded() {
    let resolved = resolve("v: ${GROW}");
    assert!(resolved.problems.has_errors());
}

#[test]
fn warns_of_what_is_not_set() {
    // (scalar, warning)
    let cases = [
        ("${env:UNSET}", "environment variable `UNSET` is not set, and there is no default"),
        ("a${UNSET}b", "environment variable `UNSET` is not set, and there is no default"),
        ("${env:EMPTY}", "environment variable `EMPTY` is empty"),
        ("$${HOST} ${HOST}", "nothing after the escaped `$${` is expanded in this text, as in otelcol"),
    ];
    for (scalar, warning) in cases {
        let resolved = resolve(&format!("v: '{scalar}'"));
        let warnings: Vec<_> = resolved.problems.warnings().map(|problem| problem.to_string()).collect();
        let expected = format!("warning: --config yaml::1:4: v: {warning}");
        assert_eq!(warnings.len(), 1, "{scalar}");
        assert!(warnings[0].starts_with(&expected), "{}", warnings[0]);
    }
}

#[test]
fn finds_the_innermost_reference_first() {
    // (text, reference)
    let cases = [
        ("${a}", Some("${a}")),
        ("x${a}y${b}", Some("${a}")),
        ("${a${b}}", Some("${b}")),
        ("}${a}", Some("${a}")),
        ("$a}", None),
        ("${a", None),
        ("$${a}", None),
        ("$$${a}", Some("${a}")),
    ];
    for (text, reference) in cases {
        let found = match find(text) {
            Reference::Found(found) => Some(found),
            _ => None,
        };
        assert_eq!(found, reference, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_resolves_or_fails(text in "(\\$|\\{|\\}|env:|HOST|GROW|te:map|:-|[a-z' ]|\\PC){0,30}") {
        let resolver = Resolver::with_environment(EnvProvider::new(variable)).with(Texts);
        let quoted = text.replace('\'', "''");
        let _ = resolver.resolve(&[format!("yaml:v: '{quoted}'")], &[]);
    }
}

/// What is not there is empty, an error, or left open.
#[test]
fn what_is_not_there_is_said_once_and_with_its_place() {
    use crate::{Missing, YamlProvider};
    let text = "yaml:v: '${env:NOT_SET}'\nw: 'a ${NOT_SET} b'\nf: ['${file:/no/such/file}']\n";
    let resolve = |missing| {
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).with(YamlProvider);
        resolver.missing(missing).resolve(&[text], &[]).expect("sources")
    };
    // (missing, errors, warnings, keys whose values are open)
    let cases = [
        (Missing::Empty, 1, 2, vec!["f"]),
        (Missing::Error, 3, 0, vec!["v", "w", "f"]),
        (Missing::Open, 0, 3, vec!["v", "w", "f"]),
    ];
    for (missing, errors, warnings, open) in cases {
        let resolved = resolve(missing);
        let report = resolved.problems.to_string();
        assert_eq!(resolved.problems.errors().count(), errors, "{missing:?}\n{report}");
        assert_eq!(resolved.problems.warnings().count(), warnings, "{missing:?}\n{report}");
        for key in ["v", "w", "f"] {
            let node = resolved.root.get(key).expect("there");
            let node = node.as_list().and_then(<[_]>::first).unwrap_or(node);
            assert_eq!(matches!(node.value(), Value::Unresolved), open.contains(&key), "{missing:?} {key}");
        }
        let place =
            "--config yaml::2:4: w: environment variable `NOT_SET` is not set, and there is no default";
        assert!(report.contains(place), "{report}");
        assert!(report.contains("help: set it, or give it a default: `${env:NOT_SET:-value}`"), "{report}");
    }
}
