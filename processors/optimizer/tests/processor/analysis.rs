//! What the analysis predicts is what the optimizer then saves.

use std::time::Duration;

use phoenix_analytics::{Bounds, Report, Survey, yaml};
use phoenix_component::harness::{StageHarness, golden};
use phoenix_config::decode_text;
use phoenix_pdata::Signal;
use phoenix_processor_optimizer::{Catalog, OptimizerConfig, stage};
use phoenix_telemetry::Metrics;
use serde_json::{Value, json};

const EPOCH: u64 = 1_700_000_040;

/// A counter by pod (40) and route (5), the same again under another name, and a gauge that holds still.
fn request(second: u64) -> Value {
    let time = ((EPOCH + second) * 1_000_000_000).to_string();
    let text = |key: &str, value: String| json!({"key": key, "value": {"stringValue": value}});
    let counter = |name: &str| {
        let points = (0..200_u64).map(|series| {
            json!({
                "startTimeUnixNano": (EPOCH * 1_000_000_000).to_string(), "timeUnixNano": time,
                "asInt": (second * (series + 1)).to_string(),
                "attributes": [text("pod", format!("p{}", series % 40)), text("route", format!("/{}", series / 40))],
            })
        });
        json!({"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points.collect::<Vec<_>>()}})
    };
    let gauges = (0..50).map(|series| {
        json!({"timeUnixNano": time, "asDouble": 8.0, "attributes": [text("disk", format!("{series}"))]})
    });
    json!({"resourceMetrics": [{"resource": {"attributes": [text("service.name", "shop".to_owned())]},
    "scopeMetrics": [{"metrics": [
        counter("requests"), counter("copies*"),
        {"name": "sizes", "gauge": {"dataPoints": gauges.collect::<Vec<_>>()}},
    ]}]}]})
}

fn report(rounds: u64, bounds: Bounds) -> Report {
    let mut survey = Survey::new(bounds, 7);
    for round in 0..rounds {
        let batch = golden::batch(Signal::Metrics, &request(10 * round).to_string());
        batch.payload.pieces().for_each(|piece| survey.observe(piece));
    }
    survey.report(10)
}

#[test]
fn what_is_predicted_is_saved() {
    let rounds = 60;
    let report = report(rounds, Bounds::default());
    let names: Vec<&str> = report.proposals.iter().map(|proposal| proposal.name.as_str()).collect();
    assert_eq!(names, ["without-pod", "still-gauges"]);
    let predicted: (u64, u64) = report
        .proposals
        .iter()
        .fold((0, 0), |sum, one| (sum.0 + one.saving.series, sum.1 + one.saving.points));
    let rules = yaml(&report.proposals).replace("    mode: shadow\n", "");
    let catalog = decode_text::<Catalog>(&rules).unwrap_or_else(|problems| panic!("{rules}\n{problems}"));
    let config = decode_text::<OptimizerConfig>("{interval: 60s}").expect("settings");
    let spec = stage(&config, &[catalog], 1, &Metrics::default(), "optimizer").expect("no conflicts");
    let mut harness = StageHarness::new(spec);
    harness.advance(Duration::from_secs(EPOCH));
    let (mut points, mut after) = (0, Survey::new(Bounds::default(), 7));
    let mut collect = |harness: &mut StageHarness| {
        for fragment in harness.take_released() {
            points += fragment.batch.items;
            fragment.batch.payload.pieces().for_each(|piece| after.observe(piece));
        }
    };
    for round in 0..rounds {
        harness.send(golden::batch(Signal::Metrics, &request(10 * round).to_string())).expect("taken");
        harness.advance(Duration::from_secs(10));
        collect(&mut harness);
    }
    harness.drain();
    collect(&mut harness);
    let saved_points = report.totals.points - points;
    let saved_series = report.totals.series - after.report(1).totals.series;
    let off = |predicted: u64, saved: u64| predicted.abs_diff(saved) as f64 / saved as f64;
    assert!(off(predicted.0, saved_series) <= 0.05, "{} series predicted, {saved_series} saved", predicted.0);
    assert!(off(predicted.1, saved_points) <= 0.05, "{} points predicted, {saved_points} saved", predicted.1);
}

#[test]
fn labels_growth_and_repetition_are_told() {
    let report = report(12, Bounds::default());
    assert_eq!((report.totals.metrics, report.totals.points), (3, 12 * 450));
    let by_name = |name: &str| report.metrics.iter().find(|metric| metric.name == name).expect("the metric");
    let labels = &by_name("requests").labels;
    assert_eq!((labels[0].key.as_str(), labels[0].values, labels[0].series_without), ("pod", 40, 5));
    assert_eq!((labels[1].key.as_str(), labels[1].values, labels[1].series_without), ("route", 5, 40));
    assert_eq!((labels[2].key.as_str(), labels[2].on_resource, labels[2].saves), ("service.name", true, 0.0));
    assert_eq!((by_name("sizes").constant_series, report.totals.constant_series), (50, 50));
    let [repeated] = report.repeated.as_slice() else { panic!("{:?}", report.repeated) };
    assert!(repeated.series >= 199, "all but the one that stays at zero: {repeated:?}");
    assert!(report.notes.is_empty());
}

#[test]
fn what_is_beyond_the_bounds_is_counted_and_told() {
    let small = Bounds { metrics: 2, labels: 1, series: 100, sketches: 1 };
    let report = report(3, small);
    assert_eq!(report.totals.points, 3 * 450);
    assert_eq!(report.notes.len(), 3, "{:?}", report.notes);
    let heaviest = &report.metrics[0];
    assert!(heaviest.series.abs_diff(200) < 20, "by a sketch: {}", heaviest.series);
}
