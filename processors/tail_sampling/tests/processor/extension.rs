//! Policies that extensions offer.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use phoenix_component::{
    Host, ObservedSpan, ObservedTrace, Publication, SamplingPolicies, SamplingPolicy, SamplingVote, Slot,
};
use phoenix_config::{ComponentId, decode_text};
use phoenix_processor_tail_sampling::{TailSamplingConfig, stage};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hot_swap::{SECOND, Swap};
use crate::support::{A, B, C, F, Tail, error, plain, span, with_attribute};

/// Settings of a policy `fan_out`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FanOut {
    /// Keeps traces with so many spans of this name.
    name: String,
    least: u64,
    /// Fails for traces of more spans.
    most_spans: u64,
    drops: bool,
    /// Of those that it would keep it keeps only so many.
    first: u64,
}

impl Default for FanOut {
    fn default() -> FanOut {
        FanOut { name: "op".into(), least: 1, most_spans: u64::MAX, drops: false, first: u64::MAX }
    }
}

struct FanOutPolicy {
    settings: FanOut,
    kept: AtomicU64,
}

impl SamplingPolicy for FanOutPolicy {
    fn observe(&self, span: &ObservedSpan<'_>, note: &mut u64) {
        let is_ours = span.resource.resource().is_some_and(|resource| !resource.attributes().is_empty())
            && span.scope.scope().is_some_and(|scope| scope.name().as_bytes() == b"lib");
        *note += u64::from(is_ours && span.span.name().as_bytes() == self.settings.name.as_bytes());
    }

    fn decide(&self, trace: &ObservedTrace<'_>) -> SamplingVote {
        match () {
            () if trace.spans > self.settings.most_spans => SamplingVote::Failed("too many".into()),
            () if trace.note < self.settings.least => SamplingVote::NotSampled,
            () if self.kept.fetch_add(1, Relaxed) >= self.settings.first => SamplingVote::NotSampled,
            () if self.settings.drops => SamplingVote::Dropped,
            () => SamplingVote::Sampled,
        }
    }

    fn is_condition(&self) -> bool {
        self.settings.first == u64::MAX
    }

    fn adopt(&self, old: &dyn SamplingPolicy) {
        if let Some(old) = old.as_any().downcast_ref::<FanOutPolicy>() {
            self.kept.fetch_add(old.kept.load(Relaxed), Relaxed);
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The extension: `least` is added to what policies say.
struct FanOuts {
    more: u64,
}

impl SamplingPolicies for FanOuts {
    fn policy(&self, _: &str, settings: &Value) -> Result<Box<dyn SamplingPolicy>, String> {
        let mut settings: FanOut = match settings {
            Value::Null => FanOut::default(),
            some => serde_json::from_value(some.clone()).map_err(|error| error.to_string())?,
        };
        settings.least += self.more;
        Ok(Box::new(FanOutPolicy { settings, kept: AtomicU64::new(0) }))
    }
}

/// What an extension `fan_out/x` does at its start.
fn publish(
    host: &Host,
    slot: &Arc<Slot<dyn SamplingPolicies>>,
    more: u64,
) -> Publication<dyn SamplingPolicies> {
    let id = ComponentId::parse("fan_out/x").expect("an identifier");
    let offered =
        Publication::new(&id, slot.clone(), Arc::new(FanOuts { more }) as Arc<dyn SamplingPolicies>);
    offered.start(host);
    offered
}

fn with_extension(yaml: &str) -> (Tail, Publication<dyn SamplingPolicies>) {
    let mut offered = None;
    let tail = Tail::on_host(yaml, |host| offered = Some(publish(host, &Arc::default(), 0)));
    (tail, offered.expect("offered"))
}

fn kept(tail: &mut Tail) -> Vec<String> {
    tail.kept().into_keys().collect()
}

fn hex(id: u128) -> String {
    format!("{id:032x}")
}

#[test]
fn an_extension_is_a_policy_by_its_identifier() {
    let (mut tail, _offered) = with_extension(
        "{decision_wait: 1s, record_policy: true, policies: [{name: wide, type: fan_out/x, fan_out/x: {name: call, least: 2}}]}",
    );
    let call = |id| span(id, (0, 1), json!({"name": "call"}));
    tail.send(&[call(A), plain(A), call(B)]);
    tail.send(&[call(A)]);
    tail.advance(2.0);
    let requests = tail.requests();
    let scope = &requests[0]["resourceSpans"][0]["scopeSpans"][0]["scope"];
    assert_eq!(scope["attributes"][0]["value"]["stringValue"], "wide");
    assert_eq!(requests.len(), 1);
    assert_eq!(tail.sum("count_traces_sampled", &[("policy", "wide"), ("decision", "sampled")]), 1);
    assert_eq!(tail.sum("count_traces_sampled", &[("policy", "wide"), ("decision", "not_sampled")]), 1);
    tail.harness.books().assert_balanced();
}

#[test]
fn its_votes_are_votes_like_others() {
    let policies = "
decision_wait: 1s
randomness: w3c
policies:
  - {name: pairs, type: fan_out/x, fan_out/x: {least: 2, most_spans: 3}}
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - name: inside
    type: and
    and:
      and_sub_policy:
        - {name: s, type: string_attribute, string_attribute: {key: k, values: [v]}}
        - {name: any, type: not, not: {not_sub_policy: {name: n, type: fan_out/x, fan_out/x: {least: 9}}}}
  - {name: gone, type: fan_out/x, fan_out/x: {name: health, drops: true}}";
    let (mut tail, _offered) = with_extension(policies);
    let many = vec![plain(C); 4];
    tail.send(&many);
    tail.send(&[plain(A), plain(A)]);
    tail.send(&[with_attribute(B, "k", json!({"stringValue": "v"}))]);
    tail.send(&[error(F), span(F, (0, 1), json!({"name": "health"}))]);
    tail.advance(2.0);
    let spans = tail.kept();
    assert_eq!(spans.keys().cloned().collect::<Vec<_>>(), [hex(A), hex(B)], "dropped, and failed");
    assert!(
        spans.values().flatten().all(|span| span["traceState"] == "ot=th:0"),
        "all of their kind are kept"
    );
    assert_eq!(tail.sum("sampling_policy_evaluation_error", &[]), 1, "for the trace of four");
    assert_eq!(tail.sum("global_count_traces_sampled", &[("decision", "dropped")]), 1);
}

#[test]
fn what_goes_by_what_came_before_makes_no_count() {
    let (mut tail, _offered) = with_extension(
        "{decision_wait: 1s, randomness: w3c, num_shards: 2, policies: [{name: p, type: fan_out/x, fan_out/x: {first: 1}}]}",
    );
    for id in [A, B, C, F] {
        tail.send(&[span(id, (0, 1), json!({"traceState": "ot=th:0"}))]);
    }
    tail.advance(2.0);
    let found = tail.kept();
    assert_eq!(found.len(), 1, "the shards have one policy together");
    assert!(found.values().flatten().all(|span| span["traceState"].as_str().unwrap_or_default().is_empty()));
}

#[test]
fn with_first_match_what_it_does_not_keep_is_passed_on() {
    for first in ["least: 2", "least: 2, first: 9"] {
        let (mut tail, _offered) = with_extension(&format!(
            "{{decision_wait: 1s, evaluation: first_match, policies: [{{name: p, type: fan_out/x, fan_out/x: {{{first}}}}}, \
             {{name: rest, type: status_code, status_code: {{status_codes: [ERROR]}}}}]}}"
        ));
        tail.send(&[plain(A), plain(A), error(B), plain(C)]);
        tail.advance(2.0);
        assert_eq!(kept(&mut tail), [hex(A), hex(B)], "{first}");
    }
}

#[test]
fn a_change_keeps_what_was_noted_and_counted() {
    let mut swap = Swap::new();
    let _offered = publish(&swap.host, &Arc::default(), 0);
    let yaml = |more: &str| {
        format!(
            "{{decision_wait: 2s, policies: [{{name: p, type: fan_out/x, fan_out/x: {{least: 2, first: 2}}}}{more}]}}"
        )
    };
    let mut former = swap.stage(&yaml(""));
    swap.send(&mut *former, &vec![plain(A); 2]);
    assert_eq!(swap.advance(&mut *former, 3 * SECOND), 2, "the first of two");
    swap.send(&mut *former, &[plain(B)]);
    let mut next = swap.stage(&yaml(", {name: f, type: trace_flags}"));
    next.adopt(&mut *former);
    swap.send(&mut *next, &[plain(B), plain(C), plain(C)]);
    // That of the former configuration decides about B, and the next one about C.
    let let_out = swap.advance(&mut *next, 3 * SECOND);
    assert_eq!(let_out, 2 + 2, "what was noted of B goes on, and what was counted");
    swap.send(&mut *next, &vec![plain(F); 2]);
    assert_eq!(swap.advance(&mut *next, 3 * SECOND), 0, "two were kept under it");
}

#[test]
fn an_extension_whose_settings_change_makes_the_policies_of_who_goes_on() {
    let slot: Arc<Slot<dyn SamplingPolicies>> = Arc::default();
    let mut former = None;
    let mut tail =
        Tail::on_host("{decision_wait: 1s, policies: [{name: p, type: fan_out/x, fan_out/x: {}}]}", |host| {
            former = Some(publish(host, &slot, 0))
        });
    tail.send(&[plain(A)]);
    tail.advance(2.0);
    assert_eq!(kept(&mut tail), [hex(A)]);
    let newer = publish(&tail.host, &slot, 1);
    tail.send(&[plain(B)]);
    tail.advance(2.0);
    assert_eq!(kept(&mut tail), [hex(B)], "the change may come to nothing yet");
    newer.pipelines_ready(true);
    former.expect("offered").stop();
    // With the end of a round.
    tail.send(&[plain(C)]);
    tail.advance(2.0);
    kept(&mut tail);
    tail.send(&[plain(F)]);
    tail.send(&[plain(F), plain(7), plain(7)]);
    tail.advance(2.0);
    assert_eq!(kept(&mut tail).len(), 2, "two spans each");
    tail.send(&[plain(8)]);
    tail.advance(2.0);
    assert!(kept(&mut tail).is_empty());
    // Without an extension it goes on as it was.
    newer.stop();
    tail.send(&[plain(9), plain(9)]);
    tail.advance(2.0);
    assert_eq!(kept(&mut tail).len(), 1);
}

#[test]
fn what_nobody_offers_is_refused_by_name() {
    // While settings are checked nobody is asked: a word with settings of its own may be an extension.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let host = runtime.block_on(async { Host::for_tests() });
    let _offered = publish(&host, &Arc::default(), 0);
    let id = ComponentId::parse("tail_sampling").expect("an identifier");
    let started = |policy: &str| {
        let config: TailSamplingConfig = decode_text(&format!("{{policies: [{policy}]}}")).expect(policy);
        stage(&config, &host, &id).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(started("{name: p, type: fan_out/x, fan_out/x: {}}"), Ok(()));
    assert_eq!(started("{name: p, type: fan_out/x, fan_out/x: }"), Ok(()), "nothing but defaults");
    let unknown = started("{name: p, type: acme, acme: {a: 1}}").expect_err("nobody offers it");
    assert!(unknown.starts_with("policies::0::type: unknown sampling policy type acme"), "{unknown}");
    let wrong = started("{name: p, type: fan_out/x, fan_out/x: {lest: 1}}").expect_err("a mistake");
    assert!(wrong.contains("unable to load extension fan_out/x: unknown field `lest`"), "{wrong}");

    // (policy, the key that is named, what is said)
    let cases = [
        (
            "{name: p, type: statuscode, status_code: {status_codes: [OK]}}",
            "policies::0::type",
            "status_code",
        ),
        ("{name: p, type: acme}", "policies::0::type", "acme"),
        ("{name: p, type: acme, acme: {}, acmes: {}}", "policies::0::acmes", "acmes"),
        ("{name: p, type: status_code, status_codes: [OK]}", "policies::0::status_codes", "status_code"),
        ("{name: p, status_code: {status_codes: [OK]}}", "policies::0::type", "must name a type"),
        ("{name: p, type: 'a b', 'a b': {}}", "policies::0::type", "extension"),
        (
            "{name: p, type: not, not: {not_sub_policy: {type: acme}}}",
            "policies::0::not::not_sub_policy::type",
            "acme",
        ),
    ];
    for (policy, key, said) in cases {
        let found =
            decode_text::<TailSamplingConfig>(&format!("{{policies: [{policy}]}}")).expect_err(policy);
        let report = found.to_string();
        assert!(found.keys().contains(&key) && report.contains(said), "{policy}: {report}");
    }
    let at_ingest = "{sampling_strategy: span-ingest, policies: [{name: p, type: acme, acme: {}}]}";
    let found = decode_text::<TailSamplingConfig>(at_ingest).expect_err("it may count");
    assert_eq!(found.keys(), ["policies::0::type"]);
}
