//! What otelcol's processor decided about the same traces under 28 lists of policies.

use std::collections::BTreeSet;

use crate::support::Tail;
use serde_json::Value;

#[test]
fn the_same_traces_are_kept_as_by_otelcol() {
    let decisions: Value = serde_json::from_str(include_str!("data/decisions.json")).expect("JSON");
    let inputs = [include_str!("data/input-1.json"), include_str!("data/input-2.json")];
    let ids: Vec<&str> =
        decisions["trace_ids"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let cases = decisions["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 28);
    for (number, case) in cases.iter().enumerate() {
        // As otelcol decided when these were recorded, at version 0.145.
        let compat = r#"{"latency_prefix": true}"#;
        let policies = &case["policies"];
        let mut tail =
            Tail::new(&format!(r#"{{"decision_wait": "1s", "compat": {compat}, "policies": {policies}}}"#));
        for input in inputs {
            tail.send_request(&serde_json::from_str(input).expect("JSON"));
        }
        tail.advance(2.0);
        let kept = tail.kept();
        let spans: usize = kept.values().map(Vec::len).sum();
        let found: BTreeSet<&str> = kept.keys().map(String::as_str).collect();
        let expected: BTreeSet<&str> = case["kept"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|index| ids[index.as_u64().expect("an index") as usize])
            .collect();
        let more: Vec<_> = found.difference(&expected).take(3).collect();
        let less: Vec<_> = expected.difference(&found).take(3).collect();
        assert!(
            more.is_empty() && less.is_empty(),
            "case {number}: {policies}: kept {more:?}, dropped {less:?}"
        );
        assert_eq!(Some(spans as u64), case["spans"].as_u64(), "case {number}: {policies}");
    }
}
