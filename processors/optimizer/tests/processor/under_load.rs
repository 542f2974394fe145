//! `configs/processes-under-load.yaml`: how many programs keep their series follows the load of the host, and no total changes by it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use phoenix_component::harness::{StageHarness, golden};
use phoenix_component::{AdjustmentBook, Capabilities};
use phoenix_config::ComponentId;
use phoenix_pdata::Signal;
use phoenix_processor_optimizer::{Outside, stage_within};
use phoenix_telemetry::Metrics;
use serde_json::{Value, json};

/// Programs, of which each is busier than the one before, and a database that is critical.
const PROGRAMS: u64 = 40;
/// When the first data comes, in Unix seconds.
const START: u64 = 1_700_000_040;

thread_local! {
    static LOAD: Cell<f64> = const { Cell::new(0.0) };
}

fn attributes(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}

/// What all processes say after so many minutes.
fn request(minute: u64) -> Value {
    let nanos = |seconds: u64| (seconds * 1_000_000_000).to_string();
    let process = |number: u64| {
        let (name, pid) = (format!("program{number}"), number.to_string());
        let mut resource = vec![("process.executable.name", name.as_str()), ("process.pid", pid.as_str())];
        if number == 0 {
            resource.push(("phoenix.priority", "critical"));
        }
        // The first process is there before data comes, the others start behind it: all that they count is new.
        let point = |value: u64| {
            json!([{"startTimeUnixNano": nanos(START + 1), "timeUnixNano": nanos(START + 60 * minute + 30),
                "asInt": value.to_string()}])
        };
        json!({"resource": {"attributes": attributes(&resource)}, "scopeMetrics": [{"metrics": [
            {"name": "process.cpu.time", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": point(minute * (1 + number))}},
            {"name": "process.memory.usage", "sum": {"aggregationTemporality": 2, "dataPoints": point(1000 + number)}},
        ]}]})
    };
    json!({"resourceMetrics": (0..=PROGRAMS).map(process).collect::<Vec<_>>()})
}

/// A counter as a backend follows it.
#[derive(Default)]
struct Counted {
    start: u64,
    time: u64,
    value: u64,
    /// Before its present start.
    before: u64,
}

impl Counted {
    /// Takes the next point: the counter goes on, or says that it began anew after its last one.
    fn take(&mut self, start: u64, time: u64, value: u64) {
        assert!(time > self.time);
        if start == self.start {
            assert!(value >= self.value, "fell from {} to {value}", self.value);
        } else {
            assert!(start >= self.time, "began at {start}, and was there at {}", self.time);
            self.before += self.value;
        }
        (self.start, self.time, self.value) = (start, time, value);
    }
}

struct Run {
    harness: StageHarness,
    book: Arc<AdjustmentBook>,
    minute: u64,
    /// What every series that was ever let out counted, by program.
    cpu: BTreeMap<String, Counted>,
    /// The programs that had a series of their own in the last minute.
    own: Vec<String>,
}

impl Run {
    fn new() -> Run {
        let id = ComponentId::parse("optimizer").expect("an identifier");
        let (book, offer) = AdjustmentBook::open(&Capabilities::default(), &id);
        let outside =
            Outside { book: Some((book.clone(), offer)), load: || Some(LOAD.get()), ..Outside::default() };
        let spec = stage_within(
            &crate::shipped::settings("processes-under-load"),
            &[],
            1,
            &Metrics::default(),
            "optimizer",
            outside,
        );
        let mut harness = StageHarness::new(spec.expect("no conflicts"));
        harness.advance(Duration::from_secs(START));
        let first = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"name": "first", "gauge": {"dataPoints": [{"asInt": "1", "timeUnixNano": "1"}]}}]}]}]});
        harness.send(golden::batch(Signal::Metrics, &first.to_string())).expect("taken");
        harness.take_released();
        Run { harness, book, minute: 0, cpu: BTreeMap::new(), own: Vec::new() }
    }

    /// So many minutes under a load.
    fn go(&mut self, minutes: u64, load: f64) {
        LOAD.set(load);
        for _ in 0..minutes {
            self.minute += 1;
            self.harness
                .send(golden::batch(Signal::Metrics, &request(self.minute).to_string()))
                .expect("taken");
            self.harness.advance(Duration::from_secs(60));
            self.check();
        }
    }

    /// Every total is what the processes say, at every minute.
    fn check(&mut self) {
        let mut memory = BTreeMap::new();
        for fragment in self.harness.take_released() {
            let request = golden::to_json(&fragment.batch);
            for resource in request["resourceMetrics"].as_array().into_iter().flatten() {
                let labels = resource["resource"]["attributes"].as_array().expect("attributes");
                let name = labels.iter().find(|label| label["key"] == "process.executable.name");
                let name = name.expect("a program")["value"]["stringValue"].as_str().expect("text");
                for metric in resource["scopeMetrics"][0]["metrics"].as_array().into_iter().flatten() {
                    for point in metric["sum"]["dataPoints"].as_array().into_iter().flatten() {
                        let number = |key: &str| -> u64 {
                            point[key].as_str().and_then(|text| text.parse().ok()).expect("a number")
                        };
                        if point["flags"] == 1 {
                            // A program that lost its place has no memory of its own any more.
                            continue;
                        }
                        let value = number("asInt");
                        if metric["name"] == "process.memory.usage" {
                            assert_eq!(memory.insert(name.to_owned(), value), None, "twice in a minute");
                        } else {
                            let counted = self.cpu.entry(name.to_owned()).or_default();
                            counted.take(number("startTimeUnixNano"), number("timeUnixNano"), value);
                        }
                    }
                }
            }
        }
        let numbers = || 0..=PROGRAMS;
        assert_eq!(memory.values().sum::<u64>(), numbers().map(|number| 1000 + number).sum::<u64>());
        let counted: u64 = numbers().map(|number| self.minute * (1 + number)).sum();
        let told: u64 = self.cpu.values().map(|counter| counter.before + counter.value).sum();
        assert_eq!(told, counted, "after {} minutes", self.minute);
        assert!(memory.contains_key("program0"), "what is critical keeps its series");
        self.own = memory.into_keys().filter(|name| name != "_other_" && name != "program0").collect();
    }

    fn steps(&self) -> Vec<(u8, u8)> {
        self.book.all().iter().map(|one| (one.from, one.to)).collect()
    }
}

#[test]
fn fewer_programs_keep_their_series_the_busier_the_host_is() {
    let mut run = Run::new();
    run.go(30, 0.4);
    assert_eq!((run.steps().len(), run.own.len()), (0, 20));
    run.go(30, 2.0);
    assert_eq!(run.steps(), [(0, 1), (1, 2), (2, 3)], "one step after the other, and no further");
    assert_eq!(run.own, ["program38", "program39", "program40"], "the heaviest");
    assert!(run.book.all().iter().all(|one| one.target == "load"));
    run.go(60, 0.8);
    assert_eq!((run.steps().len(), run.own.len()), (3, 3), "within the band nothing changes");
    run.go(90, 0.3);
    assert_eq!(run.steps()[3..], [(3, 2), (2, 1), (1, 0)]);
    assert_eq!(run.own.len(), 20);
    let changes: Vec<u64> = run.book.all().iter().map(|one| one.unix_nanos / 1_000_000_000).collect();
    assert!(changes[3..].windows(2).all(|pair| pair[1] - pair[0] >= 1200), "{changes:?}");
    run.harness.drain();
    run.harness.books().assert_balanced();
}

#[test]
fn a_load_that_swings_does_not_make_series_come_and_go() {
    let mut run = Run::new();
    for _ in 0..12 {
        run.go(5, 1.8);
        run.go(5, 0.2);
    }
    let steps = run.steps();
    assert!(steps.len() <= 6, "at most three up, and one down in twenty minutes: {steps:?}");
}
