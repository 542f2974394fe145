//! Random streams against a model that remembers everything: whatever order data points come in, whatever is repeated, over
//! restarts and changes, every window has what belongs there.

use proptest::prelude::*;

use super::*;

/// Windows of the tests, in seconds.
pub(super) const WINDOW: u64 = 20;
/// How far data points are out of order at most.
pub(super) const DISORDER: usize = 12;
pub(super) const PODS: [&str; 3] = ["a", "b", "c"];

/// A stream: when its points are, by how much each grows, and where it starts again.
#[derive(Clone, Debug)]
pub(super) struct Story {
    of: Of,
    /// Seconds to the next point, increment, whether it started again before.
    points: Vec<(u64, i64, bool)>,
    knows_start: bool,
}

impl Story {
    pub(super) fn is_delta(&self) -> bool {
        self.of == DELTA
    }

    /// The same points, of a metric of another kind.
    pub(super) fn told_as(&self, of: Of) -> Story {
        Story { of, ..self.clone() }
    }
}

pub(super) fn stories() -> impl Strategy<Value = Vec<Story>> {
    let of = prop_oneof![Just(CUMULATIVE), Just(DELTA), Just(Of::UpDown), Just(Of::Gauge)];
    let points = prop::collection::vec((1u64..9, 0i64..100, prop::bool::weighted(0.1)), 1..25);
    let story =
        (of, points, any::<bool>()).prop_map(|(of, points, knows_start)| Story { of, points, knows_start });
    prop::collection::vec(story, PODS.len()..=PODS.len())
}

/// The points of a story in order of time.
pub(super) fn tell(pod: &'static str, story: &Story) -> Vec<In> {
    let (mut time, mut start, mut value) = (100, 100, 0);
    let mut told = Vec::new();
    for (after, by, again) in &story.points {
        let before = time;
        time += after;
        value = match story.of {
            Of::Counter(Temporality::Cumulative) if !again => value + by,
            Of::Counter(Temporality::Cumulative) => {
                start = before;
                *by
            }
            Of::UpDown | Of::Gauge => by - 50,
            _ => *by,
        };
        let since = match story.of {
            Of::Counter(Temporality::Delta) => Some(before),
            _ => story.knows_start.then_some(start),
        };
        told.push(point(pod, story.of, since, time, value));
    }
    told
}

pub(super) fn window_of(time: u64) -> u64 {
    time.div_ceil(WINDOW) * WINDOW
}

/// What each window of each kind should hold, over all streams: computed from whole histories, nothing at a time.
pub(super) fn model(told: &[Vec<In>]) -> BTreeMap<(String, u64), i64> {
    let mut windows: BTreeMap<(String, u64), i64> = BTreeMap::new();
    // The start of the first window: streams that began in it count in full.
    let first = told.iter().flatten().map(|point| point.time).min().expect("points");
    let horizon = window_of(first) - WINDOW;
    let mut levels: BTreeMap<(String, u64), BTreeMap<&str, i64>> = BTreeMap::new();
    for points in told {
        let mut before: Option<&In> = None;
        for point in points {
            let Says::Int(value) = point.says else { unreachable!("numbers") };
            let key = (format!("{:?}", point.of), window_of(point.time));
            match point.of {
                Of::Counter(Temporality::Delta) => *windows.entry(key).or_default() += value,
                Of::Counter(_) => {
                    let increment = match before {
                        None => match point.start {
                            Some(start) if start >= horizon && start < point.time => value,
                            _ => 0,
                        },
                        Some(before) => {
                            let Says::Int(old) = before.says else { unreachable!("numbers") };
                            let again = point
                                .start
                                .is_some_and(|start| start >= before.time && Some(start) > before.start);
                            if again || value < old { value } else { value - old }
                        }
                    };
                    *windows.entry(key).or_default() += increment;
                }
                _ => {
                    levels.entry(key).or_default().insert(point.pod, value);
                }
            }
            before = Some(point);
        }
    }
    // Sums that can fall stay until they are replaced; gauges count where they had points.
    let mut carried: BTreeMap<&str, i64> = BTreeMap::new();
    for (key, latest) in levels {
        let sum = if key.0 == format!("{:?}", Of::UpDown) {
            carried.extend(latest);
            carried.values().sum()
        } else {
            latest.values().sum()
        };
        windows.insert(key, sum);
    }
    windows
}

/// Puts points into an order in which none is more than so many seconds behind the newest before it.
pub(super) fn shuffle(told: &[Vec<In>], jitter: &[u64]) -> Vec<In> {
    let mut points: Vec<(u64, In)> = told
        .iter()
        .flatten()
        .zip(jitter.iter().cycle())
        .map(|(point, jitter)| (point.time + jitter % DISORDER as u64, point.clone()))
        .collect();
    points.sort_by_key(|(at, _)| *at);
    points.into_iter().map(|(_, point)| point).collect()
}

fn found_by_window(found: &[Out]) -> BTreeMap<(String, u64), i64> {
    let mut windows = BTreeMap::new();
    for out in found {
        let Value::Int(value) = out.value else { panic!("{out:?}") };
        // At the end windows are let out with the time of their last point.
        *windows.entry((out.name.clone(), window_of(out.time as u64))).or_insert(0) += value;
    }
    windows
}

fn settings() -> AggregatorConfig {
    settings_with("")
}

pub(super) fn settings_with(others: &str) -> AggregatorConfig {
    let rule = |id: &str, kind: &str, outputs: &str| {
        format!(
            r#"{{"id": "{id}", "interval": "{WINDOW}s", "by": [], "match": {{"kinds": ["{kind}"]}}, "outputs": ["{outputs}"], "name": "{id}"}}"#
        )
    };
    let rules = [
        rule("counter", "counter", "increase"),
        rule("up_down", "up_down_counter", "sum"),
        rule("gauge", "gauge", "sum"),
    ];
    let watermark = format!(r#"{{"out_of_order": "{DISORDER}s", "partition": "none"}}"#);
    config(&format!(
        r#"{{"rules": [{}], "watermark": {watermark}, "flush_on_shutdown": true{others}}}"#,
        rules.join(",")
    ))
}

/// The model's windows under the names of the rules: increments of both temporalities go into one.
pub(super) fn named(model: BTreeMap<(String, u64), i64>) -> BTreeMap<(String, u64), i64> {
    let mut windows = BTreeMap::new();
    for ((of, end), value) in model {
        let name = match of.as_str() {
            "UpDown" => "up_down",
            "Gauge" => "gauge",
            _ => "counter",
        };
        *windows.entry((name.to_owned(), end)).or_insert(0) += value;
    }
    windows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_window_has_what_belongs_there(
        stories in stories(),
        jitter in prop::collection::vec(0u64..1000, 1..80),
        cuts in prop::collection::vec(1usize..8, 1..40),
        repeats in prop::collection::vec(prop::bool::weighted(0.2), 1..40),
        swaps in prop::collection::vec(prop::bool::weighted(0.15), 1..40),
    ) {
        let told: Vec<Vec<In>> = PODS.iter().zip(&stories).map(|(pod, story)| tell(pod, story)).collect();
        let expected = named(model(&told));
        let arrivals = shuffle(&told, &jitter);
        // The earliest comes first, so that nothing is before the first window.
        let earliest = told.iter().flatten().min_by_key(|point| point.time).expect("points").clone();
        let place = place();
        let mut tested = Bare::new(&settings(), &place);
        tested.send(&[earliest]);
        let mut rest = arrivals.as_slice();
        let mut turn = 0;
        while !rest.is_empty() {
            let (request, behind) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
            tested.send(request);
            if repeats[turn % repeats.len()] {
                tested.send(request);
            }
            if swaps[turn % swaps.len()] {
                tested = tested.succeeded(&settings(), &place, turn % 2 == 0);
            }
            rest = behind;
            turn += 1;
        }
        let taken: Vec<_> = tested.aggregator.plans.iter().map(|plan| plan.books.taken.value()).collect();
        let mut found = tested.take();
        found.extend(tested.drain());
        let found = found_by_window(&found);
        let without_zeros = |windows: BTreeMap<(String, u64), i64>| -> BTreeMap<(String, u64), i64> {
            windows.into_iter().filter(|((name, _), value)| name != "counter" || *value != 0).collect()
        };
        prop_assert_eq!(without_zeros(found.clone()), without_zeros(expected.clone()));
        // Conservation: what came in as increments came out, all of it.
        let let_out: Vec<_> = tested.aggregator.plans.iter().map(|plan| plan.books.let_out.value()).collect();
        let _ = taken;
        let total: i64 = found.iter().filter(|((name, _), _)| name == "counter").map(|(_, value)| *value).sum();
        prop_assert_eq!(let_out[0], Number::Int(total));
        prop_assert_eq!(tested.aggregator.plans[0].books.taken.value(), Number::Int(total));
    }

    #[test]
    fn nothing_panics_whatever_comes(
        points in prop::collection::vec((0usize..3, 0u8..7, prop::option::of(0u64..400), 0u64..400, -100i64..100), 0..60),
        window in 0usize..4,
        requests in prop::collection::vec(1usize..10, 1..20),
    ) {
        let window = [
            r#""window": "tumbling", "tiers": [{"interval": "60s"}]"#,
            r#""window": "hopping", "every": "5s""#,
            r#""window": "sliding", "every": "10s""#,
            r#""window": "session", "gap": "15s""#,
        ][window];
        let outputs = r#""outputs": ["sum", "increase", "rate", "count", "series", "last", "first", "min", "max", "avg", "time_weighted_avg", "stddev", "unique", "histogram", "p50"]"#;
        let settings = rule(&format!(r#""interval": "20s", "without": ["pod"], {window}, {outputs}, "name": "{{name}}.{{output}}""#), "");
        let mut tested = Tested::new(&settings);
        let points: Vec<In> = points.into_iter().map(|(pod, of, start, time, value)| {
            let temporality = if value % 2 == 0 { Temporality::Delta } else { Temporality::Cumulative };
            let count = value.unsigned_abs();
            let (of, says) = match of {
                0 => (Of::Gauge, Says::Double(value as f64 / 3.0)),
                1 => (Of::Counter(temporality), Says::Int(value.abs())),
                2 => (Of::UpDown, Says::Int(value)),
                3 => (Of::Histogram(temporality), Says::Explicit(vec![1.0, 2.0], vec![count, 1, 0], 1.0)),
                4 => (Of::Exponential(temporality), Says::Exponential(3, -(count as i32), vec![1, count])),
                5 => (Of::Gauge, Says::Ended),
                _ => (Of::Summary, Says::Summary(count, 1.0)),
            };
            In { pod: PODS[pod], of, start, time, says }
        }).collect();
        let mut rest = points.as_slice();
        let mut turn = 0;
        while !rest.is_empty() {
            let (request, behind) = rest.split_at(requests[turn % requests.len()].min(rest.len()));
            // Everything that comes out is checked to be valid OTLP, and the books balance.
            tested.send(request);
            if turn % 3 == 0 {
                tested.advance(7);
            }
            rest = behind;
            turn += 1;
        }
        tested.drain();
    }
}

proptest! {
    // Each of them runs eight aggregators and more.
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

    #[test]
    fn rules_that_share_streams_give_what_each_gives_alone(
        stories in stories(),
        jitter in prop::collection::vec(0u64..1000, 1..80),
        cuts in prop::collection::vec(1usize..8, 1..40),
        swaps in prop::collection::vec(prop::bool::weighted(0.15), 1..40),
    ) {
        let told: Vec<Vec<In>> = PODS.iter().zip(&stories).map(|(pod, story)| tell(pod, story)).collect();
        let mut arrivals = shuffle(&told, &jitter);
        // Histograms beside the counters, which grow as these do.
        let histograms: Vec<_> = arrivals.iter().filter_map(|point| {
            let (Of::Counter(temporality), Says::Int(value)) = (point.of, &point.says) else { return None };
            let count = *value as u64;
            let says = Says::Explicit(vec![1.0], vec![count / 2, count - count / 2], 0.0);
            Some(In { of: Of::Histogram(temporality), says, ..point.clone() })
        }).collect();
        arrivals.extend(histograms);
        arrivals.sort_by_key(|point| point.time + jitter[point.time as usize % jitter.len()] % DISORDER as u64);
        let rules = [
            r#""interval": "20s", "by": [], "outputs": ["increase", "count", "series", "last"]"#,
            r#""interval": "20s", "by": [], "outputs": ["increase", "count", "series"], "tiers": [{"interval": "40s"}]"#,
            r#""interval": "20s", "by": ["pod"], "outputs": ["total", "series"]"#,
            r#""interval": "60s", "by": [], "outputs": ["increase", "series"]"#,
            r#""interval": "20s", "every": "20s", "window": "hopping", "by": ["route"], "outputs": ["rate", "count"]"#,
            r#""window": "session", "gap": "5s", "by": [], "outputs": ["increase"]"#,
        ];
        // Alone, with the same windows, with longer ones, and with sessions.
        for chosen in [&[0, 1][..], &[0, 1, 2, 4], &[0, 1, 3], &[1, 2, 5], &[2]] {
            let rule = |index: &usize| {
                format!(r#"{{"id": "r{index}", {}, "name": "{{rule}}.{{output}}"}}"#, rules[*index])
            };
            let settings = |rules: Vec<String>| {
                let watermark = format!(r#"{{"out_of_order": "{DISORDER}s", "partition": "none"}}"#);
                config(&format!(
                    r#"{{"rules": [{}], "watermark": {watermark}, "flush_on_shutdown": true, "first_sample": "count"}}"#,
                    rules.join(",")
                ))
            };
            let run = |settings: &AggregatorConfig, swap: bool| {
                let place = place();
                let mut tested = Bare::new(settings, &place);
                let mut rest = arrivals.as_slice();
                let mut turn = 0;
                while !rest.is_empty() {
                    let (request, behind) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                    tested.send(request);
                    if swap && swaps[turn % swaps.len()] {
                        tested = tested.succeeded(settings, &place, turn % 2 == 0);
                    }
                    rest = behind;
                    turn += 1;
                }
                let mut found = tested.take();
                found.extend(tested.drain());
                // What no rule takes passes.
                found.retain(|out| out.name != "m");
                found.sort_by_key(|out| format!("{out:?}"));
                let books = tested.aggregator.plans.iter().map(|plan| plan.books);
                (found, books.collect::<Vec<_>>())
            };
            let (together, books) = run(&settings(chosen.iter().map(rule).collect()), true);
            // Whether the last session was over at the end depends on when it was looked at last.
            for (place, index) in chosen.iter().enumerate().filter(|(_, index)| **index != 5) {
                let (alone, books_alone) = run(&settings(vec![rule(index)]), false);
                let prefix = format!("r{index}.");
                let mine: Vec<_> = together.iter().filter(|out| out.name.starts_with(&prefix)).cloned().collect();
                prop_assert_eq!(mine, alone, "rule {} of {:?}", index, chosen);
                prop_assert_eq!(books[place], books_alone[0]);
            }
        }
    }
}
