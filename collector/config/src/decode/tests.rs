use super::*;
use crate::{
    Block, ComponentId, EnvProvider, GoDuration, KeyPath, Node, Opaque, OpaqueMap, PresentBlock, Resolver,
};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Example {
    name: String,
    count: u32,
    ratio: f64,
    offset: i64,
    on: bool,
    timeout: GoDuration,
    tags: Vec<String>,
    level: Level,
    id: Option<ComponentId>,
    text: Option<String>,
    secret: Opaque,
    headers: OpaqueMap,
    labels: BTreeMap<String, String>,
    inner: Inner,
    inners: Vec<Inner>,
    named: BTreeMap<String, Inner>,
    tls: Block<Inner>,
    grpc: PresentBlock<Inner>,
    queue: Block<Inner>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Basic,
    #[default]
    Normal,
    Detailed,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inner {
    endpoint: String,
    size: u16,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner { endpoint: "localhost".into(), size: 7 }
    }
}

impl Default for Example {
    fn default() -> Example {
        Example {
            name: "default".into(),
            count: 5,
            ratio: 0.5,
            offset: -1,
            on: true,
            timeout: GoDuration::from_secs(1),
            tags: vec!["t".into()],
            level: Level::Normal,
            id: None,
            text: None,
            secret: Opaque::default(),
            headers: OpaqueMap::default(),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            inner: Inner::default(),
            inners: vec![],
            named: BTreeMap::new(),
            tls: Block::off(),
            grpc: PresentBlock::off(),
            queue: Block::on(Inner::default()),
        }
    }
}

impl Settings for Example {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.name.is_empty(), "name", "must not be empty");
        problems.require(self.count <= 100, "count", "must be at most 100");
        problems.require(f64::from(self.count) >= self.ratio, "ratio", "must be at most `count`");
    }
}

fn section(text: &str) -> Node {
    let environment = EnvProvider::new(|name| match name {
        "NUMBER" => Some("0123".into()),
        "TRUE" => Some("true".into()),
        "LIST" => Some("[a, b]".into()),
        "COMMAS" => Some("a,b".into()),
        "SECOND" => Some("1s".into()),
        "SECRET" => Some("s3cr3t".into()),
        _ => None,
    });
    let resolved = Resolver::with_environment(environment).resolve(&[format!("yaml:{text}")], &[]);
    resolved.expect("YAML").root.get("x").expect("a section").clone()
}

fn read(settings: &str) -> (Option<Example>, Problems) {
    let node = section(&format!("x: {settings}"));
    let mut problems = Problems::in_section(KeyPath::parse("processors::x"), &node, node.location());
    let example = decode(&node, &mut problems);
    (example, problems)
}

#[track_caller]
fn reads(settings: &str, change: impl FnOnce(&mut Example)) {
    let (example, problems) = read(settings);
    let mut expected = Example::default();
    change(&mut expected);
    assert_eq!(example, Some(expected), "{settings}\n{problems}");
}

fn inner(endpoint: &str, size: u16) -> Inner {
    Inner { endpoint: endpoint.into(), size }
}

#[test]
fn nothing_and_null_keep_defaults() {
    for settings in [
        "",
        "{}",
        "{tags: , level: , labels: ~, inner: , inners: null, headers: }",
        "{id: , text: , secret: , named: , tls: , queue: }",
    ] {
        reads(settings, |_| {});
    }
    // A scalar that is null is zero, as in otelcol.
    reads("{name: , count: ~, ratio: null, offset: , on: , timeout: }", |x| {
        (x.name, x.count, x.ratio, x.offset, x.on) = (String::new(), 0, 0.0, 0, false);
        x.timeout = GoDuration::ZERO;
    });
}

#[test]
fn values_are_read_strictly() {
    reads("{name: a, count: 0x10, ratio: 2, offset: -7, on: false}", |x| {
        (x.name, x.count, x.ratio, x.offset, x.on) = ("a".into(), 16, 2.0, -7, false);
    });
    reads("{timeout: 1h30m, level: detailed, id: otlp/2}", |x| {
        x.timeout = GoDuration::from_secs(5400);
        x.level = Level::Detailed;
        x.id = ComponentId::parse("otlp/2").ok();
    });
    reads("{tags: []}", |x| x.tags = vec![]);
    reads("{tags: [a, b]}", |x| x.tags = vec!["a".into(), "b".into()]);
    reads("{tags: 'a,b'}", |x| x.tags = vec!["a".into(), "b".into()]);
    reads("{tags: ''}", |x| x.tags = vec![]);
    reads("{labels: {c: d, e: }}", |x| {
        x.labels = BTreeMap::from([("c".into(), "d".into()), ("e".into(), String::new())]);
    });
    reads("{inner: {size: 9}, inners: [{size: 1}, ~], named: {a: , b: {endpoint: e}}}", |x| {
        x.inner = inner("localhost", 9);
        x.inners = vec![inner("localhost", 1), Inner::default()];
        x.named = BTreeMap::from([("a".into(), Inner::default()), ("b".into(), inner("e", 7))]);
    });
    reads("{count: 1e2}", |x| x.count = 100);
}

#[test]
fn substitutions_fit_their_field() {
    reads("{name: '${NUMBER}', count: '${NUMBER}', text: '${TRUE}', on: '${TRUE}'}", |x| {
        (x.name, x.count, x.text, x.on) = ("0123".into(), 83, Some("true".into()), true);
    });
    reads("{tags: '${LIST}'}", |x| x.tags = vec!["a".into(), "b".into()]);
    reads("{tags: '${COMMAS}'}", |x| x.tags = vec!["a".into(), "b".into()]);
    reads("{tags: ['${NUMBER}']}", |x| x.tags = vec!["0123".into()]);
    reads("{timeout: '${SECOND}'}", |_| {});
    // Null is the zero of a type, not its default; collections stay.
    reads(
        "{name: '${NONE}', count: '${NONE}', on: '${NONE}', timeout: '${NONE}', tags: '${NONE}', text: '${NONE}'}",
        |x| {
            (x.name, x.count, x.on, x.timeout) = (String::new(), 0, false, GoDuration::ZERO);
        },
    );
}

#[test]
fn blocks_have_three_states() {
    reads("{tls: {}}", |x| x.tls = Block::on(Inner::default()));
    reads("{tls: {size: 1}}", |x| x.tls = Block::on(inner("localhost", 1)));
    reads("{tls: {enabled: true}}", |x| x.tls = Block::on(Inner::default()));
    reads("{tls: {enabled: false, size: 1}}", |_| {});
    reads("{grpc: }", |x| x.grpc = PresentBlock::on(Inner::default()));
    reads("{grpc: {}}", |x| x.grpc = PresentBlock::on(Inner::default()));
    reads("{grpc: {enabled: false}}", |_| {});
    // A key that somebody wrote is on; what a substitution left empty is nothing.
    reads("{grpc: '${NONE}'}", |_| {});
    reads("{queue: {size: 3}}", |x| x.queue = Block::on(inner("localhost", 3)));
    reads("{queue: {enabled: false}}", |x| x.queue = Block::off());
    let (_, problems) =
        read("{queue: {enabled: false, sise: 1}, tls: {enabled: 'no'}, grpc: {enabeld: true}}");
    assert_eq!(problems.keys(), ["queue::sise", "tls::enabled", "grpc::enabeld"], "{problems}");
    let helps: Vec<_> = problems.errors().filter_map(|problem| problem.help.as_deref()).collect();
    assert_eq!(helps, ["did you mean `size`?", "did you mean `enabled`?"]);
}

#[test]
fn opaque_maps_have_two_forms() {
    let headers: OpaqueMap =
        [("a".to_owned(), Opaque::new("1")), ("b".to_owned(), Opaque::new("2"))].into_iter().collect();
    for settings in
        ["{headers: {a: '1', b: '2'}}", "{headers: [{name: a, value: '1'}, {name: b, value: '2'}]}"]
    {
        reads(settings, |x| x.headers = headers.clone());
    }
    let (_, problems) = read("{headers: [{name: a, value: x}, {name: a, value: y}]}");
    assert!(problems.to_string().contains("duplicate keys in map-style list: [\"a\"]"), "{problems}");
}

#[test]
fn every_mistake_is_found_with_its_key_and_words() {
    // (settings, key, message, help)
    let cases = [
        ("{nmae: x}", "nmae", "unknown key", "did you mean `name`?"),
        ("{size: 1, inner: {}}", "size", "unknown key", "`size` is a key of `inner`, not of this level"),
        (
            "{inner: {count: 1}}",
            "inner::count",
            "unknown key",
            "`count` is a key of the top of this component, not of this level",
        ),
        ("{inner: {zzz: }}", "inner::zzz", "unknown key", "known keys are `endpoint`, `size`"),
        ("{name: 5}", "name", "expected a string, found the number 5", "put it in quotes: \"5\""),
        ("{name: true}", "name", "expected a string, found the boolean true", "put it in quotes: \"true\""),
        ("{name: [a]}", "name", "expected a string, found a list", ""),
        ("{count: '5'}", "count", "expected a whole number from 0 to 4294967295, found a string", ""),
        ("{count: -5}", "count", "expected a whole number from 0 to 4294967295, found the number -5", ""),
        ("{count: many}", "count", "expected a whole number from 0 to 4294967295, found a string", ""),
        (
            "{inner: {size: 70000}}",
            "inner::size",
            "expected a whole number from 0 to 65535, found the number 70000",
            "",
        ),
        ("{on: yes}", "on", "expected true or false, found a string", ""),
        ("{ratio: x}", "ratio", "expected a number, found a string", ""),
        (
            "{level: loud}",
            "level",
            "unknown value \"loud\"",
            "known values are `basic`, `normal`, `detailed`",
        ),
        ("{level: detialed}", "level", "unknown value \"detialed\"", "did you mean `detailed`?"),
        (
            "{timeout: 5 seconds}",
            "timeout",
            "unknown unit \" seconds\" in duration \"5 seconds\": one of ns, us, ms, s, m, h",
            "",
        ),
        ("{timeout: [5s]}", "timeout", "expected a duration such as `200ms` or `1h30m`, found a list", ""),
        ("{tags: {a: b}}", "tags", "expected a list, found a map", ""),
        ("{tags: [a, 5]}", "tags::1", "expected a string, found the number 5", "put it in quotes: \"5\""),
        ("{inner: 5}", "inner", "expected a map, found the number 5", ""),
        (
            "{inners: [{}, {size: x}]}",
            "inners::1::size",
            "expected a whole number from 0 to 65535, found a string",
            "",
        ),
        ("{id: 'a b'}", "id", "in \"a b\" id: invalid character(s) in type \"a b\"", ""),
        ("{secret: 5}", "secret", "expected a string, found another type", "put it in quotes"),
        ("{name: '${vault:x}', zzz: 1}", "zzz", "unknown key", "known keys are "),
        ("[]", "", "expected a map, found a list", ""),
    ];
    for (settings, key, message, help) in cases {
        let (example, problems) = read(settings);
        assert_eq!(example, None, "{settings}");
        assert_eq!(problems.keys(), [key], "{settings}\n{problems}");
        let problem = problems.errors().next().expect("a problem");
        assert_eq!(problem.message, message, "{settings}");
        assert!(
            problem.help.as_deref().unwrap_or_default().starts_with(help),
            "{settings}: {:?}",
            problem.help
        );
        assert_eq!(problem.help.is_none(), help.is_empty(), "{settings}: {:?}", problem.help);
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let (_, problems) = read(
        "{nmae: x, count: many, inner: {size: -1, ednpoint: y}, tags: [1, a, 2], on: maybe, tls: {size: x}}",
    );
    let mut keys = problems.keys();
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["count", "inner::ednpoint", "inner::size", "nmae", "on", "tags::0", "tags::2", "tls::size"]
    );
}

#[test]
fn settings_can_be_read_from_a_text() {
    assert_eq!(decode_text::<Example>("count: 7\n").map(|example| example.count).ok(), Some(7));
    assert_eq!(decode_text::<Example>("").ok(), Some(Example::default()));
    // (text, keys)
    let cases: [(&str, &[&str]); 3] = [("count: 700", &["count"]), ("[", &[""]), ("nmae: 1", &["nmae"])];
    for (text, keys) in cases {
        assert_eq!(decode_text::<Example>(text).expect_err(text).keys(), keys, "{text}");
    }
}

#[test]
fn the_number_of_mistakes_is_bounded() {
    let many: String = (0..500).map(|index| format!("k{index}: , ")).collect();
    let (_, problems) = read(&format!("{{{many}}}"));
    assert_eq!(problems.keys().len(), MAX_FAULTS + 1);
    assert!(problems.to_string().contains("more than 100 mistakes: the rest is not shown"));
}

#[test]
fn validation_runs_beside_mistakes_without_repeating_them() {
    let check = |settings: &str| {
        let node = section(&format!("x: {settings}"));
        let mut problems = Problems::in_section(KeyPath::parse("processors::x"), &node, node.location());
        let read = decode_checked::<Example>(&node, &mut problems).is_some();
        let keys: Vec<String> = problems.keys().into_iter().map(String::from).collect();
        (read, keys)
    };
    // (settings, read, keys)
    let cases: &[(&str, bool, &[&str])] = &[
        ("{count: 3}", true, &[]),
        ("{count: 300}", false, &["count"]),
        ("{on: maybe, count: 300}", false, &["on", "count"]),
        ("{name: 5, count: x, ratio: 7.5}", false, &["name", "count", "ratio"]),
        ("{ratio: x, name: ''}", false, &["ratio", "name"]),
    ];
    for (settings, read, keys) in cases {
        assert_eq!(
            check(settings),
            (*read, keys.iter().map(|key| (*key).to_owned()).collect()),
            "{settings}"
        );
    }
}

#[test]
fn warns_of_numbers_that_are_not_meant_like_this() {
    // (settings, warning)
    let cases = [
        (
            "{timeout: 5}",
            "processors::x::timeout: a duration without a unit is taken as nanoseconds: this is 5ns",
        ),
        ("{timeout: 5.0}", "processors::x::timeout: a duration without a unit is taken as nanoseconds"),
        (
            "{count: }",
            "processors::x::count: nothing is written here: that is zero or empty, whatever the default",
        ),
        ("{count: 1.5}", "processors::x::count: must be a whole number: the fraction of 1.5 is cut off"),
    ];
    for (settings, warning) in cases {
        let (example, problems) = read(settings);
        assert!(example.is_some(), "{settings}");
        assert!(problems.to_string().contains(warning), "{problems}");
    }
}

#[test]
fn secrets_are_noted_and_never_quoted() {
    let (example, problems) = read("{secret: '${SECRET}', headers: {a: hidden}, tls: {endpoint: e}}");
    let example = example.expect("settings");
    assert_eq!((example.secret.reveal(), format!("{:?}", example.secret)), ("s3cr3t", "[REDACTED]".into()));
    assert!(!format!("{example:?}").contains("hidden"));
    let secrets: Vec<String> = problems.readings().secrets.iter().map(KeyPath::to_string).collect();
    assert_eq!(secrets, ["processors::x::headers::a", "processors::x::secret"]);
    let (_, problems) = read("{secret: 12345}");
    assert!(!problems.to_string().contains("12345"), "{problems}");
    let (_, problems) = read("{secret: hidden, nmae: x}");
    assert!(!problems.to_string().contains("hidden"), "{problems}");
}

#[test]
fn settings_without_defaults_miss_their_keys() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Needs {
        #[allow(dead_code)]
        a: u32,
        #[allow(dead_code)]
        b: Vec<Needs2>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
    enum Needs2 {
        First {
            #[allow(dead_code)]
            x: u32,
        },
    }
    // (settings, keys, messages)
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("{b: []}", &[""], &["`a` is missing"]),
        ("{a: x, b: []}", &["a"], &["expected a whole number from 0 to 4294967295, found a string"]),
        ("{a: 1, b: [{type: first, x: 1}, {type: fist}]}", &["b::1::type"], &["unknown value \"fist\""]),
        ("{a: 1, b: [{type: first, y: 1}]}", &["b::0::y", "b::0"], &["unknown key", "`x` is missing"]),
    ];
    for (settings, keys, messages) in cases {
        let node = section(&format!("x: {settings}"));
        let mut problems = Problems::in_section(KeyPath::parse("x"), &node, node.location());
        assert!(decode::<Needs>(&node, &mut problems).is_none());
        assert_eq!(problems.keys(), *keys, "{settings}");
        let found: Vec<&str> = problems.errors().map(|problem| problem.message.as_str()).collect();
        assert_eq!(found, *messages, "{settings}");
    }
}

proptest::proptest! {
    #[test]
    fn any_section_is_read_or_reported(text in "([{}\\[\\],:] ?|name|count|tls|grpc|headers|inner|size|level|enabled|timeout|'|~|5|true|x|[ \n-]){0,40}") {
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None));
        let resolved = resolver.resolve(&[format!("yaml:x: {text}")], &[]);
        if let Some(node) = resolved.ok().as_ref().and_then(|resolved| resolved.root.get("x")) {
            let mut problems = Problems::in_section(KeyPath::parse("x"), node, node.location());
            let read = decode::<Example>(node, &mut problems).is_some();
            proptest::prop_assert_eq!(read, !problems.has_errors());
        }
    }
}

#[test]
fn nothing_is_said_about_what_depends_on_an_open_value() {
    use crate::Missing;
    let check = |settings: &str| {
        let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).missing(Missing::Open);
        let root = resolver.resolve(&[format!("yaml:x: {settings}")], &[]).expect("YAML").root;
        let node = root.get("x").expect("a section").clone();
        let mut problems = Problems::in_section(KeyPath::parse("processors::x"), &node, node.location());
        let settings = decode_checked::<Example>(&node, &mut problems);
        (settings.is_some(), problems.keys().into_iter().map(String::from).collect::<Vec<_>>())
    };
    // (settings, keys with errors)
    let cases: &[(&str, &[&str])] = &[
        ("{count: '${env:X}'}", &[]),
        ("{name: '${env:X}'}", &[]),
        ("{name: 'a${env:X}'}", &[]),
        // The default of `count` is less than the ratio, and so may be what it is set to, or not.
        ("{count: '${env:X}', ratio: 200.5}", &[]),
        ("{count: '${env:X}', name: ''}", &["name"]),
        ("{count: '${env:X}', nmae: x}", &["nmae"]),
    ];
    for (settings, keys) in cases {
        assert_eq!(
            check(settings),
            (false, keys.iter().map(|key| (*key).to_owned()).collect()),
            "{settings}"
        );
    }
}
