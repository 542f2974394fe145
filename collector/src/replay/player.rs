//! Plays requests through one sampler, with the time of its spans.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use phoenix_component::factory::{CreateContext, Registry, Shared};
use phoenix_component::{
    Ack, Batch, BuildInfo, DecisionBook, Drained, Fragment, Host, Now, Output, Processor, StageSpec,
    StatusReporter,
};
use phoenix_config::{Component, Kind, PipelineId, Problems};
use phoenix_pdata::{Payload, Signal, view};

use super::report::{Report, Trace, Tried};

/// Batches that a call may let out before it stops.
const ROOM: usize = 64;
/// Traces after which decisions are looked up, well before they are forgotten.
const SWEEP: usize = DecisionBook::MEMORY / 4;
/// Calls of one shard at one moment, at most: a shard that asks for more is broken.
const MOST_CALLS: usize = 1 << 24;

/// One sampler, its clock, and what it did so far.
pub(super) struct Player {
    host: Host,
    stage: StageSpec,
    book: Arc<DecisionBook>,
    /// The Unix time at which the replay began.
    epoch: Option<u64>,
    now: Duration,
    traces: BTreeMap<[u8; 16], Trace>,
    undecided: HashSet<[u8; 16]>,
    since_sweep: usize,
}

impl Player {
    /// A sampler as its factory makes it.
    pub(super) fn new(sampler: &Component, registry: &Registry) -> anyhow::Result<Player> {
        let host = Host { build: BuildInfo::default(), ..Host::for_tests() };
        let mut problems: Problems = sampler.problems();
        let settings = registry.parse(Kind::Processor, sampler.id(), sampler.node(), &mut problems);
        let settings = settings.context("its settings depend on something that is not there")?;
        let factory = registry.processor(sampler.type_name()).context("this binary does not have it")?;
        let cx = CreateContext {
            id: sampler.id(),
            host: &host,
            status: StatusReporter::detached(Kind::Processor, sampler.id().clone()),
            shared: &Shared::default(),
        };
        let pipeline = PipelineId::parse("traces").context("a pipeline")?;
        let Processor::Stage(stage) = factory.create(settings.as_ref(), cx, &pipeline)? else {
            bail!("it keeps no traces until they are decided");
        };
        let book = host.capabilities.find::<DecisionBook>(sampler.id());
        let book = book.context("it does not tell what it decided")?;
        Ok(Player {
            host,
            stage,
            book,
            epoch: None,
            now: Duration::ZERO,
            traces: BTreeMap::new(),
            undecided: HashSet::new(),
            since_sweep: 0,
        })
    }

    fn now(&self) -> Now {
        let since = u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX);
        Now { monotonic: self.now, unix_nanos: self.epoch.unwrap_or_default().saturating_add(since) }
    }

    /// Takes a request, after everything that is due before it.
    pub(super) fn take(&mut self, request: &Payload) -> anyhow::Result<()> {
        let mut items = 0;
        let mut last = 0;
        for piece in request.pieces() {
            for span in view::resource_spans(piece)
                .into_iter()
                .flat_map(|entry| entry.scopes())
                .flat_map(|scope| scope.records())
            {
                items += 1;
                last = last.max(span.end_time_unix_nano());
                let Ok(id) = <[u8; 16]>::try_from(span.trace_id()) else { continue };
                let trace = self.traces.entry(id).or_default();
                trace.spans += 1;
                trace.bytes += span.raw().len() as u64;
                if trace.spans == 1 {
                    self.undecided.insert(id);
                }
            }
        }
        let epoch = *self.epoch.get_or_insert(last);
        let at = Duration::from_nanos(last.saturating_sub(epoch)).max(self.now);
        self.run_until(at);
        self.now = at;
        let mut fragments = Vec::new();
        let batch = Batch::new(Signal::Traces, request.clone(), items);
        let emitted =
            self.stage.partition.prepare(batch, &mut |key, fragment| fragments.push((key, fragment)));
        if let Err(refusal) = emitted {
            bail!("it refuses a request: {refusal}");
        }
        let (count, now) = (self.stage.shards.len() as u64, self.now());
        for (key, batch) in fragments {
            let mut out = Output::with_room(ROOM);
            let shard = &mut self.stage.shards[(key % count) as usize];
            shard.ingest(Fragment { batch, ack: Ack::none() }, now, &mut out);
            self.settle(&mut out);
        }
        Ok(())
    }

    /// Lets all shards do what is due until a moment, in the order of time.
    fn run_until(&mut self, until: Duration) {
        for _ in 0..MOST_CALLS {
            let due = self.stage.shards.iter().enumerate();
            let due = due.filter_map(|(index, shard)| Some((shard.wake_at()?, index)));
            let Some((at, index)) = due.min().filter(|(at, _)| *at <= until) else { return };
            self.now = self.now.max(at);
            let (now, mut out) = (self.now(), Output::with_room(ROOM));
            self.stage.shards[index].tick(now, &mut out);
            self.settle(&mut out);
        }
    }

    /// Notes what came out, and looks up decisions from time to time.
    fn settle(&mut self, out: &mut Output) {
        for fragment in out.take_batches() {
            for piece in fragment.batch.payload.pieces() {
                for span in view::resource_spans(piece)
                    .into_iter()
                    .flat_map(|entry| entry.scopes())
                    .flat_map(|scope| scope.records())
                {
                    let Ok(id) = <[u8; 16]>::try_from(span.trace_id()) else { continue };
                    let trace = self.traces.entry(id).or_default();
                    trace.kept_spans += 1;
                    trace.kept_bytes += span.raw().len() as u64;
                }
            }
        }
        let dropped: u64 = out.take_dropped().iter().map(|(_, spans)| spans).sum();
        self.since_sweep += dropped as usize + ROOM;
        if self.since_sweep >= SWEEP {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        self.since_sweep = 0;
        let (book, traces) = (&self.book, &mut self.traces);
        self.undecided.retain(|id| match book.find(id) {
            Some(decision) => {
                traces.entry(*id).or_default().decision = Some(decision);
                false
            }
            None => true,
        });
    }

    /// Waits for everything to be decided, and tells what became of it.
    pub(super) fn finish(mut self, processor: String) -> Report {
        self.run_until(Duration::MAX);
        for index in 0..self.stage.shards.len() {
            loop {
                let (now, mut out) = (self.now(), Output::with_room(ROOM));
                let drained = self.stage.shards[index].drain(now, &mut out);
                self.settle(&mut out);
                if drained == Drained::Done {
                    break;
                }
            }
        }
        self.sweep();
        let policies = self.policies(&processor);
        Report { processor, traces: self.traces, policies }
    }

    /// How each policy voted, from the sampler's own metrics.
    fn policies(&self, processor: &str) -> Vec<Tried> {
        const VOTES: &str = "otelcol_processor_tail_sampling_count_traces_sampled";
        let mut found: Vec<Tried> = Vec::new();
        for sample in self.host.metrics.snapshot() {
            let of = |key: &str| {
                sample.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string())
            };
            let is_vote = sample.description.name == VOTES;
            let Some(policy) = of("policy").filter(|_| is_vote) else { continue };
            let sum = |decision: &str| {
                let attributes =
                    [("processor", processor), ("policy", policy.as_str()), ("decision", decision)];
                self.host.metrics.sum(VOTES, &attributes).unsigned_abs()
            };
            if !found.iter().any(|known| known.policy == policy) {
                let (sampled, not_sampled, dropped) = (sum("sampled"), sum("not_sampled"), sum("dropped"));
                found.push(Tried { policy, sampled, not_sampled, dropped });
            }
        }
        found
    }
}

/// A trace identifier as people write it.
pub(super) fn hex(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}
