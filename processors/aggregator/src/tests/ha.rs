//! Senders that stand in for each other.

use proptest::prelude::*;

use super::*;

const HA: &str = r#""ha": {"cluster": "team"}, "watermark": {"out_of_order": "5s"}"#;

/// A request of one replica, which its resource or its data points name.
pub(super) fn of_replica(replica: &str, on_points: bool, points: &[In]) -> Batch {
    let mut out = Vec::new();
    for point in points {
        put_message(&mut out, 1, |out| {
            put_message(out, 1, |out| {
                put_attribute(out, 1, "pod", &point.pod.into());
                put_attribute(out, 1, "team", &"x".into());
                if !on_points {
                    put_attribute(out, 1, "__replica__", &replica.into());
                }
            });
            put_message(out, 2, |out| {
                put_message(out, 2, |out| {
                    put_bytes(out, 1, b"m");
                    let is_sum = point.of != Of::Gauge;
                    put_message(out, if is_sum { 7 } else { 5 }, |out| {
                        put_message(out, 1, |out| {
                            if on_points {
                                put_attribute(out, 7, "__replica__", &replica.into());
                            }
                            put_point(out, point);
                        });
                        if is_sum {
                            put_uint(out, 2, if point.of == DELTA { 1 } else { 2 });
                            put_uint(out, 3, 1);
                        }
                    });
                });
            });
        });
    }
    Batch::new(Signal::Metrics, Payload::from(bytes::Bytes::from(out)), points.len() as u64)
}

impl Tested {
    fn send_as(&mut self, replica: &str, point: In) -> Vec<Out> {
        self.harness.send(of_replica(replica, false, &[point])).expect("a stage takes all");
        self.take()
    }
}

impl Bare {
    fn send_as(&mut self, replica: &str, points: &[In]) {
        let fragment = Fragment { batch: of_replica(replica, true, points), ack: Ack::none() };
        self.call(|aggregator, now, out| aggregator.ingest(fragment, now, out));
    }
}

fn total(found: &[Out]) -> i64 {
    found.iter().map(|out| if let Value::Int(value) = out.value { value } else { 0 }).sum()
}

#[test]
fn of_two_replicas_one_counts_and_their_attribute_goes() {
    for on_points in [false, true] {
        let settings = rule(r#""match": {"kinds": ["counter", "gauge"]}, "outputs": ["sum"]"#, HA);
        let mut tested = Tested::new(&settings);
        for step in 1..=13_i64 {
            for (replica, late) in [("a", 0), ("b", 3)] {
                let time = step as u64 * 10 + late;
                let points = [
                    point("p", CUMULATIVE, 0, time, time as i64),
                    point("p", Of::Gauge, None, time, time as i64),
                ];
                tested.harness.send(of_replica(replica, on_points, &points)).expect("taken");
            }
        }
        let found = tested.take();
        let expected = [
            (60.0, Value::Int(60)),
            (60.0, Value::Int(60)),
            (120.0, Value::Int(120)),
            (120.0, Value::Int(120)),
        ];
        assert_eq!(values(&found), expected, "as the leader alone: {found:?}");
        assert!(found.iter().all(|out| out.labels == "pod=p,route=/x,team=x"), "{found:?}");
        assert_eq!((tested.counted("clusters"), tested.counted("failovers")), (1, 0));
        assert_eq!((tested.counted("streams"), tested.counted("resets")), (2, 0));
        // Those of the last moments wait in case the other one takes over.
        assert_eq!(tested.counted("standby_points"), 2 * 12);
        assert_eq!(tested.harness.books().dropped.values().sum::<u64>(), 0);
    }
}

#[test]
fn a_replica_that_takes_over_brings_what_came_in_between() {
    let settings = rule(r#""outputs": ["increase", "count"]"#, HA);
    let mut tested = Tested::new(&settings);
    let mut found = Vec::new();
    // Both send the same deltas of 1 a second; a is silent from 40 on, b takes over at 80.
    for time in (10..=200_u64).step_by(10) {
        if time <= 40 {
            tested.send_as("a", point("p", DELTA, time - 10, time, 10));
        }
        found.extend(tested.send_as("b", point("p", DELTA, time - 10, time, 10)));
    }
    assert_eq!(tested.counted("failovers"), 1);
    let increases: Vec<_> = found.iter().filter(|out| out.name == "m").cloned().collect();
    let expected = [60.0, 120.0, 180.0].map(|end| (end, Value::Int(60)));
    assert_eq!(values(&increases), expected, "nothing twice, nothing lost, each in its window");
    assert_eq!((tested.counted("gaps"), tested.counted("overlaps")), (0, 0));
    // Who comes back waits.
    tested.send_as("a", point("p", DELTA, 190, 205, 1000));
    found.extend(tested.drain());
    assert_eq!(total(&found.into_iter().filter(|out| out.name == "m").collect::<Vec<_>>()), 200);
}

#[test]
fn windows_wait_for_who_takes_over_and_not_for_who_is_gone_everywhere() {
    // Longer than it takes until a resource does not hold the watermark, while another one goes on.
    let settings = rule(
        r#""outputs": ["increase"], "match": {"kinds": ["counter"]}"#,
        r#""ha": {"cluster": "team", "failover_timeout": "50s"}, "watermark": {"out_of_order": "5s"}"#,
    );
    let mut tested = Tested::new(&settings);
    let mut found = Vec::new();
    for time in (10..=400_u64).step_by(10) {
        found.extend(tested.advance(10));
        found.extend(tested.send(&[point("q", CUMULATIVE, 0, time, 0)]));
        if time <= 40 {
            tested.send_as("a", point("p", DELTA, time - 10, time, 10));
        }
        if time <= 200 {
            found.extend(tested.send_as("b", point("p", DELTA, time - 10, time, 10)));
        }
    }
    assert_eq!(tested.counted("failovers"), 1);
    let of_p: Vec<_> = found.iter().filter(|out| out.labels.contains("pod=p")).cloned().collect();
    assert_eq!(
        values(&of_p),
        [(60.0, Value::Int(60)), (120.0, Value::Int(60)), (180.0, Value::Int(60)), (240.0, Value::Int(20))]
    );
    assert_eq!((tested.counted("late"), tested.dropped("late")), (0, 0));
    let last = found.last().expect("windows of q").time;
    assert!(last >= 300.0, "the end of p holds nobody: {last}");
}

#[test]
fn a_delta_of_which_part_is_counted_does_not_count_again() {
    let mut tested = Tested::new(&rule(r#""outputs": ["increase"]"#, HA));
    tested.send_as("a", point("p", DELTA, 0, 10, 10));
    // What b sends lies across.
    for time in [5, 15, 25, 35, 45] {
        tested.send_as("b", point("p", DELTA, time.max(10) - 10, time, 10));
    }
    assert_eq!(tested.counted("failovers"), 1);
    assert_eq!(total(&tested.drain()), 10 + 30, "from 0 to 10, and from 15 to 45");
    assert_eq!(tested.counted("gaps"), 1);
}

#[test]
fn a_counter_goes_on_over_a_change_of_the_replica() {
    // (what the other replica sends: start and value at 50; what both have counted)
    let cases = [
        ("the same start", 0, 130, 130),
        ("it looked on later", 20, 130, 130),
        ("it looked on after the other one was gone", 41, 130, 130),
        ("its clock is behind, so it has seen less", 0, 95, 100),
        ("what they look at started again", 45, 5, 105),
    ];
    for (case, start, value, expected) in cases {
        let mut tested = Tested::new(&rule(r#""outputs": ["total"]"#, HA));
        tested.send_as("a", point("p", CUMULATIVE, 0, 10, 100));
        tested.send_as("b", point("p", CUMULATIVE, start, 50, value));
        assert_eq!(tested.counted("failovers"), 1);
        let mut found = tested.drain();
        assert_eq!(found.pop().map(|out| out.value), Some(Value::Int(expected)), "{case}");
    }
    // It catches up with what is known, and counts on from there.
    let mut tested = Tested::new(&rule(r#""outputs": ["total"]"#, HA));
    tested.send_as("a", point("p", CUMULATIVE, 0, 10, 100));
    for (time, value) in [(50, 95), (51, 99), (52, 104), (53, 108)] {
        tested.send_as("b", point("p", CUMULATIVE, 0, time, value));
    }
    assert_eq!(tested.drain().pop().map(|out| out.value), Some(Value::Int(108)));
}

#[test]
fn clusters_beyond_the_limit_are_dropped_and_counted() {
    let settings = rule(r#""outputs": ["increase"]"#, r#""ha": {"cluster": "pod", "max_clusters": 1}"#);
    let mut tested = Tested::new(&settings);
    tested.send_as("a", point("p", DELTA, 0, 10, 1));
    tested.send_as("a", point("q", DELTA, 0, 10, 2));
    assert_eq!((tested.dropped("cluster_limit"), tested.counted("dropped")), (1, 1));
    // Without the attribute a data point is of no cluster.
    tested.send(&[point("q", DELTA, 10, 20, 4)]);
    assert_eq!(total(&tested.drain()), 5);
}

#[test]
fn who_leads_lasts_over_a_restart() {
    let settings = rule(r#""outputs": ["increase"]"#, HA);
    let mut first = Bare::new(&settings, &place());
    first.send_as("a", &[point("p", DELTA, 0, 10, 1)]);
    let state = first.aggregator.write_state();
    let mut second = Bare::new(&settings, &place());
    second.aggregator.restore_from(&state, second.now);
    second.send_as("b", &[point("p", DELTA, 10, 20, 100)]);
    second.send_as("a", &[point("p", DELTA, 10, 20, 2)]);
    assert_eq!(total(&second.drain()), 3);
}

#[test]
fn windows_wait_for_what_waits_over_a_restart() {
    let settings = rule(
        r#""outputs": ["increase"], "match": {"kinds": ["counter"]}"#,
        r#""ha": {"cluster": "team", "failover_timeout": "50s"}, "watermark": {"out_of_order": "5s"}"#,
    );
    let mut tested = Bare::new(&settings, &place());
    for time in (10..=160_u64).step_by(10) {
        if time == 80 {
            let state = tested.aggregator.write_state();
            let mut next = Bare::new(&settings, &place());
            next.aggregator.restore_from(&state, tested.now);
            tested = next;
        }
        // Another resource goes on and would close the windows.
        tested.send(&[point("q", CUMULATIVE, 0, time, 0)]);
        if time <= 40 {
            tested.send_as("a", &[point("p", DELTA, time - 10, time, 10)]);
        }
        tested.send_as("b", &[point("p", DELTA, time - 10, time, 10)]);
    }
    let of_p: Vec<_> = tested.take().into_iter().filter(|out| out.labels.contains("pod=p")).collect();
    assert_eq!(values(&of_p), [(60.0, Value::Int(60)), (120.0, Value::Int(60))]);
}

/// When a replica is silent: from a step on, for so many.
pub(super) type Silence = (usize, usize);

pub(super) fn silences() -> impl Strategy<Value = Vec<Silence>> {
    prop::collection::vec((0usize..120, 1usize..25), 0..4)
}

/// What counts, from whole histories: the data points of one replica after the other, each up to where the next one takes over.
pub(super) fn counted(sent: &[(&'static str, In)], timeout: u64) -> Vec<In> {
    let Some((first, _)) = sent.first() else { return Vec::new() };
    let (mut leader, mut last, mut counted) = (*first, 0, Vec::new());
    for (index, (replica, point)) in sent.iter().enumerate() {
        if *replica == leader {
            last = point.time;
            counted.push(point.clone());
        } else if point.time > last + timeout {
            let missed = sent[..=index].iter().filter(|(other, point)| other == replica && point.time > last);
            counted.extend(missed.map(|(_, point)| point.clone()));
            (leader, last) = (*replica, point.time);
        }
    }
    counted
}

/// What a counter came to.
fn grown(growth: &[i64], until: u64) -> i64 {
    (0..until).map(|second| growth[second as usize % growth.len()]).sum()
}

/// What two replicas send that look at one counter: a at full tens of seconds, b three seconds later where it is cumulative.
pub(super) fn sent_by_two(
    silent_a: &[Silence],
    silent_b: &[Silence],
    growth: &[i64],
    cumulative: bool,
) -> Vec<(&'static str, In)> {
    let of = if cumulative { CUMULATIVE } else { DELTA };
    let speaks = |silences: &[Silence], step: usize| {
        silences.iter().all(|(from, steps)| !(*from..from + steps).contains(&step))
    };
    let grown = |until: u64| grown(growth, until);
    let mut sent: Vec<(&'static str, In)> = Vec::new();
    for step in 1..120_usize {
        for (replica, silences, after) in [("a", silent_a, 0), ("b", silent_b, 3)] {
            if speaks(silences, step) {
                let time = 100 + step as u64 * 10 + if cumulative { after } else { 0 };
                let (start, value) = match cumulative {
                    true => (100, grown(time)),
                    false => (time - 10, grown(time) - grown(time - 10)),
                };
                sent.push((replica, point("p", of, start, time, value)));
            }
        }
    }
    sent
}

/// What data points that count add to the windows that they are in.
pub(super) fn windows_of(counted: &[In], cumulative: bool) -> BTreeMap<u64, i64> {
    let mut windows: BTreeMap<u64, i64> = BTreeMap::new();
    let mut before: Option<&In> = None;
    for point in counted {
        let value = |point: &In| if let Says::Int(value) = point.says { value } else { 0 };
        let increment = match before.filter(|_| cumulative) {
            Some(before) => value(point) - value(before),
            None => value(point),
        };
        *windows.entry(point.time.div_ceil(20) * 20).or_default() += increment;
        before = Some(point);
    }
    windows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whoever_is_silent_the_windows_are_those_of_one_sender(
        silent_a in silences(),
        silent_b in silences(),
        growth in prop::collection::vec(0i64..20, 1..30),
        cuts in prop::collection::vec(1usize..6, 1..30),
        swaps in prop::collection::vec(prop::bool::weighted(0.1), 1..30),
        cumulative in any::<bool>(),
    ) {
        let grown = |until: u64| grown(&growth, until);
        let sent = sent_by_two(&silent_a, &silent_b, &growth, cumulative);
        let expected = counted(&sent, 30);
        prop_assume!(!expected.is_empty());
        let place = place();
        let settings = rule(
            r#""interval": "20s", "by": [], "outputs": ["increase"]"#,
            r#""ha": {"cluster": "team"}, "watermark": {"out_of_order": "5s"}, "flush_on_shutdown": true, "first_sample": "count""#,
        );
        let mut tested = Bare::new(&settings, &place);
        let (mut rest, mut turn) = (sent.as_slice(), 0);
        while let Some((replica, _)) = rest.first() {
            let most = cuts[turn % cuts.len()];
            let count = rest.iter().take(most).take_while(|(other, _)| other == replica).count();
            let points: Vec<In> = rest[..count].iter().map(|(_, point)| point.clone()).collect();
            tested.send_as(replica, &points);
            if swaps[turn % swaps.len()] {
                tested = tested.succeeded(&settings, &place, turn % 2 == 0);
            }
            rest = &rest[count..];
            turn += 1;
        }
        let mut found = tested.take();
        found.extend(tested.drain());
        let mut windows = windows_of(&expected, cumulative);
        let mut let_out: BTreeMap<u64, i64> = BTreeMap::new();
        for out in &found {
            *let_out.entry((out.time as u64).div_ceil(20) * 20).or_default() += total(std::slice::from_ref(out));
        }
        windows.retain(|_, value| *value != 0);
        let_out.retain(|_, value| *value != 0);
        prop_assert_eq!(&let_out, &windows);
        if cumulative {
            // Over every change the counter is neither counted twice nor left behind.
            let last = expected.iter().map(|point| point.time).max().unwrap_or(0);
            prop_assert_eq!(total(&found), grown(last));
        }
    }
}
