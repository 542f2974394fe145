//! Every function in every kind of window against a model that knows all data points: whatever order they come in, and whoever
//! takes over in between.

use proptest::prelude::*;

use super::properties::{DISORDER, PODS, Story, shuffle, stories, tell};
use super::*;

/// A window of a model: what is in `(start, end]`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    end: u64,
}

/// A way to look at time, as a rule writes it.
#[derive(Clone, Copy, Debug)]
enum Windows {
    Tumbling,
    Tiers,
    Hopping,
    Sliding,
    Session,
}

const GAP: u64 = 6;

impl Windows {
    fn rule(self) -> &'static str {
        match self {
            Windows::Tumbling => r#""interval": "20s""#,
            Windows::Tiers => r#""interval": "10s", "tiers": [{"interval": "20s"}, {"interval": "60s"}]"#,
            Windows::Hopping => r#""interval": "20s", "window": "hopping", "every": "5s""#,
            Windows::Sliding => r#""interval": "20s", "window": "sliding", "every": "10s""#,
            Windows::Session => r#""window": "session", "gap": "6s""#,
        }
    }

    /// The windows that must come out of points at these times, the shortest of tiers first.
    fn spans(self, times: &[u64]) -> Vec<(&'static str, Span)> {
        let (first, last) = (times[0], times[times.len() - 1]);
        let steps = |name: &'static str, every: u64, length: u64| {
            let ends = (first.div_ceil(every)..=(last + length).div_ceil(every)).map(move |n| n * every);
            ends.map(move |end| (name, Span { start: end.saturating_sub(length), end }))
        };
        let has = |from: u64, to: u64| times.iter().any(|time| *time > from && *time <= to);
        match self {
            Windows::Tumbling => steps("", 20, 20).filter(|(_, s)| has(s.start, s.end)).collect(),
            Windows::Tiers => steps("10s", 10, 10)
                .chain(steps("20s", 20, 20))
                .chain(steps("1m", 60, 60))
                .filter(|(_, s)| has(s.start, s.end))
                .collect(),
            Windows::Hopping => steps("", 5, 20).filter(|(_, s)| has(s.start, s.end)).collect(),
            Windows::Sliding => steps("", 10, 20).filter(|(_, s)| has(s.end - 10, s.end)).collect(),
            Windows::Session => {
                let mut sessions: Vec<Span> = Vec::new();
                for time in times {
                    match sessions.last_mut().filter(|session| time - session.end <= GAP) {
                        Some(session) => session.end = *time,
                        None => sessions.push(Span { start: time - 1, end: *time }),
                    }
                }
                sessions.into_iter().map(|session| ("", session)).collect()
            }
        }
    }
}

/// What a stream added: time, the time before, and how much.
type Grown = (u64, Option<u64>, i64);

/// Increments of counters as a stream is told, whose first value is a baseline unless it is a delta.
fn increments(points: &[In]) -> Vec<Grown> {
    let mut before: Option<(&In, i64)> = None;
    let mut found = Vec::new();
    for point in points {
        let Says::Int(value) = point.says else { unreachable!("numbers") };
        let by = match before {
            _ if point.of == DELTA => value,
            None => 0,
            Some((last, old)) => {
                let again = point.start.is_some_and(|start| start >= last.time && Some(start) > last.start);
                if again || value < old { value } else { value - old }
            }
        };
        found.push((point.time, before.map(|(last, _)| last.time), by));
        before = Some((point, value));
    }
    found
}

/// What a function gives in a window; none where there is nothing.
fn expected(function: &str, told: &[Vec<In>], span: Span, session: bool) -> Option<f64> {
    let is_level = matches!(told[0][0].of, Of::Gauge | Of::UpDown);
    // They stay until they are replaced.
    let carries = told[0][0].of == Of::UpDown && !session;
    let inside = |time: u64| time > span.start && time <= span.end;
    let mut values: Vec<(u64, f64)> = Vec::new();
    let (mut series, mut latest, mut total) = (0_u32, 0.0, 0.0);
    let mut rates: Vec<f64> = Vec::new();
    let (mut weighted, mut weight) = (0.0, 0.0);
    for points in told {
        let grown: Vec<Grown> = increments(points).into_iter().filter(|(time, ..)| inside(*time)).collect();
        total += grown.iter().map(|(_, _, by)| *by as f64).sum::<f64>();
        if let (Some((first, before, by)), Some((last, ..))) = (grown.first(), grown.last()) {
            let rest: i64 = grown.iter().skip(1).map(|(_, _, by)| by).sum();
            let (since, increase) = match before {
                Some(before) => (*before, rest + by),
                None => (*first, rest),
            };
            if last > &since {
                rates.push(increase as f64 / (last - since) as f64);
            }
        }
        let mut mine: Vec<(u64, f64)> = Vec::new();
        for point in points.iter().filter(|point| inside(point.time)) {
            let Says::Int(value) = point.says else { unreachable!("numbers") };
            mine.push((point.time, value as f64));
        }
        series += u32::from(!mine.is_empty());
        let counts = |time: u64| if carries { time <= span.end } else { inside(time) };
        if let Some(point) = points.iter().rfind(|point| counts(point.time)) {
            let Says::Int(value) = point.says else { unreachable!("numbers") };
            latest += value as f64;
        }
        // Each value for as long as it held in the window, from the point before on.
        for (index, point) in points.iter().enumerate() {
            let Says::Int(value) = point.says else { unreachable!("numbers") };
            let until = points.get(index + 1).map_or(span.end, |next| next.time.min(span.end));
            let held = until.saturating_sub(point.time.max(span.start));
            weighted += value as f64 * held as f64;
            weight += held as f64;
        }
        values.extend(mine);
    }
    values.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    if values.is_empty() {
        return None;
    }
    let count = values.len() as f64;
    let numbers = || values.iter().map(|(_, value)| *value);
    let mean = numbers().sum::<f64>() / count;
    let variance = numbers().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    // Of several at one time the larger one.
    let at = |time: u64| numbers_at(&values, time).fold(f64::NEG_INFINITY, f64::max);
    let mut sorted: Vec<f64> = numbers().collect();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
    let distinct = {
        let mut all = sorted.clone();
        all.dedup();
        all.len()
    };
    let rate = |count: f64| (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / count);
    Some(match function {
        "count" => count,
        "series" => f64::from(series),
        "sum_samples" if is_level => numbers().sum(),
        "increase" | "sum_samples" => total,
        "rate" => total / (span.end - span.start) as f64,
        "rate_sum" => return rate(1.0),
        "rate_avg" => return rate(rates.len() as f64),
        "sum" => latest,
        "first" => at(values[0].0),
        "last" => at(values[values.len() - 1].0),
        "min" => sorted[0],
        "max" => sorted[sorted.len() - 1],
        "avg" => mean,
        "stddev" => variance.sqrt(),
        "stdvar" => variance,
        "unique" => distinct as f64,
        "p0" => sorted[0],
        "p50" => sorted[sorted.len().div_ceil(2) - 1],
        "p100" => sorted[sorted.len() - 1],
        // In a session a value holds up to the end of it, as far as it was seen there.
        "time_weighted_avg" if session => return None,
        "time_weighted_avg" if weight > 0.0 => weighted / weight,
        "time_weighted_avg" => at(values[values.len() - 1].0),
        other => unreachable!("{other}"),
    })
}

fn numbers_at(values: &[(u64, f64)], time: u64) -> impl Iterator<Item = f64> {
    values.iter().filter(move |(at, _)| *at == time).map(|(_, value)| *value)
}

const OF_COUNTERS: [&str; 7] = ["count", "series", "increase", "sum_samples", "rate", "rate_sum", "rate_avg"];
const OF_GAUGES: [&str; 16] = [
    "p50",
    "sum_samples",
    "count",
    "series",
    "sum",
    "first",
    "last",
    "min",
    "max",
    "avg",
    "stddev",
    "stdvar",
    "unique",
    "p0",
    "p100",
    "time_weighted_avg",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_function_in_every_kind_of_window(
        windows in prop::sample::select(vec![
            Windows::Tumbling, Windows::Tiers, Windows::Hopping, Windows::Sliding, Windows::Session,
        ]),
        kind in prop::sample::select(vec![Of::Gauge, Of::UpDown, CUMULATIVE]),
        stories in stories(),
        jitter in prop::collection::vec(0u64..1000, 1..80),
        cuts in prop::collection::vec(1usize..8, 1..40),
        swaps in prop::collection::vec(prop::bool::weighted(0.15), 1..40),
    ) {
        let is_level = kind != CUMULATIVE;
        let of = |story: &Story| if !is_level && story.is_delta() { DELTA } else { kind };
        let stories: Vec<Story> = stories.iter().map(|story| story.told_as(of(story))).collect();
        let told: Vec<Vec<In>> = PODS.iter().zip(&stories).map(|(pod, story)| tell(pod, story)).collect();
        let session = matches!(windows, Windows::Session);
        let functions: Vec<&str> = match is_level {
            true => OF_GAUGES.to_vec(),
            false => OF_COUNTERS.into_iter().filter(|name| !session || !name.starts_with("rate_")).collect(),
        };
        let outputs = serde_json::to_string(&functions).expect("names");
        let settings = rule(
            &format!(r#"{}, "by": [], "outputs": {outputs}, "name": "{{output}}@{{interval}}""#, windows.rule()),
            &format!(
                r#""watermark": {{"out_of_order": "{DISORDER}s", "partition": "none"}}, "first_sample": "skip", "flush_on_shutdown": false"#
            ),
        );
        let place = place();
        let mut tested = Bare::new(&settings, &place);
        let mut times: Vec<u64> = told.iter().flatten().map(|point| point.time).collect();
        times.sort_unstable();
        times.dedup();
        let earliest = told.iter().flatten().min_by_key(|point| point.time).expect("points").clone();
        tested.send(&[earliest]);
        let arrivals = shuffle(&told, &jitter);
        let mut rest = arrivals.as_slice();
        let mut turn = 0;
        while !rest.is_empty() {
            let (request, behind) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
            tested.send(request);
            if swaps[turn % swaps.len()] {
                tested = tested.succeeded(&settings, &place, turn % 2 == 0);
            }
            rest = behind;
            turn += 1;
        }
        // Another stream, of a kind that the rule makes nothing of here, moves the watermark behind all windows.
        tested.send(&[In { pod: "later", of: Of::UpDown, start: None, time: times[times.len() - 1] + 200, says: Says::Int(1) }]);
        let found = tested.take();
        for (interval, span) in windows.spans(&times) {
            for function in &functions {
                let expected = expected(function, &told, span, session);
                // Windows that were not seen whole are as long as they were seen, and sessions as what came counts.
                let is_shorter = *function == "rate" && (session || span.start < times[0]);
                if *function == "time_weighted_avg" && session || is_shorter {
                    continue;
                }
                let is_it = |out: &&Out| {
                    let name = out.name.split('@').collect::<Vec<_>>();
                    name[0] == *function && (interval.is_empty() || name[1] == interval) && out.time == span.end as f64
                };
                let all: Vec<f64> = found.iter().filter(is_it).map(|out| match out.value {
                    Value::Int(value) => value as f64,
                    Value::Double(value) => value,
                    ref other => panic!("{other:?}"),
                }).collect();
                // Quantiles of values from 1 to 50 are from buckets that are 4.4 % wide.
                let tolerance = if *function == "p50" { 0.045 } else { 1e-9 };
                let close = |value: f64| expected.is_some_and(|expected| {
                    (value - expected).abs() <= tolerance * expected.abs() + 1e-9
                });
                prop_assert!(
                    all.len() == usize::from(expected.is_some()) && all.iter().all(|value| close(*value)),
                    "{} {:?} {:?} {:?}: {:?}, expected {:?}", function, windows, interval, span, all, expected
                );
            }
        }
        // And nothing else.
        let spans = windows.spans(&times);
        let ends: Vec<f64> = spans.iter().map(|(_, span)| span.end as f64).collect();
        let strange = found.iter().find(|out| out.name != "m" && !out.labels.contains("later") && !ends.contains(&out.time));
        prop_assert!(strange.is_none(), "{:?}", strange);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// However late data comes, and whoever takes over in between: what was taken as increments comes out of each tier and of
    /// each kind of window, or is counted as dropped.
    #[test]
    fn increments_are_conserved_however_late_they_are(
        windows in prop::sample::select(vec![Windows::Tumbling, Windows::Tiers, Windows::Session]),
        late in prop::sample::select(vec!["", r#", "late": "correct""#]),
        lateness in prop::sample::select(vec![0_u64, 15, 200]),
        stories in stories(),
        jitter in prop::collection::vec(0u64..90, 1..80),
        cuts in prop::collection::vec(1usize..8, 1..40),
        swaps in prop::collection::vec(prop::bool::weighted(0.15), 1..40),
    ) {
        let stories: Vec<Story> = stories
            .iter()
            .map(|story| story.told_as(if story.is_delta() { DELTA } else { CUMULATIVE }))
            .collect();
        let told: Vec<Vec<In>> = PODS.iter().zip(&stories).map(|(pod, story)| tell(pod, story)).collect();
        let mut arrivals: Vec<(u64, In)> = told
            .iter()
            .flatten()
            .zip(jitter.iter().cycle())
            .map(|(point, jitter)| (point.time + jitter, point.clone()))
            .collect();
        arrivals.sort_by_key(|(at, _)| *at);
        let arrivals: Vec<In> = arrivals.into_iter().map(|(_, point)| point).collect();
        let late = if lateness > 0 && matches!(windows, Windows::Tumbling) { late } else { "" };
        let settings = rule(
            &format!(
                r#"{}, "by": [], "outputs": ["increase"], "temporality": "delta", "name": "i@{{interval}}"{late}"#,
                windows.rule()
            ),
            &format!(
                r#""watermark": {{"out_of_order": "5s", "partition": "none", "allowed_lateness": "{lateness}s"}}, "flush_on_shutdown": true"#
            ),
        );
        let place = place();
        let mut tested = Bare::new(&settings, &place);
        let mut rest = arrivals.as_slice();
        let mut turn = 0;
        while !rest.is_empty() {
            let (request, behind) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
            tested.send(request);
            if swaps[turn % swaps.len()] {
                tested = tested.succeeded(&settings, &place, turn % 2 == 0);
            }
            rest = behind;
            turn += 1;
        }
        let mut found = tested.take();
        found.extend(tested.drain());
        let Number::Int(taken) = tested.aggregator.plans[0].books.taken.value() else { panic!("whole numbers") };
        let Number::Int(let_out) = tested.aggregator.plans[0].books.let_out.value() else { panic!("whole numbers") };
        let Number::Int(dropped) = tested.aggregator.plans[0].books.dropped.value() else { panic!("whole numbers") };
        prop_assert_eq!(taken, let_out + dropped);
        let mut tiers: BTreeMap<String, i64> = BTreeMap::new();
        for out in found.iter().filter(|out| out.name.starts_with("i@")) {
            let Value::Int(value) = out.value else { panic!("{out:?}") };
            prop_assert!(out.start < out.time, "{:?}", out);
            *tiers.entry(out.name.clone()).or_default() += value;
        }
        prop_assert!(tiers.values().all(|value| *value == let_out), "{:?}, {} let out", tiers, let_out);
        if lateness == 200 {
            prop_assert_eq!(dropped, 0, "nothing was that late");
        }
        if late.is_empty() && !matches!(windows, Windows::Session) {
            // One writer: the times of the data points of a series follow each other.
            let mut spans: Vec<(&str, f64, f64)> =
                found.iter().map(|out| (out.name.as_str(), out.start, out.time)).collect();
            spans.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
            let lie_across = spans.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[1].1 < pair[0].2);
            prop_assert!(lie_across.is_none(), "{:?}", lie_across);
        }
    }
}
