use super::*;
use crate::source::Source;
use crate::yaml;

fn section(text: &str) -> Node {
    let source = Source::quotable("x.yaml", text);
    yaml::parse(text, &source).expect("YAML").node
}

#[test]
fn problems_point_at_their_key() {
    let root = section("top:\n  a: 1\n  b: {c: [x, y]}\n  d:\n  e:\n    f: 1\n");
    let map = root.as_map().expect("a map");
    let entry = map.entry("top").expect("a section");
    let mut problems = Problems::in_section(KeyPath::parse("top"), &entry.value, &entry.key_location);
    problems.require(true, "a", "is fine");
    problems.require(false, "a", "is wrong");
    problems.error("b", "is a map");
    problems.error("b::c::1", "is an item");
    problems.error("d", "is nothing");
    problems.error("b::z", "is missing");
    problems.error("z", "is missing too");
    problems.error("", "is wrong as a whole");
    problems.within("e", |problems| {
        problems.error("f", "is deeper");
        problems.error("g", "is missing deeper");
        problems.within("h", |problems| problems.error("i", "is missing even deeper"));
    });
    problems.warn("a", "is odd");
    let found: Vec<(String, u32, u32)> = problems
        .errors()
        .map(|problem| (problem.path.to_string(), problem.location.line(), problem.location.column()))
        .collect();
    let expected = [
        ("top::a", 2, 6),
        ("top::b", 3, 3),
        ("top::b::c::1", 3, 14),
        ("top::d", 4, 3),
        ("top::b::z", 3, 3),
        ("top::z", 1, 1),
        ("top", 1, 1),
        ("top::e::f", 6, 8),
        ("top::e::g", 5, 3),
        ("top::e::h::i", 5, 3),
    ];
    assert_eq!(found, expected.map(|(path, line, column)| (path.to_owned(), line, column)));
    assert_eq!(problems.keys(), ["a", "b", "b::c::1", "d", "b::z", "z", "", "e::f", "e::g", "e::h::i"]);
    assert_eq!(problems.warnings().count(), 1);
}

#[test]
fn without_a_section_there_are_keys_only() {
    let problems = Problems::of(|problems| {
        problems.error_with_help("k", "is wrong", "do it right");
        problems.within("inner", |problems| problems.error("x", "is wrong too"));
    });
    assert_eq!(problems.keys(), ["k", "inner::x"]);
    assert!(problems.has_errors());
    assert_eq!(
        problems.to_string(),
        "error: k: is wrong\n  help: do it right\nerror: inner::x: is wrong too\n"
    );
    assert!(Problems::of(|_| {}).is_empty());
}

#[test]
fn a_report_is_in_the_order_of_the_text_and_says_things_once() {
    let root = section("b: 1\na: \"\u{e9}\"   \n");
    let mut problems = Problems::in_section(KeyPath::root(), &root, root.location());
    problems.error_with_help("a", "second", "help");
    problems.warn("b", "first");
    problems.error("a", "second");
    let mut report = Problems::new();
    report.absorb(problems);
    let expected = "\
warning: x.yaml:1:4: b: first
  1 | b: 1
    |    ^
error: x.yaml:2:4: a: second
  2 | a: \"\u{e9}\"
    |    ^^^
  help: help
";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let text = format!("a: [{}, x]\n", vec!["item"; 200].join(", "));
    let root = section(&text);
    let mut problems = Problems::in_section(KeyPath::root(), &root, root.location());
    problems.error("a::200", "is wrong");
    let report = problems.to_string();
    let lines: Vec<&str> = report.lines().collect();
    assert!(lines[1].len() < 140, "{report}");
    let place = lines[2].find('^').expect("a mark");
    assert_eq!(&lines[1][place..=place], "x", "{report}");
}
