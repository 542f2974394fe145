//! How votes become a decision: inverted ones, and every combination.

use serde_json::json;

use crate::conformance::{keeps, many};
use crate::support::{A, error, plain, span};

#[test]
fn inverted_votes() {
    let debug = "{name: i, type: boolean_attribute, boolean_attribute: {key: debug, value: true, invert_match: true}}";
    let absent =
        "{name: i, type: string_attribute, string_attribute: {key: x, values: [y], invert_match: true}}";
    let errors = "{name: e, type: status_code, status_code: {status_codes: [ERROR]}}";
    let legacy = "compat: {invert_decisions: legacy}";
    let debugged = |code: u32| {
        let attributes = json!([{"key": "debug", "value": {"boolValue": true}}]);
        span(A, (0, 1), json!({"attributes": attributes, "status": {"code": code}}))
    };
    let both = |inverted: &str| format!("{inverted}, {errors}");
    let cases = [
        (both(debug), legacy, debugged(2), false),
        (both(debug), "", debugged(2), true),
        (both(debug), "", debugged(0), false),
        (both(absent), legacy, plain(A), false),
        (both(absent), "", plain(A), true),
        (absent.to_owned(), legacy, plain(A), true),
        (both(absent), legacy, error(A), true),
    ];
    for (policies, compat, span, expected) in cases {
        assert_eq!(
            keeps(&many(&policies, compat), std::slice::from_ref(&span)),
            expected,
            "{policies} {compat} {span}"
        );
    }
}

/// Votes, and policies that give them to the trace of the test below.
const VOTES: [(Vote, &str); 6] = [
    (Vote::Drop, "type: drop, drop: {drop_sub_policy: [{type: always_sample}]}"),
    (
        Vote::Error,
        "type: ottl_condition, ottl_condition: {error_mode: propagate, span: ['Substring(name, 0, 99) == \"\"']}",
    ),
    (Vote::Yes, "type: always_sample"),
    (Vote::No, "type: span_count, span_count: {min_spans: 99}"),
    (
        Vote::InvertedYes,
        "type: string_attribute, string_attribute: {key: x, values: [y], invert_match: true}",
    ),
    (
        Vote::InvertedNo,
        "type: string_attribute, string_attribute: {key: service.name, values: [shop], invert_match: true}",
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Vote {
    Drop,
    Error,
    Yes,
    No,
    InvertedYes,
    InvertedNo,
}

/// Whether votes in this order keep a trace.
fn keeps_by_votes(votes: &[Vote], is_legacy: bool, stops: bool) -> bool {
    let mut heard = Vec::new();
    for vote in votes {
        let vote = match vote {
            Vote::InvertedYes if !is_legacy => Vote::Yes,
            Vote::InvertedNo if !is_legacy => Vote::No,
            other => *other,
        };
        heard.push(vote);
        if stops && vote == Vote::Yes {
            break;
        }
    }
    // A policy that drops is asked before all others.
    if votes.contains(&Vote::Drop) || heard.contains(&Vote::InvertedNo) {
        return false;
    }
    heard.contains(&Vote::Yes) || heard.contains(&Vote::InvertedYes) && !heard.contains(&Vote::No)
}

#[test]
fn every_combination_of_votes() {
    for (subset, is_reversed) in
        (1..1_u32 << VOTES.len()).flat_map(|subset| [(subset, false), (subset, true)])
    {
        let mut chosen: Vec<(Vote, &str)> = VOTES
            .iter()
            .enumerate()
            .filter(|(bit, _)| subset >> bit & 1 == 1)
            .map(|(_, vote)| *vote)
            .collect();
        if is_reversed {
            chosen.reverse();
        }
        let named = |(index, (_, policy)): (usize, &(Vote, &str))| format!("{{name: p{index}, {policy}}}");
        let policies: Vec<String> = chosen.iter().enumerate().map(named).collect();
        let votes: Vec<Vote> = chosen.iter().map(|(vote, _)| *vote).collect();
        for (is_legacy, stops) in [(false, false), (false, true), (true, false), (true, true)] {
            let decisions = if is_legacy { "legacy" } else { "plain" };
            let more = format!("sample_on_first_match: {stops}, compat: {{invert_decisions: {decisions}}}");
            let yaml = many(&policies.join(", "), &more);
            assert_eq!(keeps(&yaml, &[plain(A)]), keeps_by_votes(&votes, is_legacy, stops), "{yaml}");
        }
    }
}
