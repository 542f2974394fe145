//! What otelcol does not have, through the whole processor.

use std::collections::BTreeMap;

use phoenix_component::{DecisionBook, trace_id};
use phoenix_config::{ComponentId, decode_text};
use phoenix_processor_tail_sampling::TailSamplingConfig;
use serde_json::{Value, json};

use crate::support::{A, B, C, Tail, error, plain, request, span, spans};

/// Identifiers whose randomness is spread evenly.
fn id(number: u64) -> u128 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u128::from(number) << 64 | u128::from(mixed ^ (mixed >> 31))
}

/// What the spans of a kept trace stand for, as their `tracestate` says.
fn stands_for(span: &Value) -> f64 {
    let state = span["traceState"].as_str().unwrap_or_default();
    let Some(digits) = state.strip_prefix("ot=th:") else { return 0.0 };
    let threshold = u64::from_str_radix(&format!("{digits:0<14}"), 16).expect("digits");
    let all = (1_u64 << 56) as f64;
    all / (all - threshold as f64)
}

fn total(kept: &BTreeMap<String, Vec<Value>>) -> f64 {
    kept.values().flatten().map(stands_for).sum()
}

#[test]
fn the_first_policy_that_matches_decides() {
    let yaml = "
decision_wait: 1s
evaluation: first_match
randomness: w3c
policies:
  - {name: health, type: drop, drop: {drop_sub_policy: [{name: n, type: string_attribute, string_attribute: {key: route, values: [/health]}}]}}
  - name: some errors
    type: and
    and:
      and_sub_policy:
        - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
        - {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}
  - {name: rest, type: always_sample}";
    let mut tail = Tail::new(yaml);
    for number in 0..400 {
        tail.send(&[error(id(number))]);
        tail.send(&[plain(id(1000 + number))]);
    }
    tail.send(&[span(
        A,
        (0, 1),
        json!({"status": {"code": 2}, "attributes": [{"key": "route", "value": {"stringValue": "/health"}}]}),
    )]);
    tail.advance(3.0);
    let kept = tail.kept();
    let errors: Vec<&Value> = kept.values().flatten().filter(|span| span["status"]["code"] == 2).collect();
    // An error that chance leaves out is not handed to the last policy.
    assert!((160..=240).contains(&errors.len()), "{}", errors.len());
    assert!(errors.iter().all(|span| span["traceState"] == "ot=th:8"), "{errors:?}");
    assert_eq!(kept.len() - errors.len(), 400);
    assert!(!kept.contains_key(&format!("{A:032x}")));
}

#[test]
fn the_order_of_policies_is_that_of_the_configuration() {
    let yaml = "
decision_wait: 1s
evaluation: first_match
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: all, type: drop, drop: {drop_sub_policy: [{name: n, type: always_sample}]}}";
    let mut tail = Tail::new(yaml);
    tail.send(&[error(A)]);
    tail.send(&[plain(B)]);
    tail.advance(3.0);
    assert_eq!(tail.kept().len(), 1);
    assert_eq!(tail.sum("count_traces_sampled", &[("policy", "all")]), 1, "not asked about the error");
}

#[test]
fn a_budget_holds_and_what_is_kept_counts_up_to_what_there_was() {
    let yaml = "
decision_wait: 2s
num_shards: 2
policies:
  - {name: budget, type: budget, budget: {spans_per_second: 100}}
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}";
    let mut tail = Tail::new(yaml);
    let (mut number, mut truth, mut errors) = (0, 0.0, 0);
    for second in 0..60 {
        for _ in 0..200 {
            number += 1;
            let count = 1 + number % 3;
            tail.send(&spans(id(number), count as usize));
            truth += count as f64;
        }
        if second % 10 == 0 {
            number += 1;
            tail.send(&[error(id(number))]);
            (truth, errors) = (truth + 1.0, errors + 1);
        }
        tail.advance(1.0);
    }
    tail.advance(5.0);
    let kept = tail.kept();
    let spans: usize = kept.values().map(Vec::len).sum();
    assert!((4500..=6300).contains(&spans), "100 a second for 60 s: {spans}");
    let estimate = total(&kept);
    assert!((estimate / truth - 1.0).abs() < 0.06, "{estimate} for {truth}");
    let found: Vec<&Value> = kept.values().flatten().filter(|span| span["status"]["code"] == 2).collect();
    assert_eq!(found.len(), errors, "every error is there");
    assert!(found.iter().all(|span| span["traceState"] == "ot=th:0"), "and counts once");
}

#[test]
fn late_spans_say_what_their_trace_stands_for() {
    let yaml = "
decision_wait: 1s
policies: [{name: b, type: baseline, baseline: {sampling_percentage: 25}}]";
    let mut tail = Tail::new(yaml);
    tail.send(&[plain(B)]);
    tail.advance(3.0);
    assert_eq!(tail.kept()[&format!("{B:032x}")][0]["traceState"], "ot=th:c");
    tail.send(&[plain(B)]);
    tail.advance(1.0);
    assert_eq!(tail.kept()[&format!("{B:032x}")][0]["traceState"], "ot=th:c");
    tail.send(&[span(C, (0, 1), json!({"traceState": "ot=th:e;rv:f0000000000000"}))]);
    tail.advance(3.0);
    assert_eq!(
        tail.kept()[&format!("{C:032x}")][0]["traceState"],
        "ot=rv:f0000000000000;th:e",
        "never lowered"
    );
}

#[test]
fn a_shadow_is_counted_and_does_not_decide() {
    let yaml = "
decision_wait: 1s
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: trial, type: always_sample, shadow: true}";
    let mut tail = Tail::new(yaml);
    tail.send(&[error(A)]);
    tail.send(&[plain(B)]);
    tail.advance(3.0);
    assert_eq!(tail.kept().into_keys().collect::<Vec<_>>(), [format!("{A:032x}")]);
    assert_eq!(tail.sum("count_traces_sampled", &[("policy", "trial"), ("decision", "sampled")]), 2);
    assert_eq!(tail.sum("global_count_traces_sampled", &[("decision", "sampled")]), 1);
}

#[test]
fn the_highest_class_of_retention_is_on_the_resource() {
    let yaml = "
decision_wait: 1s
retention_classes: [audit-400d, hot-3d]
policies:
  - {name: all, type: always_sample, retention_class: hot-3d}
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}, retention_class: audit-400d}";
    let mut tail = Tail::new(yaml);
    let class = |request: &Value| -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for entry in request["resourceSpans"].as_array().expect("entries") {
            let attributes = entry["resource"]["attributes"].as_array().expect("attributes");
            assert_eq!(attributes[0]["key"], "service.name");
            let class = attributes.iter().find(|attribute| attribute["key"] == "sampling.retention.class");
            let class = class.expect("a class")["value"]["stringValue"].as_str().expect("text");
            for span in crate::support::spans_of(&json!({"resourceSpans": [entry]})) {
                found.insert(span["traceId"].as_str().expect("an identifier").to_owned(), class.to_owned());
            }
        }
        found
    };
    let (with_error, without) = (format!("{A:032x}"), format!("{B:032x}"));
    tail.send_request(&request("shop", &[error(A), plain(B)]));
    tail.advance(3.0);
    let requests = tail.requests();
    let found: BTreeMap<String, String> = requests.iter().flat_map(class).collect();
    assert_eq!((found[&with_error].as_str(), found[&without].as_str()), ("audit-400d", "hot-3d"));
    tail.send(&[plain(A)]);
    tail.advance(1.0);
    let late: BTreeMap<String, String> = tail.requests().iter().flat_map(class).collect();
    assert_eq!(late[&with_error], "audit-400d", "and on what comes late");
}

#[test]
fn decisions_can_be_asked_for() {
    let yaml = "
decision_wait: 1s
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: some, type: baseline, baseline: {sampling_percentage: 25}}";
    let mut tail = Tail::new(yaml);
    tail.send(&[error(A), plain(A)]);
    tail.send(&[plain(B)]);
    tail.send(&[plain(C)]);
    tail.advance(3.0);
    let sampler = ComponentId::parse("tail_sampling").expect("an identifier");
    let book = tail.host.capabilities.find::<DecisionBook>(&sampler).expect("a book");
    let found =
        |id: u128| book.find(&trace_id(&format!("{id:032x}")).expect("an identifier")).expect("a decision");
    let (a, b, c) = (found(A), found(B), found(C));
    assert_eq!((a.outcome, a.policy.as_deref(), a.spans), ("sampled", Some("errors"), 2));
    assert_eq!((a.trigger, a.adjusted_count, a.generation), ("decision_wait", Some(1.0), 0));
    assert_eq!((b.outcome, b.policy.as_deref(), b.adjusted_count), ("sampled", Some("some"), Some(4.0)));
    assert_eq!((c.outcome, c.policy, c.adjusted_count), ("not_sampled", None, None));
    assert!(book.find(&[7; 16]).is_none());
}

#[test]
fn what_does_not_fit_together_is_refused() {
    // (settings, the keys that are named)
    let cases = [
        (
            "evaluation: first_match\nsampling_strategy: span-ingest\npolicies: [{name: a, type: always_sample}]",
            "evaluation",
        ),
        ("policies: [{name: a, type: always_sample, retention_class: hot}]", "policies::0::retention_class"),
        (
            "policies: [{name: a, type: or, or: {or_sub_policy: [{name: b, type: always_sample, shadow: true}]}}]",
            "policies::0::or::or_sub_policy::0::shadow",
        ),
        (
            "sampling_strategy: span-ingest\npolicies: [{name: a, type: budget, budget: {traces_per_second: 1}}]",
            "policies::0::type",
        ),
    ];
    for (yaml, key) in cases {
        let problems = decode_text::<TailSamplingConfig>(yaml).expect_err(yaml);
        assert_eq!(problems.keys(), [key], "{yaml}\n{problems}");
    }
}

#[test]
fn each_tenant_has_a_rate_and_what_exceeds_it_goes_to_the_next_policy() {
    let yaml = "
decision_wait: 1s
evaluation: first_match
num_shards: 2
policies:
  - name: per service
    type: rate_limiting
    rate_limiting: {spans_per_second: 10, burst_capacity: 10, key_fields: [service.name], on_exceed: next}
  - {name: rest, type: baseline, baseline: {sampling_percentage: 25}}";
    let mut tail = Tail::new(yaml);
    let (mut number, mut truth) = (0, 0.0);
    for _ in 0..100 {
        for (service, traces) in [("loud", 100), ("quiet", 8)] {
            for _ in 0..traces {
                number += 1;
                truth += 1.0;
                tail.send_request(&request(service, &[plain(id(number))]));
            }
        }
        tail.advance(1.0);
    }
    tail.advance(3.0);
    let of_first = tail.sum("count_traces_sampled", &[("policy", "per service"), ("sampled", "true")]);
    assert!(
        (1_750..=1_850).contains(&of_first),
        "all of the quiet one, ten a second of the loud: {of_first}"
    );
    let kept = tail.kept();
    // Without a threshold a trace stands for itself.
    let counts =
        kept.values().flatten().map(|span| if span["traceState"].is_null() { 1.0 } else { stands_for(span) });
    let estimate: f64 = counts.sum();
    // 9,000 by chance with a quarter: a deviation of 1.6 %.
    assert!((estimate / truth - 1.0).abs() < 0.05, "{estimate} for {truth}");
}

#[test]
fn what_exceeds_the_rate_of_a_key_is_sampled_and_says_for_how_many_it_stands() {
    let yaml = "
decision_wait: 1s
num_shards: 2
policies:
  - name: per service
    type: rate_limiting
    rate_limiting: {spans_per_second: 20, key_fields: [service.name], on_exceed: probabilistic}";
    let mut tail = Tail::new(yaml);
    let mut number = 0;
    let mut found: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for second in 0..120 {
        for (service, traces) in [("loud", 200), ("quiet", 10)] {
            for _ in 0..traces {
                number += 1;
                tail.send_request(&request(service, &[plain(id(number))]));
            }
        }
        tail.advance(1.0);
        for request in tail.requests() {
            for resource in request["resourceSpans"].as_array().into_iter().flatten() {
                let service = resource["resource"]["attributes"][0]["value"]["stringValue"].as_str();
                let spans = resource["scopeSpans"].as_array().into_iter().flatten();
                for span in spans.flat_map(|scope| scope["spans"].as_array().into_iter().flatten()) {
                    assert!(span["traceState"].is_string(), "each says its threshold: {span}");
                    let of = found.entry(service.unwrap_or_default().to_owned()).or_default();
                    // The first burst is over after 20 s.
                    *of = (of.0 + f64::from(u8::from(second >= 20)), of.1 + stands_for(span));
                }
            }
        }
    }
    let (loud, quiet) = (found["loud"], found["quiet"]);
    assert!((quiet.1 - 1_190.0).abs() < 11.0, "all of it, for itself: {quiet:?}");
    assert!((loud.0 / 2_000.0 - 1.0).abs() < 0.06, "20 a second for 100 s: {loud:?}");
    // About 2,400 with a tenth: a deviation of 2 %.
    assert!((loud.1 / 23_800.0 - 1.0).abs() < 0.08, "{loud:?}");
}

#[test]
fn what_exceeds_a_rate_is_left_out_where_nothing_else_is_said() {
    let yaml = "
decision_wait: 1s
evaluation: first_match
policies:
  - name: limited errors
    type: and
    and:
      and_sub_policy:
        - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
        - {name: rate, type: rate_limiting, rate_limiting: {spans_per_second: 5, burst_capacity: 5}}
  - {name: rest, type: always_sample}";
    let count = |yaml: &str| {
        let mut tail = Tail::new(yaml);
        (0..100).for_each(|number| tail.send(&[error(id(number))]));
        tail.advance(3.0);
        tail.kept().len()
    };
    assert_eq!(count(yaml), 5);
    assert_eq!(count(&yaml.replace("burst_capacity: 5", "burst_capacity: 5, on_exceed: next")), 100);
    let inside = "{policies: [{name: n, type: not, not: {not_sub_policy: {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 5, on_exceed: next}}}}]}";
    let found = decode_text::<TailSamplingConfig>(inside).expect_err("nothing to pass on to").to_string();
    assert!(found.contains("rate_limiting::on_exceed"), "{found}");
}

/// An identifier that goes to the first of two shards, or to the second.
fn id_of_shard(number: u64, shard: u64) -> u128 {
    id(number) & !(1 << 56) | u128::from(shard) << 56
}

/// What is kept in a second, and what that stands for, of so many traces a second of a service in each of two shards; seen for a
/// minute, after ten seconds.
fn skewed(policy: &str, load: [(&str, u64); 2]) -> [(f64, f64); 2] {
    let mut tail = Tail::new(&format!("{{decision_wait: 1s, num_shards: 2, policies: [{policy}]}}"));
    const WARM: u64 = 10;
    const SECONDS: u64 = 60;
    let (mut number, mut found) = (0, [(0.0, 0.0); 2]);
    for step in 0..10 * (WARM + SECONDS) {
        for (shard, (service, per_second)) in load.iter().enumerate() {
            let mut next = || {
                number += 1;
                plain(id_of_shard(number, shard as u64))
            };
            let spans: Vec<Value> = (0..per_second / 10).map(|_| next()).collect();
            tail.send_request(&request(service, &spans));
        }
        tail.advance(0.1);
        for (id, spans) in tail.kept() {
            if step >= 10 * WARM {
                let of_shard =
                    &mut found[(u128::from_str_radix(&id, 16).expect("digits") >> 56 & 1) as usize];
                of_shard.0 += spans.len() as f64 / SECONDS as f64;
                of_shard.1 += spans.iter().map(stands_for).sum::<f64>() / SECONDS as f64;
            }
        }
    }
    found
}

#[test]
fn shards_that_are_asked_for_unlike_amounts_reach_the_whole_budget_together() {
    let cases = [
        ("budget", "{name: b, type: budget, budget: {spans_per_second: 100}}"),
        (
            "budget by key",
            "{name: b, type: budget, budget: {spans_per_second: 100, key_fields: [service.name]}}",
        ),
        ("priority", "{name: p, type: priority, priority: {spans_per_second: 100}}"),
    ];
    for (case, policy) in cases {
        let [busy, idle] = skewed(policy, [("shop", 500), ("shop", 20)]);
        let kept = busy.0 + idle.0;
        // The one with 500 of 520 would have had half of it.
        assert!((93.0..=106.0).contains(&kept), "{case}: {kept} of 100 a second");
        let estimate = busy.1 + idle.1;
        assert!((estimate / 520.0 - 1.0).abs() < 0.06, "{case}: {estimate} for 520");
        assert!(idle.1 > 10.0, "{case}: those of the other are seen too: {idle:?}");
    }
}

#[test]
fn a_share_is_fair_over_shards() {
    let policy =
        "{name: f, type: fair_share, fair_share: {spans_per_second: 100, key_fields: [service.name]}}";
    let [loud, quiet] = skewed(policy, [("loud", 1000), ("quiet", 40)]);
    assert!(quiet.0 >= 38.0, "it asks for less than half, and gets it all: {quiet:?}");
    assert!((93.0..=106.0).contains(&(loud.0 + quiet.0)), "{loud:?} {quiet:?}");
    assert!((loud.1 / 1000.0 - 1.0).abs() < 0.06, "{loud:?}");
    let [one, other] = skewed(policy, [("same", 900), ("same", 100)]);
    assert!((93.0..=106.0).contains(&(one.0 + other.0)), "{one:?} {other:?}");
    assert!((one.0 / other.0 - 9.0).abs() < 2.5, "one key is seen alike in both: {one:?} {other:?}");
}

#[test]
fn rates_by_key_have_one_goal_over_all_shards() {
    let policy = "{name: e, type: ema_throughput, ema_throughput: {goal_throughput_per_sec: 100, \
        key_fields: [service.name], adjustment_interval: 3s}}";
    let [busy, idle] = skewed(policy, [("shop", 900), ("shop", 100)]);
    assert!((85.0..=115.0).contains(&(busy.0 + idle.0)), "{busy:?} {idle:?}");
    assert!((busy.0 / idle.0 - 9.0).abs() < 2.5, "with one rate: {busy:?} {idle:?}");
}

/// The attribute `SampleRate` of a span.
fn sample_rate(span: &Value) -> Option<i64> {
    let mut attributes = span["attributes"].as_array()?.iter();
    attributes.find(|attribute| attribute["key"] == "SampleRate")?["value"]["intValue"].as_str()?.parse().ok()
}

#[test]
fn rates_are_written_as_whole_numbers_where_they_are_known() {
    let policy = |more: &str| {
        format!(
            "{{decision_wait: 1s, record_sample_rate: true, policies: [{{name: p, type: baseline, baseline: {{sampling_percentage: 25}}}}{more}]}}"
        )
    };
    let rated = |rate: i64, state: &str| {
        let attribute = json!({"key": "SampleRate", "value": {"intValue": rate.to_string()}});
        span(B, (0, 1), json!({"attributes": [attribute], "traceState": state}))
    };
    let of_kept = |yaml: &str, span: &Value| {
        let mut tail = Tail::new(yaml);
        tail.send(std::slice::from_ref(span));
        tail.advance(3.0);
        let kept = tail.kept();
        let spans = &kept[&format!("{B:032x}")];
        let rates: Vec<Option<i64>> = spans.iter().map(sample_rate).collect();
        tail.send(&[plain(B)]);
        tail.advance(1.0);
        let late = tail.kept();
        (rates[0], sample_rate(&late[&format!("{B:032x}")][0]))
    };
    let alone = policy("");
    assert_eq!(of_kept(&alone, &plain(B)), (Some(4), Some(4)), "late ones too");
    assert_eq!(of_kept(&alone, &rated(3, "")), (Some(12), Some(4)), "of another sampler, before");
    // Its randomness is 0xce929d…: half, and then a quarter of everything by the same randomness.
    assert_eq!(of_kept(&alone, &rated(2, "ot=th:8")), (Some(4), Some(4)), "which the threshold says already");
    let count = json!([{"key": "sampling.span.adjusted_count", "value": {"doubleValue": 10.0}}]);
    let of_cut = span(B, (0, 1), json!({"attributes": count}));
    assert_eq!(of_kept(&alone, &of_cut).0, Some(40), "of a trace that was cut elsewhere");
    let errors = policy(", {name: e, type: always_sample}");
    assert_eq!(of_kept(&errors, &plain(B)), (Some(1), Some(1)));
    let limited = "{decision_wait: 1s, record_sample_rate: true, policies: [{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 10}}]}";
    assert_eq!(of_kept(limited, &plain(B)), (None, None), "nobody knows");
    let fnv = "{decision_wait: 1s, record_sample_rate: true, policies: [{name: p, type: probabilistic, probabilistic: {sampling_percentage: 80}}]}";
    assert_eq!(of_kept(fnv, &plain(B)), (None, None), "by a hash that nobody else knows");
    let w3c = fnv.replace("decision_wait", "randomness: w3c, decision_wait").replace("80", "40");
    assert_eq!(of_kept(&w3c, &plain(B)), (Some(3), Some(3)), "2.5, rounded");
}
