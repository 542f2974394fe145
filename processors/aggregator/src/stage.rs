//! The stage: takes requests apart, keeps streams and series, lets windows out.

mod adopt;
mod resolve;
mod work;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phoenix_component::{Adoption, Batch, Drained, Fragment, Held, Now, Output, Stage};
use phoenix_pdata::{Editor, Payload, Signal, count_items, prune, view};
use phoenix_series::{Fingerprint, Hasher, Slot, Table};

use crate::checkpoint::Checkpoint;
use crate::config::{AggregatorConfig, FirstSample};
use crate::emission::Emission;
use crate::intake::{Identities, Origin, Point, Pool, Unusable, each_point, earliest};
use crate::kind::Kind;
use crate::metrics::AggregatorMetrics;
use crate::plan::{Delivery, Outcome, Plan};
use crate::stream::{Beginning, Events, Standing, Stream};
use crate::value::Sample;
use crate::watermark::{Partition, Watermark};
use work::Closing;

/// The longest that data waits for the state of the predecessor.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names whose rules are remembered.
const MOST_NAMES: usize = 65_536;
/// How often it is looked whether partitions are idle.
const LOOK: Duration = Duration::from_secs(1);

/// The aggregator of one pipeline.
pub(crate) struct Aggregator {
    settings: Settings,
    /// What fingerprints are made with.
    pub(crate) seed: u64,
    pub(crate) hasher: Hasher,
    identities: Identities,
    pool: Pool,
    /// Which rules take a name: one bit each.
    names: HashMap<Fingerprint, u64>,
    pub(crate) streams: Table<Stream>,
    pub(crate) plans: Vec<Plan>,
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
    /// What came before the predecessor handed over its state.
    early: Option<Early>,
    restores: bool,
    wake_at: Option<Duration>,
    metrics: AggregatorMetrics,
    /// Counts the instances that are alive, this one included.
    alive: Arc<AtomicUsize>,
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

/// What became of the data points of a request.
#[derive(Default)]
struct Tally {
    /// Taken out of the request, and not dropped.
    absorbed: u64,
    dropped: Vec<(&'static str, u64)>,
    events: Events,
}

impl Tally {
    fn drop(&mut self, reason: &'static str) {
        match self.dropped.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.dropped.push((reason, 1)),
        }
    }
}

/// What becomes of a data point in the request that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Leaves,
    Stays,
}

impl Aggregator {
    pub(crate) fn new(
        config: &AggregatorConfig,
        plans: Vec<Plan>,
        seed: u64,
        checkpoint: Option<Checkpoint>,
        metrics: AggregatorMetrics,
        alive: Arc<AtomicUsize>,
    ) -> Aggregator {
        let has_predecessor = alive.fetch_add(1, Ordering::AcqRel) > 0;
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
            names: HashMap::new(),
            streams: Table::new(config.max_streams),
            plans,
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
            restores: checkpoint.is_some(),
            checkpoint,
            early: has_predecessor.then(Early::default),
            wake_at: None,
            metrics,
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

    /// Takes what rules match out of a batch. Returns what is left.
    fn consume(&mut self, batch: Batch, now: Now, out: &mut Output) -> Option<Batch> {
        let mut tally = Tally::default();
        if !self.begun {
            self.begin(&batch.payload);
        }
        let mut rest = Payload::default();
        let mut is_cut = false;
        for piece in batch.payload.clone() {
            let mut editor = Editor::new(&piece);
            let mut stayed = 0;
            self.consume_piece(&piece, now, &mut tally, &mut editor, &mut stayed);
            if editor.is_unchanged() {
                rest.append(Payload::from(piece));
                continue;
            }
            is_cut = true;
            if stayed > 0
                && let Some(edited) = editor.finish()
            {
                rest.append(Payload::from(bytes::Bytes::from(edited)));
            }
        }
        self.account(&tally, out);
        if !is_cut {
            return Some(batch);
        }
        let payload = prune(Signal::Metrics, rest);
        let items = count_items(Signal::Metrics, &payload);
        (items > 0).then(|| Batch { payload, items, ..batch })
    }

    fn account(&mut self, tally: &Tally, out: &mut Output) {
        out.absorbed(tally.absorbed);
        for (reason, count) in &tally.dropped {
            out.dropped(reason, *count);
            let counter = match *reason {
                "not_finite" => &self.metrics.not_finite,
                "invalid" => &self.metrics.invalid,
                "duplicate" => &self.metrics.duplicate,
                "out_of_order" => &self.metrics.out_of_order,
                "stream_limit" => &self.metrics.stream_limit,
                "series_limit" => &self.metrics.series_limit,
                _ => &self.metrics.late,
            };
            counter.add(*count);
        }
        self.account_events(tally.events);
    }

    fn account_events(&self, events: Events) {
        self.metrics.resets.add(events.resets);
        self.metrics.gaps.add(events.gaps);
        self.metrics.overlaps.add(events.overlaps);
        self.metrics.unknown_starts.add(events.unknown_starts);
    }

    /// From the first data points: where windows begin.
    fn begin(&mut self, payload: &Payload) {
        let mut first: Option<(u64, u64)> = None;
        let metrics =
            payload.resource_metrics().flat_map(|entry| entry.scopes()).flat_map(|scope| scope.records());
        for metric in metrics {
            let Some(data) = metric.data() else { continue };
            let Some(kind) = Kind::of(&data) else { continue };
            if let Some((time, began)) = earliest(data, kind)
                && self.plans.iter().any(|plan| plan.shape.matches_name(metric.name().as_bytes()))
            {
                let known = first.unwrap_or((u64::MAX, u64::MAX));
                first = Some((known.0.min(time), known.1.min(began)));
            }
        }
        let Some((time, began)) = first else { return };
        self.begun = true;
        let earliest = time.saturating_sub(self.watermark.out_of_order());
        self.horizon = u64::MAX;
        for plan in &mut self.plans {
            plan.begin(earliest, began);
            self.horizon = self.horizon.min(plan.shape.end_of(time) - plan.shape.step);
        }
    }

    fn consume_piece<'a>(
        &mut self,
        piece: &'a [u8],
        now: Now,
        tally: &mut Tally,
        editor: &mut Editor<'a>,
        stayed: &mut usize,
    ) {
        for entry in view::resource_metrics(piece) {
            let (resource, schema) = (entry.resource(), entry.schema_url());
            let resource_id = self.identities.resource(&mut self.hasher, resource, schema);
            let partition = self.watermark.partition(resource_id);
            for scope_entry in entry.scopes() {
                let (scope, scope_schema) = (scope_entry.scope(), scope_entry.schema_url());
                let scope_id = self.identities.scope(&mut self.hasher, scope, scope_schema);
                for metric in scope_entry.records() {
                    let Some((data, kind, rules)) = self.wanted(&metric) else {
                        *stayed += metric.data().map_or(0, |data| data.count());
                        continue;
                    };
                    let metric_id = self.identities.metric(&self.hasher, &metric, kind);
                    let origin = Origin {
                        resource,
                        resource_schema: schema,
                        resource_id,
                        scope,
                        scope_schema,
                        scope_id,
                        metric,
                        kind,
                        id: self.hasher.ordered([resource_id, scope_id, metric_id]),
                    };
                    let (mut total, mut left) = (0, 0);
                    each_point!(data, |point| {
                        total += 1;
                        let fate = self.take(&origin, rules, partition, point, now, tally);
                        if fate == Fate::Leaves {
                            left += 1;
                            editor.remove(Point::raw(&point));
                        }
                    });
                    if left == total {
                        // Within what goes as a whole no other change counts.
                        editor.remove(metric.raw());
                    }
                    *stayed += total - left;
                }
            }
        }
    }

    /// The data points of a metric and the rules that take its name; none where no rule does.
    fn wanted<'a>(&mut self, metric: &view::Metric<'a>) -> Option<(view::Data<'a>, Kind, u64)> {
        let name = metric.name().as_bytes();
        let key = self.hasher.bytes(name);
        let rules = match self.names.get(&key) {
            Some(rules) => *rules,
            None => {
                let mut rules = 0;
                for (index, plan) in self.plans.iter().enumerate() {
                    // Levels beyond the 64th plan share its bit: they are looked at again.
                    rules |= u64::from(plan.shape.matches_name(name)) << index.min(63);
                }
                if self.names.len() >= MOST_NAMES {
                    self.names.clear();
                }
                self.names.insert(key, rules);
                rules
            }
        };
        if rules == 0 {
            return None;
        }
        let data = metric.data()?;
        Some((data, Kind::of(&data)?, rules))
    }

    /// Takes one data point, if a rule wants it.
    fn take<'a>(
        &mut self,
        origin: &Origin<'a>,
        rules: u64,
        partition: Partition,
        point: impl Point<'a>,
        now: Now,
        tally: &mut Tally,
    ) -> Fate {
        let attributes = point.attributes();
        let attributes_id = self.hasher.attributes(&attributes);
        let key = self.hasher.ordered([origin.id, attributes_id]);
        let known = self.streams.find(key);
        let current = known.filter(|slot| {
            self.streams.get(*slot).is_some_and(|stream| stream.generation == self.generation)
        });
        let slot = match current {
            Some(slot) => slot,
            None => match self.resolve(known, key, origin, rules, attributes, attributes_id, &point) {
                Ok(Some(slot)) => slot,
                Ok(None) => return Fate::Stays,
                Err(reason) => {
                    tally.drop(reason);
                    return Fate::Leaves;
                }
            },
        };
        let Some(stream) = self.streams.get(slot) else { return Fate::Stays };
        if stream.targets.is_empty() {
            return Fate::Stays;
        }
        let keeps = |plan: u16| self.plans[usize::from(plan)].shape.rule.keep_input;
        let fate = match stream.targets.iter().any(|target| keeps(target.plan)) {
            true => Fate::Stays,
            false => Fate::Leaves,
        };
        let result = self.accept(slot, partition, point, now, &mut tally.events);
        if fate == Fate::Leaves {
            match result {
                Ok(()) => tally.absorbed += 1,
                Err(reason) => tally.drop(reason),
            }
        }
        fate
    }

    /// Puts a data point into its stream, and takes what the watermark has passed.
    fn accept<'a>(
        &mut self,
        slot: Slot,
        partition: Partition,
        point: impl Point<'a>,
        now: Now,
        events: &mut Events,
    ) -> Result<(), &'static str> {
        let value = point.value(&mut self.pool).map_err(|unusable| match unusable {
            Unusable::NotFinite => "not_finite",
            Unusable::Invalid => "invalid",
        })?;
        let mut sample = Sample { place: point.place(), value };
        let latest = now.unix_nanos.saturating_add(self.settings.max_future);
        if self.settings.max_future > 0 && sample.place.time > latest {
            self.metrics.future.add(1);
            sample.place.time = latest;
            sample.place.start = sample.place.start.min(latest);
        }
        let time = sample.place.time;
        self.watermark.observe(partition, time, now.monotonic);
        let limit = self.limit().min(self.watermark.current());
        let Some(stream) = self.streams.get_mut(slot) else { return Ok(()) };
        match stream.place(time) {
            Standing::Duplicate => {
                self.pool.give_back(sample.value);
                Err("duplicate")
            }
            Standing::Overtaken if stream.fill_gap(sample.place) => {
                match self.deliver_overtaken(slot, sample) {
                    true => Ok(()),
                    false => Err("late"),
                }
            }
            Standing::Overtaken => {
                self.pool.give_back(sample.value);
                Err("out_of_order")
            }
            Standing::Newer => {
                if !stream.waiting.insert(&mut sample) {
                    self.pool.give_back(sample.value);
                    return Err("duplicate");
                }
                match self.release(slot, limit, events) {
                    Some(Outcome::Late) if time <= limit => Err("late"),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Up to when data points can be taken: the next end of a window.
    fn limit(&self) -> u64 {
        match &self.closing {
            Some(closing) => closing.end,
            None => self.plans.iter().map(|plan| plan.next_end).min().unwrap_or(0),
        }
    }

    /// Takes the data points of a stream up to a time. Returns what became of the last one.
    fn release(&mut self, slot: Slot, limit: u64, events: &mut Events) -> Option<Outcome> {
        let beginning = Beginning { first_sample: self.settings.first_sample, horizon: self.horizon };
        let stream = self.streams.get_mut(slot)?;
        let mut outcome = None;
        while let Some(mut sample) = stream.waiting.pop(limit) {
            let (before, time, revives) = (stream.last.place.time, sample.place.time, stream.ended);
            let meaning = stream.meaning;
            let change = stream.take(&mut sample, beginning, events);
            let ended_already = revives && stream.ended;
            let mut best = Outcome::Late;
            for target in &stream.targets {
                if ended_already || time <= target.since {
                    best = Outcome::Taken;
                    continue;
                }
                let delivery = Delivery {
                    time,
                    before,
                    since: target.since,
                    meaning,
                    revives: revives && !stream.ended,
                };
                let found = self.plans[usize::from(target.plan)].take(target.slot, &change, delivery);
                if found != Outcome::Late {
                    best = found;
                }
            }
            outcome = Some(best);
            self.pool.give_back(sample.value);
        }
        outcome
    }

    /// Takes an increment that newer ones have overtaken. False where it is too late for everybody.
    fn deliver_overtaken(&mut self, slot: Slot, sample: Sample) -> bool {
        let Some(stream) = self.streams.get(slot) else { return false };
        let change = crate::stream::Change::Increment { value: &sample.value, from: sample.place.start };
        let mut taken = false;
        for target in &stream.targets {
            let plan = &mut self.plans[usize::from(target.plan)];
            // The stream has been seen in this window already.
            let delivery = Delivery {
                time: sample.place.time,
                before: stream.last.place.time,
                since: target.since,
                meaning: stream.meaning,
                revives: false,
            };
            taken |= plan.take(target.slot, &change, delivery) != Outcome::Late;
        }
        taken
    }

    /// Handles what came before there was a state.
    fn settle(&mut self, now: Now, out: &mut Output) {
        if std::mem::take(&mut self.restores) {
            self.restore(now);
        }
        let Some(early) = self.early.take() else { return };
        for fragment in early.fragments {
            self.handle(fragment, now, out);
        }
    }

    fn handle(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        let Fragment { batch, ack } = fragment;
        match self.consume(batch, now, out) {
            Some(rest) => out.send(rest, ack),
            None => ack.resolve(Ok(())),
        }
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
