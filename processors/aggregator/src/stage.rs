//! The stage: keeps streams and series, and is called by the engine.

mod adopt;
mod keep;
mod point;
mod replica;
mod request;
mod resolve;
mod routes;
mod saved;
mod tally;
mod work;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phoenix_component::{Adoption, Drained, Fragment, Held, Now, Offer, Output, SavingsBook, Stage};
use phoenix_series::{FingerprintMap, Hasher, Shortcuts, Table};

use crate::checkpoint::Checkpoint;
use crate::config::{AggregatorConfig, FirstSample};
use crate::emission::Emission;
use crate::intake::{Identities, Pool};
use crate::journal::{Journal, Moment};
use crate::kind::{KINDS, Kind};
use crate::metrics::AggregatorMetrics;
use crate::plan::Plan;
use crate::replicas::Replicas;
use crate::route::{Pace, Route};
use crate::stream::Stream;
use crate::watermark::Watermark;
use adopt::Capturing;
use work::{Closing, PORTION};

/// The longest that data waits for the state of the predecessor.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether partitions are idle.
const LOOK: Duration = Duration::from_secs(1);

/// The aggregator of one pipeline.
pub(crate) struct Aggregator {
    settings: Settings,
    /// What fingerprints are made with.
    pub(crate) seed: u64,
    pub(crate) hasher: Hasher,
    identities: Identities,
    pub(crate) pool: Pool,
    /// Which rules take a name: one bit each.
    names: FingerprintMap<u64>,
    /// Which rules take a kind of metric, by its number.
    kinds: [u64; KINDS],
    pub(crate) streams: Table<Stream>,
    /// Senders that stand in for each other, where there are some.
    pub(crate) replicas: Option<Replicas>,
    /// Streams by the bytes that they come in.
    shortcuts: Shortcuts,
    pub(crate) plans: Vec<Plan>,
    pub(crate) routes: Table<Route>,
    paces: Vec<Pace>,
    /// Series of all plans, without those for what is over the limit.
    series: usize,
    overflows: usize,
    next_head: u64,
    pub(crate) generation: u32,
    pub(crate) watermark: Watermark,
    /// Whether the first data points were seen.
    pub(crate) begun: bool,
    /// Before it, others may have counted what a stream counted.
    pub(crate) horizon: u64,
    closing: Option<Closing>,
    emission: Emission,
    checkpoint: Option<Checkpoint>,
    next_checkpoint: Duration,
    /// The state that is being collected for a checkpoint.
    capturing: Option<Capturing>,
    /// Where requests are until they are part of a checkpoint.
    journal: Option<Journal>,
    /// The last request of a journal that is part of the state.
    pub(crate) request: u64,
    /// What came before the predecessor handed over its state.
    early: Option<Early>,
    restores: bool,
    wake_at: Option<Duration>,
    /// Streams and series that are looked at in one call.
    pub(crate) portion: usize,
    metrics: AggregatorMetrics,
    /// Data points that were absorbed, and their bytes.
    absorbed: (u64, u64),
    /// Where it is told what the rules save.
    pub(crate) savings: Option<(Arc<SavingsBook>, Offer)>,
    /// Counts the instances that are alive, this one included.
    alive: Arc<AtomicUsize>,
}

/// What keeps the state over restarts.
#[derive(Default)]
pub(crate) struct Lasting {
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) journal: Option<Journal>,
}

/// What came before the predecessor handed over its state.
#[derive(Default)]
struct Early {
    fragments: Vec<Fragment>,
    since: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    max_series: usize,
    staleness: u64,
    first_sample: FirstSample,
    max_future: u64,
    flushes: bool,
    checkpoint_interval: Duration,
}

impl Aggregator {
    pub(crate) fn new(
        config: &AggregatorConfig,
        mut plans: Vec<Plan>,
        seed: u64,
        lasting: Lasting,
        metrics: AggregatorMetrics,
        alive: Arc<AtomicUsize>,
    ) -> Aggregator {
        let Lasting { checkpoint, journal } = lasting;
        let has_predecessor = alive.fetch_add(1, Ordering::AcqRel) > 0;
        let restores = checkpoint.is_some();
        let takes = |number: u8, plan: &Plan| {
            Kind::from_number(number)
                .is_some_and(|kind| plan.shape.matches_kind(kind) && plan.shape.kind(kind).is_some())
        };
        let kinds = std::array::from_fn(|number| {
            let plans = plans.iter().enumerate();
            plans
                .fold(0, |rules, (index, plan)| rules | u64::from(takes(number as u8, plan)) << index.min(63))
        });
        Aggregator {
            settings: Settings {
                max_series: config.max_series,
                staleness: config.staleness.as_nanos() as u64,
                first_sample: config.first_sample,
                max_future: config.watermark.max_future.as_nanos() as u64,
                flushes: config.flush_on_shutdown.unwrap_or(checkpoint.is_none()),
                checkpoint_interval: config.checkpoint.interval.as_duration(),
            },
            seed,
            hasher: Hasher::new(seed),
            identities: Identities::default(),
            pool: Pool::default(),
            names: FingerprintMap::default(),
            kinds,
            streams: Table::new(config.max_streams),
            replicas: None,
            shortcuts: Shortcuts::default(),
            paces: Aggregator::paces(&mut plans),
            plans,
            routes: Table::new(config.max_streams),
            series: 0,
            overflows: 0,
            next_head: 0,
            generation: 1,
            watermark: Watermark::new(&config.watermark),
            begun: false,
            horizon: 0,
            closing: None,
            emission: Emission::default(),
            next_checkpoint: Duration::ZERO,
            restores,
            checkpoint,
            capturing: None,
            journal,
            request: 0,
            early: has_predecessor.then(Early::default),
            wake_at: None,
            portion: PORTION,
            metrics,
            absorbed: (0, 0),
            savings: None,
            alive,
        }
    }

    /// Counts the series anew.
    pub(crate) fn count_series(&mut self) {
        self.series = self.plans.iter().map(|plan| plan.table.len()).sum();
        self.metrics.series.set(self.series as i64);
        self.metrics.streams.set(self.streams.len() as i64);
    }

    /// The identifier of the next head.
    pub(crate) fn next_head(&mut self) -> u64 {
        self.next_head += 1;
        self.next_head
    }

    /// Handles what came before there was a state.
    fn settle(&mut self, now: Now, out: &mut Output) {
        if std::mem::take(&mut self.restores) {
            self.restore(now, out);
        }
        let Some(early) = self.early.take() else { return };
        for fragment in early.fragments {
            self.handle(fragment, now, out);
        }
    }

    fn handle(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        let Fragment { batch, ack } = fragment;
        let moment = Moment { unix_nanos: now.unix_nanos, watermark: self.watermark.current() };
        let request = self.journal.is_some().then(|| (batch.payload.clone(), batch.items));
        let consumed = self.consume(batch, now, out);
        if let (Some(journal), Some((payload, items)), true) = (&mut self.journal, request, consumed.counts) {
            journal.append(moment, payload, items, ack.split());
        }
        match consumed.rest {
            Some(rest) => out.send(rest, ack),
            None => ack.resolve(Ok(())),
        }
    }

    /// The last request of the journal that is part of the state.
    pub(crate) fn request(&self) -> u64 {
        self.journal.as_ref().map_or(self.request, Journal::last)
    }

    /// When to be called again.
    fn plan_wake(&mut self, now: Now, done: bool, out: &Output) {
        if self.begun {
            let lag = now.unix_nanos.saturating_sub(self.watermark.current()) / 1_000_000;
            self.metrics.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        let soon = if out.is_full() { Duration::ZERO } else { now.monotonic + Duration::from_millis(1) };
        let open = self.begun && self.has_open();
        let checkpoint = self.checkpoint.as_ref().filter(|_| self.begun).map(|_| self.next_checkpoint);
        let done = done && self.capturing.is_none();
        let look = open.then(|| now.monotonic + LOOK);
        self.wake_at = match done {
            false => Some(soon),
            true => look.into_iter().chain(checkpoint).min(),
        };
    }

    /// Whether something may come out that has not.
    fn has_open(&self) -> bool {
        let newest = self.watermark.newest();
        self.plans.iter().any(|plan| plan.busy || plan.closed < newest)
    }
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Stage for Aggregator {
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        if let Some(early) = &mut self.early {
            let since = *early.since.get_or_insert(now.monotonic);
            early.fragments.push(fragment);
            if now.monotonic.saturating_sub(since) < PATIENCE {
                self.wake_at = Some(since + PATIENCE);
                return;
            }
            self.settle(now, out);
        } else {
            self.settle(now, out);
            self.handle(fragment, now, out);
        }
        self.watermark.advance(now.monotonic);
        let done = self.work(out);
        self.plan_wake(now, done, out);
    }

    fn tick(&mut self, now: Now, out: &mut Output) {
        if let Some(early) = &self.early {
            let Some(since) = early.since else {
                self.wake_at = None;
                return;
            };
            if now.monotonic.saturating_sub(since) < PATIENCE {
                self.wake_at = Some(since + PATIENCE);
                return;
            }
        }
        self.settle(now, out);
        self.watermark.advance(now.monotonic);
        let done = self.work(out);
        self.checkpoint_if_due(now, done);
        self.plan_wake(now, done, out);
    }

    fn drain(&mut self, now: Now, out: &mut Output) -> Drained {
        self.settle(now, out);
        self.wake_at = None;
        if self.settings.flushes {
            self.watermark.finish();
        }
        // What is being closed is closed, so that what is written is whole.
        if !self.work(out) || self.settings.flushes && !self.work_last(out) {
            return Drained::More;
        }
        self.write_checkpoint();
        self.clear();
        Drained::Done
    }

    fn wake_at(&self) -> Option<Duration> {
        self.wake_at
    }

    fn held(&self) -> Held {
        let mut held = Held::default();
        for fragment in self.early.iter().flat_map(|early| &early.fragments) {
            held.items += fragment.batch.items;
            held.bytes += fragment.batch.payload.len();
        }
        held
    }

    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        match old.as_any().downcast_mut::<Aggregator>() {
            Some(old) => self.take_over(old),
            None => Adoption::Rebuilt,
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
