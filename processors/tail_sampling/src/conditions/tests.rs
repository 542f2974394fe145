use std::time::Duration;

use phoenix_pdata::write::{put_attribute, put_bytes, put_fixed64, put_message, put_uint};

use super::*;

fn facts() -> TraceFacts {
    TraceFacts::new([1; 16], Duration::ZERO, 0)
}

fn text(key: &str, values: &[&str]) -> Condition {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    Condition::Attribute { key: key.to_owned(), test: AttributeTest::Text(TextTest::any_of(&values)) }
}

fn span_with(attributes: &[(&str, AnyValue<'_>)]) -> Vec<u8> {
    let mut span = Vec::new();
    attributes.iter().for_each(|(key, value)| put_attribute(&mut span, 9, key, value));
    span
}

#[test]
fn equal_conditions_are_one() {
    let mut conditions = Conditions::default();
    let one = conditions.add(text("k", &["a", "b"]));
    assert_eq!(conditions.add(text("k", &["b", "a", "a"])), one);
    assert_ne!(conditions.add(text("k", &["a"])), one);
    let patterns = |pattern: &str, remembered| {
        let test = TextTest::patterns(&[pattern.to_owned()], remembered).expect("a pattern");
        Condition::Attribute { key: "k".to_owned(), test: AttributeTest::Text(test) }
    };
    let pattern = conditions.add(patterns("a+", 1));
    assert_eq!(conditions.add(patterns("a+", 9)), pattern, "what is remembered is no difference");
}

#[test]
fn hundreds_of_conditions_on_hundreds_of_keys() {
    let mut conditions = Conditions::default();
    let ids: Vec<ConditionId> =
        (0..300).map(|n| conditions.add(text(&format!("key{}", n / 2), &[&format!("v{}", n % 2)]))).collect();
    let mut facts = facts();
    let span = span_with(&[("key0", "v1".into()), ("key149", "v0".into()), ("other", "v0".into())]);
    conditions.observe(&span, &mut facts);
    let found: Vec<usize> = (0..300).filter(|n| facts.matched(ids[*n])).collect();
    assert_eq!(found, [1, 298]);
}

#[test]
fn of_equal_keys_the_first_counts() {
    let mut conditions = Conditions::default();
    let (first, second) = (conditions.add(text("k", &["a"])), conditions.add(text("k", &["b"])));
    let mut facts = facts();
    conditions.observe(&span_with(&[("k", "a".into()), ("k", "b".into())]), &mut facts);
    assert!(facts.matched(first) && !facts.matched(second));
}

#[test]
fn fields_are_gathered_from_resources_and_spans() {
    let mut conditions = Conditions::default();
    let field = conditions.add_field("service.name");
    assert_eq!(conditions.add_field("service.name"), field);
    let other = conditions.add_field("n");
    assert_ne!(other, field);
    let mut entry = Vec::new();
    put_message(&mut entry, 1, |out| put_attribute(out, 1, "service.name", &"shop".into()));
    let of_resource = conditions.of_resource(&entry);
    assert_eq!(of_resource.values.iter().map(|(_, value)| &**value).collect::<Vec<_>>(), ["shop"]);
    let mut facts = facts();
    let span = span_with(&[("service.name", "cart".into()), ("n", 5_i64.into())]);
    conditions.observe(&span, &mut facts);
    conditions.observe(&span, &mut facts);
    assert_eq!(facts.values(field).collect::<Vec<_>>(), ["cart"]);
    assert_eq!(facts.values(other).collect::<Vec<_>>(), ["5"]);
}

#[test]
fn what_is_known_of_spans() {
    let mut conditions = Conditions::default();
    let mut facts = facts();
    let mut root = Vec::new();
    put_fixed64(&mut root, 7, 5_000_000);
    put_fixed64(&mut root, 8, 6_000_000);
    put_message(&mut root, 15, |out| put_uint(out, 3, 2));
    let mut child = Vec::new();
    put_bytes(&mut child, 4, &[1; 8]);
    put_fixed64(&mut child, 7, 2_000_000);
    put_fixed64(&mut child, 8, 3_999_999);
    conditions.observe(&child, &mut facts);
    assert!(!facts.has_root() && !facts.has_error());
    assert_eq!(facts.duration_millis(), 1);
    conditions.observe(&root, &mut facts);
    assert!(facts.has_root() && facts.has_error());
    assert_eq!((facts.spans(), facts.duration_millis()), (2, 4));
}

#[test]
fn remembered_values_do_not_change_what_matches() {
    // Two places, so that values take each other's.
    let patterns = TextTest::patterns(&["^a".to_owned(), "z$".to_owned()], 2).expect("patterns");
    let mut test = AttributeTest::Text(patterns);
    let long = format!("a{}", "x".repeat(500));
    let cases = [("abc", true), ("bcd", false), ("xyz", true), ("", false), ("ba", false), (&long, true)];
    for round in 0..3 {
        for (text, expected) in cases {
            assert_eq!(test.holds(&text.into(), true), expected, "{text} in round {round}");
        }
    }
}
