//! Rules with levels in a whole processor: targets are kept to, what is protected stays, and totals go on.

use std::sync::Arc;
use std::time::Duration;

use phoenix_component::harness::{StageHarness, golden};
use phoenix_component::{AdjustmentBook, Capabilities};
use phoenix_config::ComponentId;
use phoenix_pdata::Signal;
use phoenix_telemetry::Metrics;
use serde_json::Value;

use super::data::{EPOCH, Row, counter, request, rows, settings};
use crate::{Outside, stage_within};

const LADDER: &str = "{interval: 10s, idle: 60s,
  control: {targets: {points_per_minute: 1500}, intervals: 2, cooldown: 20s, dwell: 120s,
    classes: [{name: background}, {name: critical, protected: true}]},
  rules: [
    {name: slower, at_level: 1, class: critical, match: {metrics: [critical]}, interval: 20s},
    {name: no-pods, at_level: 2, class: background, match: {metrics: [requests], types: [counter]}, drop_labels: [pod]},
    {name: nothing, at_level: 3, class: background, match: {metrics: [requests]}, drop: true}]}";

struct Run {
    harness: StageHarness,
    book: Arc<AdjustmentBook>,
    metrics: Metrics,
    second: i64,
    out: Vec<Row>,
}

fn run() -> Run {
    let (capabilities, id) =
        (Capabilities::default(), ComponentId::parse("optimizer").expect("an identifier"));
    let (book, offer) = AdjustmentBook::open(&capabilities, &id);
    let outside = Outside { book: Some((book.clone(), offer)), ..Outside::default() };
    let metrics = Metrics::default();
    let spec = stage_within(&settings(LADDER), &[], 1, &metrics, "optimizer", outside).expect("no conflicts");
    let mut harness = StageHarness::new(spec);
    harness.advance(Duration::from_secs(EPOCH));
    Run { harness, book, metrics, second: 0, out: Vec::new() }
}

impl Run {
    /// Every ten seconds a point of each of so many pods, and one that matters. Returns points let out.
    fn go(&mut self, rounds: usize, pods: usize) -> usize {
        let before = self.out.len();
        for _ in 0..rounds {
            let names: Vec<String> = (0..pods).map(|pod| format!("pod=p{pod}")).collect();
            let points: Vec<_> =
                names.iter().map(|name| (name.as_str(), 0, self.second, self.second as f64)).collect();
            let all = request("", counter("requests", &points));
            let critical = request("", counter("critical", &[("a=b", 0, self.second, self.second as f64)]));
            for request in [all, critical] {
                self.harness.send(golden::batch(Signal::Metrics, &request.to_string())).expect("taken");
            }
            self.collect();
            self.harness.advance(Duration::from_secs(10));
            self.second += 10;
            self.collect();
        }
        self.out.len() - before
    }

    fn collect(&mut self) {
        for fragment in self.harness.take_released() {
            let request: Value = golden::to_json(&fragment.batch);
            self.out.extend(rows(&request));
        }
    }
}

#[test]
fn levels_rise_until_the_target_is_kept_to_and_fall_again_with_the_demand() {
    let mut run = run();
    // 101 points every ten seconds are 606 a minute: all is well.
    assert_eq!(run.go(30, 100), 30 * 101);
    assert!(run.book.all().is_empty());
    // 3006 a minute: the gentlest does not help, dropping a label does, and nothing is dropped for good.
    run.go(40, 500);
    let levels: Vec<_> = run.book.all().iter().map(|one| (one.class.clone(), one.from, one.to)).collect();
    assert_eq!(levels, [("critical".to_owned(), 0, 1), ("background".to_owned(), 0, 2)]);
    let told = &run.book.all()[1];
    assert_eq!(
        (told.target, told.limit, told.rules.as_slice()),
        ("points_per_minute", 1500.0, &["no-pods".to_owned()][..])
    );
    let out = run.go(30, 500);
    assert!(out * 2 <= 1500, "{out} points in five minutes");
    assert_eq!(run.book.all().len(), 2, "nothing flaps");
    let level = |class| run.metrics.sum("phoenix_processor_optimizer_level", &[("class", class)]);
    assert_eq!((level("background"), level("critical")), (2, 1));
    // Back to what it was: one step after the other.
    run.go(100, 100);
    let levels: Vec<_> =
        run.book.all().iter().skip(2).map(|one| (one.class.clone(), one.from, one.to)).collect();
    assert_eq!(levels, [("background".to_owned(), 2, 0), ("critical".to_owned(), 1, 0)]);
    assert_eq!(run.go(10, 100), 10 * 101);
    run.harness.drain();
    run.harness.books().assert_balanced();
    // What matters came through all the time, and no counter fell.
    let critical: Vec<f64> = run
        .out
        .iter()
        .filter(|row| row.0 == "critical")
        .map(|row| row.4.parse().expect("a number"))
        .collect();
    assert!(critical.len() >= 100, "{}", critical.len());
    assert!(critical.windows(2).all(|pair| pair[0] <= pair[1]));
    let folded: Vec<f64> = run
        .out
        .iter()
        .filter(|row| row.0 == "requests" && !row.1.contains("pod"))
        .map(|row| row.4.parse().expect("a number"))
        .collect();
    assert!(!folded.is_empty() && folded.windows(2).all(|pair| pair[0] <= pair[1]), "{folded:?}");
}

#[test]
fn an_aggregate_that_comes_back_does_not_count_what_went_on_by_itself() {
    let mut run = run();
    run.go(70, 500);
    run.go(60, 100);
    let between = run.out.len();
    run.go(40, 500);
    let first = run.out[between..].iter().find(|row| row.0 == "requests" && !row.1.contains("pod"));
    let first: f64 = first.expect("folded again").4.parse().expect("a number");
    // 500 pods, ten each in ten seconds: an interval or two, not the ten minutes in between.
    assert!(first <= 500.0 * 20.0, "{first}");
}

#[test]
fn levels_without_a_loop_and_losses_of_what_is_protected_are_refused() {
    let refused = |control: &str, rule: &str| {
        let yaml = format!("{{{control} rules: [{rule}]}}");
        phoenix_config::decode_text::<crate::OptimizerConfig>(&yaml).expect_err(&yaml).to_string()
    };
    let control = "control: {targets: {series: 10}, classes: [{name: a}, {name: p, protected: true}]},";
    for (control, rule, part) in [
        ("", "{name: r, at_level: 1, interval: 20s}", "there is no `control`"),
        (control, "{name: r, at_level: 1, interval: 20s}", "class \"default\""),
        (control, "{name: r, class: p, at_level: 1, drop: true}", "drops data"),
        (control, "{name: r, class: p, at_level: 3, interval: 20s}", "above 2"),
        (control, "{name: r, class: a, at_level: 7, interval: 20s}", "at most 6"),
        ("control: {},", "{name: r, interval: 20s}", "at least one target"),
        ("control: {targets: {series: 1}, down: 0.95},", "{name: r, interval: 20s}", "0.9 of `up`"),
        ("control: {targets: {series: 1}, dwell: 1m},", "{name: r, interval: 20s}", "idle"),
    ] {
        let error = refused(control, rule);
        assert!(error.contains(part), "{rule}: {error}");
    }
}
