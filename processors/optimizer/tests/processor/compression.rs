//! How much smaller histograms become, and with what error, through the whole processor. The figures in `docs/optimizer.md`:
//! `cargo test -p phoenix-processor-optimizer --test processor compression -- --nocapture`.

#![allow(clippy::print_stdout, reason = "the figures are what this is run for")]

use std::time::Duration;

use bytes::Bytes;
use phoenix_component::Batch;
use phoenix_component::harness::StageHarness;
use phoenix_config::decode_text;
use phoenix_pdata::view::{ExponentialPoint, View as _};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::{Payload, Signal, write};
use phoenix_processor_optimizer::{OptimizerConfig, stage};
use phoenix_series::{Explicit, Exponential, index_of, lower_bound, relative_error};
use phoenix_telemetry::Metrics;

const MEASUREMENTS: usize = 10_000;
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
/// Bytes of a point that are not about buckets: two times, count and sum.
const REST: usize = 36;
/// Buckets of either sign in the SDKs.
const SDK_BUCKETS: usize = 160;
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// A number from 0 to 1, both excluded: SplitMix64.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + f64::EPSILON
}

fn normal(state: &mut u64) -> f64 {
    (-2.0 * uniform(state).ln()).sqrt() * (std::f64::consts::TAU * uniform(state)).cos()
}

type Draw = fn(&mut u64) -> f64;

/// Even by ratio between two values.
fn between(state: &mut u64, low: f64, high: f64) -> f64 {
    (low.ln() + (high.ln() - low.ln()) * uniform(state)).exp()
}

const DISTRIBUTIONS: [(&str, Draw); 11] = [
    ("1 to 2", |state| between(state, 1.0, 2.0)),
    ("1 ms to 10 s", |state| between(state, 1e-3, 10.0)),
    ("1 ms to 60 s", |state| between(state, 1e-3, 60.0)),
    ("1 to 1000", |state| between(state, 1.0, 1000.0)),
    ("1 to 65536", |state| between(state, 1.0, 65536.0)),
    ("1e-6 to 1e3", |state| between(state, 1e-6, 1e3)),
    ("1e-300 to 1e300", |state| between(state, 1e-300, 1e300)),
    ("log-normal, 100 ms", |state| 0.1 * normal(state).exp()),
    ("exponential, 200 ms", |state| -0.2 * uniform(state).ln()),
    ("two peaks, 5 ms and 2 s", |state| {
        let middle = if uniform(state) < 0.8 { 0.005 } else { 2.0 };
        middle * (0.2 * normal(state)).exp()
    }),
    ("Pareto, 1 ms, 1.5", |state| 1e-3 * uniform(state).powf(-1.0 / 1.5)),
];

fn drawn(draw: Draw) -> Vec<f64> {
    let mut state = 1;
    let mut values: Vec<f64> = (0..MEASUREMENTS).map(|_| draw(&mut state)).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The histogram of a sender whose scale stays as it is.
fn at_scale(values: &[f64], scale: i32) -> Exponential {
    let mut made =
        Exponential { scale, count: values.len() as u64, sum: Some(1.0), ..Exponential::default() };
    for value in values {
        made.positive.add(index_of(scale, *value), 1);
    }
    made
}

/// That of an SDK: the highest scale with at most so many buckets.
fn of_sdk(values: &[f64]) -> Exponential {
    let mut made = at_scale(values, 8);
    made.limit(SDK_BUCKETS);
    made
}

fn exponential_point(value: &Exponential) -> Vec<u8> {
    let mut point = Vec::new();
    write::put_fixed64(&mut point, 2, 1_000_000_000);
    write::put_fixed64(&mut point, 3, 2_000_000_000);
    write::put_fixed64(&mut point, 4, value.count);
    write::put_double(&mut point, 5, 1.0);
    write::put_sint32(&mut point, 6, value.scale);
    write::put_message(&mut point, 8, |buckets| {
        write::put_sint32(buckets, 1, value.positive.offset as i32);
        let mut counts = Vec::new();
        value.positive.counts.iter().for_each(|count| write::put_varint(&mut counts, *count));
        write::put_bytes(buckets, 2, &counts);
    });
    point
}

fn explicit_counts(values: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; SECONDS.len() + 1];
    for value in values {
        counts[SECONDS.iter().position(|bound| value <= bound).unwrap_or(SECONDS.len())] += 1;
    }
    counts
}

fn explicit_point(counts: &[u64]) -> Vec<u8> {
    let mut point = Vec::new();
    write::put_fixed64(&mut point, 2, 1_000_000_000);
    write::put_fixed64(&mut point, 3, 2_000_000_000);
    write::put_fixed64(&mut point, 4, counts.iter().sum());
    write::put_double(&mut point, 5, 1.0);
    let words = |words: Vec<[u8; 8]>| words.concat();
    write::put_bytes(&mut point, 6, &words(counts.iter().map(|count| count.to_le_bytes()).collect()));
    write::put_bytes(&mut point, 7, &words(SECONDS.iter().map(|bound| bound.to_le_bytes()).collect()));
    point
}

/// What a rule makes of a point, as an exponential histogram and its size; `kind` is the field of the metric.
fn compressed(settings: &str, kind: u32, point: &[u8]) -> (Exponential, usize, Metrics) {
    let yaml = format!("{{rules: [{{name: h, histograms: {settings}}}]}}");
    let config = decode_text::<OptimizerConfig>(&yaml).expect("settings");
    let metrics = Metrics::default();
    let spec = stage(&config, &[], 1, &metrics, "optimizer").expect("no conflicts");
    let mut harness = StageHarness::new(spec);
    harness.advance(Duration::from_secs(1000));
    let mut request = Vec::new();
    write::put_message(&mut request, 1, |entry| {
        write::put_message(entry, 2, |scope| {
            write::put_message(scope, 2, |metric| {
                write::put_bytes(metric, 1, b"latency");
                write::put_message(metric, kind, |data| {
                    write::put_bytes(data, 1, point);
                    write::put_uint(data, 2, 1);
                });
            });
        });
    });
    harness.send(Batch::new(Signal::Metrics, Payload::from(Bytes::from(request)), 1)).expect("taken");
    let released = harness.take_released();
    let payload = released.first().expect("one request").batch.payload.clone();
    let piece = payload.pieces().next().expect("one piece").to_vec();
    let mut body = piece.as_slice();
    for number in [1, 2, 2, 10, 1] {
        let field = Fields::new(body).find(|field| field.is_len(number)).expect("an exponential histogram");
        body = field.body;
    }
    let mut made = Exponential::default();
    assert!(made.read(&ExponentialPoint::new(body)));
    assert!(made.adds_up());
    (made, body.len() - REST, metrics)
}

/// The quantile as the middle of its bucket, with which no value of the bucket is off by more than the stated error.
fn middle(histogram: &Exponential, quantile: f64) -> f64 {
    let rank = (quantile * histogram.count as f64).ceil() as u64;
    let mut below = 0;
    for (count, index) in histogram.positive.counts.iter().zip(histogram.positive.offset..) {
        below += count;
        if below >= rank {
            let (low, high) = (lower_bound(histogram.scale, index), lower_bound(histogram.scale, index + 1));
            // As a product of ratios, which neither overflows nor vanishes at the ends of the range.
            return low * (2.0 / (1.0 + low / high));
        }
    }
    f64::NAN
}

/// The largest error of the quantiles against the values that were measured.
fn error(histogram: &Exponential, values: &[f64]) -> f64 {
    let of = |quantile: &f64| {
        let exact = values[(quantile * values.len() as f64).ceil() as usize - 1];
        ((middle(histogram, *quantile) - exact) / exact).abs()
    };
    QUANTILES.iter().map(of).fold(0.0, f64::max)
}

/// How many times fewer bytes are left at scale 2, at least, by the scale before. Each step of the scale halves the buckets; counts
/// that grow above 127 take two bytes, which takes back at most half.
fn least_ratio(scale: i32, measurements: usize) -> f64 {
    match (scale, measurements) {
        (7.., _) => 8.0,
        (6, _) => 6.0,
        (5, _) => 3.0,
        (4, ..=1_000) => 2.9,
        (4, _) => 1.7,
        (3, ..=1_000) => 1.6,
        _ => 1.0,
    }
}

#[test]
fn histograms_become_smaller_within_the_error_that_is_stated() {
    println!(
        "| distribution | measurements | scale | buckets | `max_error` | scale | bytes | fewer | measured error | stated |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, draw) in DISTRIBUTIONS {
        for measurements in [1_000, MEASUREMENTS] {
            let all = drawn(draw);
            let values: Vec<f64> = all.iter().copied().step_by(all.len() / measurements).collect();
            // What an SDK has that keeps to 160 buckets, and what it would have without that limit.
            let of_sdk = of_sdk(&values);
            let higher = (of_sdk.scale + 1..=7).filter(|scale| {
                let apart = index_of(*scale, values[values.len() - 1]) - index_of(*scale, values[0]);
                // The whole range of doubles would be nearly a million buckets.
                apart < 4_000
            });
            let sources: Vec<Exponential> =
                std::iter::once(of_sdk.scale).chain(higher).map(|scale| at_scale(&values, scale)).collect();
            for source in &sources {
                for (max_error, scale) in [(0.09, 2), (0.01, 6)] {
                    let point = exponential_point(source);
                    let (made, bytes, metrics) =
                        compressed(&format!("{{max_error: {max_error}}}"), 10, &point);
                    assert_eq!(made.scale, source.scale.min(scale), "{name}");
                    assert_eq!(made.count, values.len() as u64);
                    if source.scale <= scale {
                        continue;
                    }
                    let before = point.len() - REST;
                    let (fewer, error) = (before as f64 / bytes as f64, error(&made, &values));
                    let stated = relative_error(made.scale);
                    let buckets = source.positive.counts.len();
                    println!(
                        "| {name} | {} | {}{} | {buckets} | {max_error} | {} | {before} to {bytes} | {fewer:.1} x | {:.2} % | {:.2} % |",
                        values.len(),
                        source.scale,
                        if source.scale == of_sdk.scale { ", an SDK's" } else { "" },
                        made.scale,
                        100.0 * error,
                        100.0 * stated,
                    );
                    assert!(error <= stated + 1e-9, "{name}: {error}");
                    let told = metrics.sum("phoenix_processor_optimizer_quantile_error", &[("rule", "h")]);
                    assert!(told as f64 <= 1e6 * max_error, "{name}: {told}");
                    let least = if scale == 2 { least_ratio(source.scale, values.len()) } else { 1.0 };
                    assert!(fewer >= least, "{name}, {} from {}: {fewer}", values.len(), source.scale);
                }
            }
        }
    }
}

/// The quantile with the measurements of a bucket spread evenly by ratio, as Prometheus reads native histograms.
fn interpolated(histogram: &Exponential, quantile: f64) -> f64 {
    histogram.quantile(quantile).expect("measurements")
}

/// The largest error of a way to tell quantiles.
fn worst(histogram: &Exponential, values: &[f64], tell: fn(&Exponential, f64) -> f64) -> f64 {
    let of = |quantile: &f64| {
        let exact = values[(quantile * values.len() as f64).ceil() as usize - 1];
        ((tell(histogram, *quantile) - exact) / exact).abs()
    };
    QUANTILES.iter().map(of).fold(0.0, f64::max)
}

/// By how much quantiles move that are read from the explicit histogram, as dashboards do, and then as the middle of an exponential
/// bucket.
fn moved(source: &Explicit, made: &Exponential) -> f64 {
    let of = |quantile: &f64| {
        let before = source.quantile(*quantile).expect("measurements");
        ((middle(made, *quantile) - before) / before).abs()
    };
    QUANTILES.iter().map(of).fold(0.0, f64::max)
}

/// What dashboards read stays within the error of the scale, but for the few measurements by which the spread is uneven.
fn assert_read_as_before(source: &Explicit, made: &Exponential, quantile: f64) {
    let count = source.count as f64;
    let slack = (count.log2() / 3.0 + 2.0) / count;
    let before = |quantile: f64| source.quantile(quantile.clamp(0.0, 1.0)).expect("measurements");
    let (low, after, high) = (before(quantile - slack), middle(made, quantile), before(quantile + slack));
    let error = relative_error(made.scale) + 1e-9;
    let is_within = after >= low * (1.0 - error) && after <= high * (1.0 + error);
    assert!(is_within, "{quantile}: {after} is neither from {low} to {high} nor near");
}

/// By how much a quantile may be off, as a share of the value: the width of the bucket that it came from, and what the scale adds.
fn allowed(placement: &str, exact: f64) -> f64 {
    let place = SECONDS.iter().position(|bound| exact <= *bound).expect("below the last");
    let Some(low) = place.checked_sub(1).map(|below| SECONDS[below]) else { return f64::INFINITY };
    let wide = SECONDS[place] / low;
    let source = if placement == "geometric" { wide.sqrt() } else { wide };
    source * (1.0 + relative_error(2)) - 1.0
}

#[test]
fn explicit_histograms_become_a_third_and_stay_within_their_buckets() {
    println!(
        "| distribution | measurements | `placement` | bytes | fewer | error | error, interpolated | against the quantiles before |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, draw) in DISTRIBUTIONS {
        for measurements in [1_000, 3_000, 10_000] {
            let mut values = drawn(draw);
            values.retain(|value| (0.005..=10.0).contains(value));
            if values.len() < 1000 {
                // The bounds of seconds are not about these.
                continue;
            }
            let every = values.len().div_ceil(measurements);
            let values: Vec<f64> = values.into_iter().step_by(every).collect();
            let counts = explicit_counts(&values);
            let point = explicit_point(&counts);
            let count = values.len() as u64;
            let source = Explicit { bounds: SECONDS.into(), counts, count, ..Explicit::default() };
            for placement in ["geometric", "upper", "log_split", "linear_split"] {
                let settings = format!("{{max_error: 0.09, to_exponential: true, placement: {placement}}}");
                let (made, bytes, _) = compressed(&settings, 9, &point);
                assert_eq!((made.scale, made.count), (2, values.len() as u64));
                let before = point.len() - REST;
                let fewer = before as f64 / bytes as f64;
                for quantile in QUANTILES {
                    let exact = values[(quantile * values.len() as f64).ceil() as usize - 1];
                    let error = ((middle(&made, quantile) - exact) / exact).abs();
                    let allowed = allowed(placement, exact);
                    assert!(error <= allowed + 1e-9, "{name}, {placement}, {quantile}: {error} of {allowed}");
                }
                let [in_the_middle, spread] = [middle, interpolated].map(|tell| worst(&made, &values, tell));
                let moved = moved(&source, &made);
                println!(
                    "| {name} | {} | {placement} | {before} to {bytes} | {fewer:.1} x | {:.1} % | {:.1} % | {:.1} % |",
                    values.len(),
                    100.0 * in_the_middle,
                    100.0 * spread,
                    100.0 * moved,
                );
                if placement == "linear_split" {
                    assert!(
                        measurements != 3_000 || fewer >= 3.0 && moved <= 0.09,
                        "{name}: {fewer}, {moved}"
                    );
                    for quantile in QUANTILES {
                        assert_read_as_before(&source, &made, quantile);
                    }
                }
                if matches!(placement, "geometric" | "upper") {
                    assert!(fewer >= 3.0, "{name}: {fewer}");
                    continue;
                }
                // Counts of up to 127 take a byte each.
                let least = if values.len() <= 3_000 { 3.0 } else { 2.4 };
                assert!(fewer >= least, "{name}: {fewer}");
                // Even by ratio is what it takes measurements for; those from 1 to 2 fill but half of their bucket.
                if placement == "log_split" && name.contains(" to ") && name != "1 to 2" {
                    assert!(spread <= 0.09, "{name}: {spread}");
                }
            }
        }
    }
}
