//! Test harnesses for the contracts: what the engine does, small, exact, and with the time in your hands.
//!
//! They belong to tests, and live here so that every component uses the same ones.

pub mod collector;
pub mod golden;

use std::collections::BTreeMap;
use std::time::Duration;

use phoenix_config::{
    ComponentId, EnvProvider, KeyPath, Kind, Location, Node, Problems, Resolver, YamlProvider,
};

use crate::factory::{CreateContext, Factory, Shared};
use crate::{
    Ack, AckWait, Acknowledge, Batch, Drained, Dropped, Fragment, Held, Host, Now, Output, Refusal,
    StageSpec, StatusReporter, Transform,
};

/// Room of the outputs that a harness hands in: small, so that stages meet a full one.
const ROOM: usize = 4;
/// Slices that a drain may take before the harness calls it endless.
const SLICES: usize = 100_000;

/// The books of a component: `in + produced = out + dropped + absorbed + held`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Items accepted.
    pub accepted: u64,
    /// Items that came into being.
    pub produced: u64,
    /// Items passed on.
    pub passed_on: u64,
    /// Items that ended, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Items that went into others.
    pub absorbed: u64,
    /// Items inside.
    pub held: u64,
}

impl Books {
    /// Asserts that nothing appeared or vanished.
    ///
    /// # Panics
    /// If something did.
    pub fn assert_balanced(&self) {
        let credit = self.accepted + self.produced;
        let debit = self.passed_on + self.dropped.values().sum::<u64>() + self.absorbed + self.held;
        assert_eq!(credit, debit, "in + produced = out + dropped + absorbed + held: {self:?}");
    }
}

/// Runs a stage as the engine does, with the clock in the test's hands, and keeps its books.
pub struct StageHarness {
    spec: StageSpec,
    now: Now,
    books: Books,
    released: Vec<Fragment>,
}

impl StageHarness {
    /// A harness around a stage as its factory made it.
    pub fn new(spec: StageSpec) -> StageHarness {
        StageHarness { spec, now: Now::default(), books: Books::default(), released: Vec::new() }
    }

    /// The time that the stage is told.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Sets what the stage is told of the world's clock.
    pub fn set_unix_nanos(&mut self, unix_nanos: u64) {
        self.now.unix_nanos = unix_nanos;
    }

    /// Sends a batch in, as a request would; the wait is there where the stage answers on delivery.
    ///
    /// # Errors
    /// What `prepare` answered.
    pub fn send(&mut self, batch: Batch) -> Result<Option<AckWait>, Refusal> {
        let waiting = batch.waiting;
        let mut fragments = Vec::new();
        self.spec.partition.prepare(batch, &mut |key, fragment| fragments.push((key, fragment)))?;
        let (ack, wait) = match self.spec.acknowledge {
            Acknowledge::Held => (Ack::none(), None),
            Acknowledge::Delivered | Acknowledge::Resolved => {
                let (ack, wait) = Ack::pair();
                (ack, Some(wait))
            }
        };
        let shards = self.spec.shards.len() as u64;
        for (key, mut batch) in fragments {
            let gathers = self.spec.acknowledge == Acknowledge::Delivered;
            batch.waiting = if gathers { waiting } else { 0 };
            if wait.is_none() {
                batch.deadline = None;
            }
            // One after the other, so that the books are right between the shards.
            self.books.accepted += batch.items;
            let fragment = Fragment { batch, ack: ack.split() };
            let now = self.now;
            self.call((key % shards) as usize, |stage, out| stage.ingest(fragment, now, out));
        }
        ack.resolve(Ok(()));
        self.run_due();
        Ok(wait)
    }

    /// Lets time pass; the stage is called whenever it asked for that.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now.monotonic + by;
        for _ in 0..SLICES {
            let due = self.spec.shards.iter().filter_map(|stage| stage.wake_at()).min();
            match due.filter(|at| *at <= end) {
                Some(at) => {
                    self.set_time(at.max(self.now.monotonic));
                    self.run_due();
                }
                None => {
                    self.set_time(end);
                    return;
                }
            }
        }
        panic!("the stage wants to be called without end at {:?}", self.now);
    }

    fn set_time(&mut self, monotonic: Duration) {
        self.now.unix_nanos += (monotonic - self.now.monotonic).as_nanos() as u64;
        self.now.monotonic = monotonic;
    }

    fn run_due(&mut self) {
        for index in 0..self.spec.shards.len() {
            for _ in 0..SLICES {
                let now = self.now;
                if self.spec.shards[index].wake_at().is_none_or(|at| at > now.monotonic) {
                    break;
                }
                let before = self.released.len();
                self.call(index, |stage, out| stage.tick(now, out));
                if self.released.len() == before
                    && self.spec.shards[index].wake_at().is_some_and(|at| at <= now.monotonic)
                {
                    panic!("the stage wants to be called again at once and lets nothing out");
                }
            }
        }
    }

    /// Tells every shard that all admitted requests wait.
    pub fn all_wait(&mut self) {
        let now = self.now;
        for index in 0..self.spec.shards.len() {
            self.call(index, |stage, out| stage.all_wait(now, out));
        }
    }

    /// Drains every shard to the end.
    pub fn drain(&mut self) {
        let now = self.now;
        for index in 0..self.spec.shards.len() {
            let mut slices = 0;
            let mut drained = Drained::More;
            while drained == Drained::More {
                self.call(index, |stage, out| drained = stage.drain(now, out));
                slices += 1;
                assert!(slices < SLICES, "the drain does not end");
            }
        }
        assert_eq!(self.held(), Held::default(), "nothing is held after a drain");
    }

    fn call(&mut self, index: usize, act: impl FnOnce(&mut dyn crate::Stage, &mut Output)) {
        let mut out = Output::with_room(ROOM);
        act(&mut *self.spec.shards[index], &mut out);
        for (reason, items) in out.take_dropped() {
            *self.books.dropped.entry(reason).or_default() += items;
        }
        let (absorbed, produced) = out.take_transformed();
        self.books.absorbed += absorbed;
        self.books.produced += produced;
        for fragment in out.take_batches() {
            self.books.passed_on += fragment.batch.items;
            self.released.push(fragment);
        }
        self.books.held = self.held().items;
        self.books.assert_balanced();
    }

    /// What the stage let out since the last call; acknowledging it is the test's matter.
    pub fn take_released(&mut self) -> Vec<Fragment> {
        std::mem::take(&mut self.released)
    }

    /// What is inside.
    pub fn held(&self) -> Held {
        let mut held = Held::default();
        for stage in &self.spec.shards {
            let inside = stage.held();
            held.items += inside.items;
            held.bytes += inside.bytes;
        }
        held
    }

    /// The books so far.
    pub fn books(&self) -> &Books {
        &self.books
    }
}

/// Runs a transform and keeps its books.
pub struct TransformHarness<T> {
    transform: T,
    books: Books,
}

impl<T> TransformHarness<T> {
    /// The transform.
    pub fn into_inner(self) -> T {
        self.transform
    }
}

impl<T: Transform> TransformHarness<T> {
    /// A harness around a transform.
    pub fn new(transform: T) -> TransformHarness<T> {
        TransformHarness { transform, books: Books::default() }
    }

    /// Applies it to a batch.
    ///
    /// # Errors
    /// What the transform answered.
    pub fn apply(&mut self, batch: Batch) -> Result<Option<Batch>, Refusal> {
        let items = batch.items;
        let mut dropped = Dropped::default();
        let result = self.transform.apply(batch, &mut dropped)?;
        let (absorbed, produced) = dropped.take_transformed();
        self.books.absorbed += absorbed;
        self.books.produced += produced;
        self.books.accepted += items;
        self.books.passed_on += result.as_ref().map_or(0, |batch| batch.items);
        for (reason, items) in dropped.take() {
            *self.books.dropped.entry(reason).or_default() += items;
        }
        self.books.assert_balanced();
        Ok(result)
    }

    /// The books so far.
    pub fn books(&self) -> &Books {
        &self.books
    }
}

/// Hands a factory what it needs to create the component `id`.
///
/// # Panics
/// Outside a runtime, or if `id` is no identifier.
pub fn with_context<R>(kind: Kind, id: &str, create: impl FnOnce(CreateContext<'_>) -> R) -> R {
    let id = ComponentId::parse(id).expect("an identifier");
    let (host, shared) = (Host::for_tests(), Shared::default());
    let status = StatusReporter::detached(kind, id.clone());
    create(CreateContext { id: &id, host: &host, status, shared: &shared })
}

/// The section at a path in the first YAML example of a README, whose variables are not set, and a report of its own.
///
/// # Panics
/// If there is no such example or section.
fn example(readme: &str, section: &str) -> (Node, Problems) {
    let yaml =
        readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let resolver = Resolver::with_environment(EnvProvider::new(|_| None)).with(YamlProvider);
    let root = resolver.resolve(&[format!("yaml:{yaml}")], &[]).expect("YAML").root;
    let path = KeyPath::parse(section);
    let section = root.at(&path).expect("the section").clone();
    let problems = Problems::in_section(path, &section, &Location::nowhere());
    (section, problems)
}

/// Asserts that a factory takes its section of the first YAML example in a README.
///
/// # Panics
/// If there is no such example or section, or what the factory says of it.
pub fn assert_example_is_valid(factory: &dyn Factory, readme: &str, section: &str) {
    let (section, mut problems) = example(readme, section);
    assert!(factory.parse(&section, &mut problems).is_some(), "{problems}");
    assert!(problems.is_empty(), "{problems}");
}

/// The settings in a section of the first YAML example in a README.
///
/// # Panics
/// If there is no such example or section, or what is wrong with it.
pub fn settings_of_example<T: phoenix_config::Settings>(readme: &str, section: &str) -> T {
    let (section, mut problems) = example(readme, section);
    let settings = phoenix_config::decode_checked(&section, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    settings.expect("settings")
}
