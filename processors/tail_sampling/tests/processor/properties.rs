//! Random traces and policies, against a reference that keeps everything in lists and looks at it at the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Tail, request, span};

/// A span in few words.
#[derive(Clone, Debug)]
struct Sketch {
    trace: u8,
    times: (u64, u64),
    status: u8,
    flags: u8,
    color: Option<u8>,
    number: Option<i64>,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let times = (0..2000_u64, 0..2000_u64).prop_map(|(start, length)| (start, start + length));
    let color = prop::option::of(0..3_u8);
    (0..12_u8, times, 0..3_u8, 0..2_u8, color, prop::option::of(-3..8_i64)).prop_map(
        |(trace, times, status, flags, color, number)| Sketch { trace, times, status, flags, color, number },
    )
}

const COLORS: [&str; 3] = ["red", "green", "darkgreen"];

fn id(trace: u8) -> u128 {
    u128::from(trace + 1) * 0x0123_4567_89ab_cdef_1122_3344_5566_7788
}

impl Sketch {
    fn span(&self) -> Value {
        let mut attributes = Vec::new();
        if let Some(color) = self.color {
            attributes.push(json!({"key": "color", "value": {"stringValue": COLORS[usize::from(color)]}}));
        }
        if let Some(number) = self.number {
            attributes.push(json!({"key": "n", "value": {"intValue": number.to_string()}}));
        }
        let more = json!({"status": {"code": self.status}, "flags": self.flags, "attributes": attributes});
        span(id(self.trace), self.times, more)
    }
}

/// A policy, as it is written and as what it means for the spans of a trace.
#[derive(Clone, Debug)]
enum Rule {
    Latency(i64, i64),
    Count(usize, usize),
    Status(u8),
    Color(&'static str, bool),
    Number(i64, i64),
    Flags,
    And(Vec<Rule>),
    Not(Box<Rule>),
    Drop(Vec<Rule>),
}

fn leaf() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (1..3000_i64, 0..3000_i64).prop_map(|(from, to)| Rule::Latency(from, to)),
        (1..5_usize, 5..9_usize).prop_map(|(least, most)| Rule::Count(least, most)),
        (0..3_u8).prop_map(Rule::Status),
        (prop::sample::select(vec!["red", "green", "blue"]), any::<bool>())
            .prop_map(|(c, r)| Rule::Color(c, r)),
        (-3..-1_i64, 1..8_i64).prop_map(|(least, most)| Rule::Number(least, most)),
        Just(Rule::Flags),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let inner = leaf().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Rule::And),
            inner.prop_map(|rule| Rule::Not(Box::new(rule))),
        ]
    });
    let drop = prop::collection::vec(leaf(), 1..3).prop_map(Rule::Drop);
    prop_oneof![5 => inner, 1 => drop]
}

impl Rule {
    fn written(&self, name: &str) -> Value {
        let list = |rules: &[Rule]| -> Vec<Value> {
            rules.iter().enumerate().map(|(index, rule)| rule.written(&format!("{name}{index}"))).collect()
        };
        let (kind, settings) = match self {
            Rule::Latency(from, to) => ("latency", json!({"threshold_ms": from, "upper_threshold_ms": to})),
            Rule::Count(least, most) => ("span_count", json!({"min_spans": least, "max_spans": most})),
            Rule::Status(code) => {
                let code = ["UNSET", "OK", "ERROR"][usize::from(*code)];
                ("status_code", json!({"status_codes": [code]}))
            }
            Rule::Color(color, is_regex) => (
                "string_attribute",
                json!({"key": "color", "values": [color], "enabled_regex_matching": is_regex}),
            ),
            Rule::Number(least, most) => {
                ("numeric_attribute", json!({"key": "n", "min_value": least, "max_value": most}))
            }
            Rule::Flags => return json!({"name": name, "type": "trace_flags"}),
            Rule::And(rules) => ("and", json!({"and_sub_policy": list(rules)})),
            Rule::Not(rule) => ("not", json!({"not_sub_policy": rule.written(&format!("{name}n"))})),
            Rule::Drop(rules) => ("drop", json!({"drop_sub_policy": list(rules)})),
        };
        json!({"name": name, "type": kind, kind: settings})
    }

    fn keeps(&self, trace: &[&Sketch]) -> bool {
        match self {
            Rule::Latency(from, to) => {
                let start = trace.iter().map(|span| span.times.0).min().unwrap_or(0);
                let end = trace.iter().map(|span| span.times.1).max().unwrap_or(0);
                let millis = (end - start) as i64;
                if *to == 0 { millis >= *from } else { *from < millis && millis <= *to }
            }
            Rule::Count(least, most) => (*least..=*most).contains(&trace.len()),
            Rule::Status(code) => trace.iter().any(|span| span.status == *code),
            Rule::Color(color, is_regex) => trace.iter().filter_map(|span| span.color).any(|found| {
                let found = COLORS[usize::from(found)];
                if *is_regex { found.contains(color) } else { found == *color }
            }),
            Rule::Number(least, most) => {
                trace.iter().filter_map(|span| span.number).any(|n| (*least..=*most).contains(&n))
            }
            Rule::Flags => trace.iter().any(|span| span.flags == 1),
            Rule::And(rules) | Rule::Drop(rules) => rules.iter().all(|rule| rule.keeps(trace)),
            Rule::Not(rule) => !rule.keeps(trace),
        }
    }
}

fn expected(rules: &[Rule], spans: &[Sketch]) -> BTreeMap<String, usize> {
    let mut traces: BTreeMap<u8, Vec<&Sketch>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.trace).or_default().push(span);
    }
    traces.retain(|_, trace| {
        let keeps = |is_drop: bool| {
            rules.iter().filter(|rule| matches!(rule, Rule::Drop(_)) == is_drop).any(|rule| rule.keeps(trace))
        };
        !keeps(true) && keeps(false)
    });
    traces.into_iter().map(|(trace, spans)| (format!("{:032x}", id(trace)), spans.len())).collect()
}

fn found(
    settings: &str,
    rules: &[Rule],
    spans: &[Sketch],
    cuts: &BTreeSet<usize>,
) -> BTreeMap<String, usize> {
    let policies: Vec<Value> =
        rules.iter().enumerate().map(|(index, rule)| rule.written(&format!("p{index}"))).collect();
    let mut tail = Tail::new(&format!("{{decision_wait: 10s, policies: {}, {settings}}}", json!(policies)));
    let mut from = 0;
    for to in cuts.iter().copied().chain([spans.len()]) {
        let part: Vec<Value> = spans[from.min(to)..to].iter().map(Sketch::span).collect();
        from = to;
        tail.send_request(&request(if to % 2 == 0 { "shop" } else { "cart" }, &part));
        tail.advance(0.1);
    }
    tail.advance(11.0);
    let kept = tail.kept();
    tail.harness.books().assert_balanced();
    assert_eq!(tail.harness.held().items, 0, "everything was decided");
    kept.into_iter().map(|(trace, spans)| (trace, spans.len())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Neither the order of spans nor the requests that they come in nor the shards change a decision.
    #[test]
    fn decisions_are_those_of_the_reference(
        rules in prop::collection::vec(rule(), 1..5),
        spans in prop::collection::vec(sketch(), 1..60),
        cuts in prop::collection::btree_set(0..60_usize, 0..4),
        shards in 1..4_u32,
    ) {
        let cuts: BTreeSet<usize> = cuts.into_iter().map(|cut| cut.min(spans.len())).collect();
        let expected = expected(&rules, &spans);
        prop_assert_eq!(&found("", &rules, &spans, &cuts), &expected);
        let mut reversed = spans.clone();
        reversed.reverse();
        prop_assert_eq!(&found(&format!("num_shards: {shards}"), &rules, &reversed, &BTreeSet::new()), &expected);
    }
}

#[test]
fn a_greater_share_keeps_all_of_a_smaller_one() {
    for randomness in ["fnv_compat", "w3c"] {
        let kept = |percentage: u32| {
            let mut tail = Tail::new(&format!(
                "{{decision_wait: 1s, randomness: {randomness}, policies: [{{name: p, type: probabilistic, \
                 probabilistic: {{sampling_percentage: {percentage}}}}}]}}"
            ));
            let mix = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 7);
            let ids = (1..3000_u64).map(|n| u128::from(n) << 64 | u128::from(mix(n)));
            let spans: Vec<Value> = ids.map(|id| span(id, (0, 1), json!({}))).collect();
            tail.send(&spans);
            tail.advance(2.0);
            tail.kept().into_keys().collect::<BTreeSet<String>>()
        };
        let shares: Vec<BTreeSet<String>> = [5, 20, 50, 90].map(kept).into();
        for (pair, percentage) in shares.windows(2).zip([5.0, 20.0, 50.0]) {
            assert!(pair[0].is_subset(&pair[1]), "{randomness}");
            let share = pair[0].len() as f64 / 2999.0 * 100.0;
            assert!((share - percentage).abs() < 4.0, "{randomness}: {share} for {percentage}");
        }
    }
}
