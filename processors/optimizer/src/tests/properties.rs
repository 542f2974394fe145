//! Random streams, held against a model that knows everything and does nothing cleverly.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::data::*;

/// What happens to one of a few streams in a round.
#[derive(Clone, Copy, Debug)]
enum Event {
    Grows(u16),
    Restarts(u16),
    /// Nothing comes.
    Silent,
    /// The last point comes again.
    Repeats,
    /// A point from before the last comes.
    Late,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..1000_u16).prop_map(Event::Grows),
        1 => (0..50_u16).prop_map(Event::Restarts),
        1 => Just(Event::Silent),
        1 => Just(Event::Repeats),
        1 => Just(Event::Late),
    ]
}

const STREAMS: usize = 5;

/// A stream as its sender knows it.
#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    value: u64,
    start: i64,
    time: i64,
    /// Everything that it ever counted, as far as it was told.
    told: u64,
    sent: Option<u64>,
}

fn labels(stream: usize) -> String {
    format!("pod=p{stream} group=g{}", stream % 2)
}

/// What starts before the first data is a baseline: so something comes before everything else.
fn begin(fixture: &mut Fixture) {
    assert_eq!(fixture.send("", gauge("first", &[("", -1, 0, 1.0)])).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// No reset, gap, repetition or delay makes the sum fall, and at the end it is what was counted.
    #[test]
    fn cumulative_sums_are_exact_and_never_fall(
        rounds in proptest::collection::vec(proptest::collection::vec(event(), STREAMS), 1..30),
        known_starts in any::<bool>(),
    ) {
        let mut fixture = optimizer("{name: p, match: {types: [counter]}, drop_labels: [pod]}");
        begin(&mut fixture);
        let mut senders = [Sender::default(); STREAMS];
        let mut last: BTreeMap<String, (i64, i64, u64)> = BTreeMap::new();
        for (round, events) in rounds.iter().enumerate() {
            let time = 10 * round as i64 + 5;
            let mut points = Vec::new();
            for (stream, (sender, event)) in senders.iter_mut().zip(events).enumerate() {
                let (at, value) = match *event {
                    Event::Silent => continue,
                    Event::Repeats | Event::Late if sender.sent.is_none() => continue,
                    Event::Repeats => (sender.time, sender.value),
                    Event::Late => (sender.time - 3, sender.value / 2),
                    Event::Grows(by) => {
                        sender.value += u64::from(by);
                        (time, sender.value)
                    }
                    Event::Restarts(to) => {
                        // Without start times a restart shows only where the value falls.
                        let to = if known_starts { u64::from(to) } else { u64::from(to).min(sender.value.saturating_sub(1)) };
                        if known_starts || sender.value > 0 {
                            sender.value = to;
                            sender.start = time - 2;
                            sender.told += sender.sent.take().unwrap_or(0);
                            // Nothing was told of the new one yet.
                            sender.sent = Some(0);
                        }
                        (time, sender.value)
                    }
                };
                if at == time {
                    sender.sent = Some(sender.value);
                    sender.time = time;
                }
                let start = if known_starts { sender.start } else { -1 };
                points.push((labels(stream), start, at, value as f64));
            }
            let points: Vec<Point<'_>> = points.iter().map(|(labels, start, at, value)| (labels.as_str(), *start, *at, *value)).collect();
            if !points.is_empty() {
                prop_assert_eq!(fixture.send("", counter("c", &points)), Vec::<Row>::new());
            }
            for (_, labels, start, time, value) in fixture.advance(10) {
                let value: u64 = value.parse().expect("a whole number");
                if let Some((first, before, old)) = last.insert(labels, (start, time, value)) {
                    prop_assert_eq!(start, first, "the start stays");
                    prop_assert!(time > before, "time moves on");
                    prop_assert!(value >= old, "the sum never falls");
                }
            }
        }
        if known_starts {
            let expected: u64 = senders.iter().map(|sender| sender.told + sender.sent.unwrap_or(0)).sum();
            prop_assert_eq!(last.values().map(|(_, _, value)| value).sum::<u64>(), expected);
        }
        fixture.harness.books().assert_balanced();
    }

    /// Buckets are counted as exactly as counters, of both kinds of histograms, over restarts and gaps.
    #[test]
    fn cumulative_histograms_are_exact(
        rounds in proptest::collection::vec(proptest::collection::vec((0..8_u8, proptest::array::uniform3(0..50_u64)), STREAMS), 1..20),
        exponential in any::<bool>(),
    ) {
        let mut fixture =
            optimizer("{name: p, match: {types: [histogram, exponential_histogram]}, drop_labels: [pod, group]}");
        begin(&mut fixture);
        let mut now = [[0_u64; 3]; STREAMS];
        let mut starts = [0_i64; STREAMS];
        let mut told = [0_u64; 3];
        let mut last = [0_u64; 3];
        for (round, events) in rounds.iter().enumerate() {
            let time = 10 * round as i64 + 5;
            for (stream, (event, by)) in events.iter().enumerate() {
                match event {
                    0 => continue,
                    1 => {
                        starts[stream] = time - 2;
                        now[stream] = *by;
                    }
                    _ => now[stream].iter_mut().zip(by).for_each(|(now, by)| *now += by),
                }
                told.iter_mut().zip(by).for_each(|(told, by)| *told += by);
                let point = (labels(stream), starts[stream], time);
                let point = (point.0.as_str(), point.1, point.2);
                let metric = match exponential {
                    true => super::histograms::exponential(2, point, 0, 2, &now[stream]),
                    false => histogram(2, point, &[1.0, 2.0], &now[stream], 1.0),
                };
                prop_assert_eq!(fixture.send("", metric), Vec::<Row>::new());
            }
            fixture.harness.advance(std::time::Duration::from_secs(10));
            for request in fixture.requests() {
                let metric = &request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
                let data = if exponential { &metric["exponentialHistogram"] } else { &metric["histogram"] };
                let point = &data["dataPoints"][0];
                let buckets = if exponential { &point["positive"]["bucketCounts"] } else { &point["bucketCounts"] };
                let offset = point["positive"]["offset"].as_i64().unwrap_or(0);
                let mut counts = [0_u64; 3];
                for (index, count) in buckets.as_array().into_iter().flatten().enumerate() {
                    let place = if exponential { index as i64 + offset - 2 } else { index as i64 };
                    counts[place as usize] = count.as_str().and_then(|text| text.parse().ok()).expect("a count");
                }
                prop_assert!(counts.iter().zip(last).all(|(new, old)| *new >= old), "{:?} after {:?}", counts, last);
                last = counts;
            }
            prop_assert_eq!(last, told);
        }
    }

    /// Whatever rules aggregate away, and in whatever order deltas come, each of them counts once, or is refused and counted: of a
    /// stream with many gaps the oldest are not open for ever.
    #[test]
    fn deltas_are_conserved(
        points in proptest::collection::vec((0..STREAMS, 0..40_i64, 1..1000_u32), 1..60),
        rule in prop_oneof![
            Just("drop_labels: [pod]"),
            Just("drop_labels: ['*']"),
            Just("keep_labels: [group]"),
            Just("hash_buckets: [{label: pod, buckets: 2}]"),
            Just("cap_values: [{label: pod, limit: 2}]"),
            Just("limit_series: {limit: 2}"),
            Just("interval: 20s"),
            Just("top_k: {k: 1, labels: [pod], rank_by: [d], dwell: 0s}"),
        ],
    ) {
        let mut fixture = configured(&format!(
            "{{interval: 10s, idle: 100s, max_series: 4, rules: [{{name: r, match: {{types: [counter]}}, {rule}}}]}}"
        ));
        let mut expected = 0_u64;
        let mut total = 0;
        let mut seen = std::collections::BTreeSet::new();
        let count = |rows: Vec<Row>| rows.iter().map(|row| row.4.parse::<u64>().expect("a number")).sum::<u64>();
        for (stream, at, value) in points {
            if !seen.insert((stream, at)) {
                continue;
            }
            let labels = labels(stream);
            let refused = fixture.ignored("duplicate");
            total += count(fixture.send("", deltas("d", &[(&labels, at, at + 1, f64::from(value))])));
            if fixture.ignored("duplicate") == refused {
                expected += u64::from(value);
            }
            total += count(fixture.advance(3));
        }
        total += count(fixture.advance(200));
        total += count(fixture.drain());
        prop_assert_eq!(total, expected);
        fixture.harness.books().assert_balanced();
    }

    /// In whatever order deltas come, and however often, each counts at most once, and what does not is counted.
    #[test]
    fn deltas_that_come_again_change_nothing(
        points in proptest::collection::vec((0..STREAMS, 0..20_i64), 1..120),
    ) {
        let mut fixture = optimizer("{name: r, match: {types: [counter]}, drop_labels: [pod, group]}");
        let (mut counted, mut total) = (std::collections::BTreeSet::new(), 0);
        let count = |rows: Vec<Row>| rows.iter().map(|row| row.4.parse::<u64>().expect("a number")).sum::<u64>();
        for (stream, at) in points {
            let refused = fixture.ignored("duplicate");
            let labels = labels(stream);
            fixture.send("", deltas("d", &[(&labels, at, at + 1, 1.0)]));
            if fixture.ignored("duplicate") == refused {
                prop_assert!(counted.insert((stream, at)), "{:?} at {} was taken twice", stream, at);
            }
            total += count(fixture.advance(1));
        }
        total += count(fixture.drain());
        prop_assert_eq!(total, counted.len() as u64);
    }

    /// A limit lets through no more series than it says, and one for the others.
    #[test]
    fn limits_hold(
        series in proptest::collection::vec(0..30_u32, 1..100),
        limit in 1..6_usize,
    ) {
        let mut fixture = optimizer(&format!("{{name: l, limit_series: {{limit: {limit}}}}}"));
        let mut names = std::collections::BTreeSet::new();
        for (time, number) in series.iter().enumerate() {
            let labels = format!("s={number}");
            let mut rows = fixture.send("", counter("c", &[(&labels, 0, time as i64 + 1, 5.0)]));
            rows.extend(fixture.advance(1));
            names.extend(rows.into_iter().map(|row| row.1));
        }
        names.extend(fixture.drain().into_iter().map(|row| row.1));
        prop_assert!(names.len() <= limit + 1, "{:?}", names);
    }

    /// Dropping a label twice is the same as dropping it once.
    #[test]
    fn dropping_is_idempotent(values in proptest::collection::vec((0..STREAMS, 0..1000_u32), 1..20)) {
        let rule = "{name: p, match: {types: [counter]}, drop_labels: [pod]}";
        let (mut first, mut second) = (optimizer(rule), optimizer(rule));
        let points: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(index, (stream, value))| (labels(*stream), 0_i64, index as i64 + 1, f64::from(*value)))
            .collect();
        for (labels, start, time, value) in &points {
            first.send("", counter("c", &[(labels.as_str(), *start, *time, *value)]));
        }
        first.harness.advance(std::time::Duration::from_secs(10));
        let once = first.requests();
        let rows_once: Vec<Row> = once.iter().flat_map(rows).collect();
        for request in &once {
            second.send_request(request);
        }
        let mut twice = second.advance(10);
        let mut rows_once = rows_once;
        rows_once.sort();
        twice.sort();
        prop_assert_eq!(twice, rows_once);
    }
}
