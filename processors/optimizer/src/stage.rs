//! The stage: what passes goes on at once, what is aggregated at the end of its interval.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::{
    Ack, Adoption, Batch, Drained, Fragment, Held, Now, Offer, Output, SavingsBook, Stage,
};
use phoenix_pdata::{Payload, Signal, rewrite};
use phoenix_series::Slot;

use crate::Outside;
use crate::adjuster::Adjuster;
use crate::config::OptimizerConfig;
use crate::metrics::OptimizerMetrics;
use crate::rules::RuleSet;
use crate::series::Goes;
use crate::state::{Ledger, State};
use crate::walk::{Remembered, Tally, Walk};
use crate::writer::Writer;

/// The most points of a batch that is let out.
const MAX_POINTS: u64 = 8192;

/// When outputs of one interval are let out next.
#[derive(Clone, Copy, Debug)]
struct Round {
    interval: Duration,
    due: Duration,
}

/// The optimizer of one pipeline.
pub(crate) struct OptimizerStage {
    config: OptimizerConfig,
    rules: Arc<RuleSet>,
    state: State,
    remembered: Remembered,
    rounds: Vec<Round>,
    /// Outputs whose time has come, and that found the output full; the last comes first.
    queue: Vec<Slot>,
    is_draining: bool,
    metrics: OptimizerMetrics,
    adjuster: Option<Adjuster>,
    savings: Option<(Arc<SavingsBook>, Offer)>,
}

/// The end of the interval that runs now.
fn next(interval: Duration, now: Duration) -> Duration {
    let interval = interval.as_nanos().max(1);
    let due = (now.as_nanos() / interval + 1) * interval;
    Duration::from_nanos(u64::try_from(due).unwrap_or(u64::MAX))
}

impl OptimizerStage {
    pub(crate) fn new(
        config: &OptimizerConfig,
        rules: Arc<RuleSet>,
        seed: u64,
        metrics: OptimizerMetrics,
        mut outside: Outside,
    ) -> OptimizerStage {
        let savings = outside.savings.take();
        let ledger = Ledger::new(outside.budget.clone(), config.max_bytes);
        let adjuster = config.control.as_ref().map(|control| Adjuster::new(control, &rules, outside));
        let mut state = State::new(config, seed, ledger);
        if let Some(adjuster) = &adjuster {
            state.rest(adjuster.resting(&rules));
        }
        OptimizerStage {
            adjuster,
            config: config.clone(),
            rules,
            state,
            remembered: Remembered::default(),
            rounds: Vec::new(),
            queue: Vec::new(),
            is_draining: false,
            metrics,
            savings,
        }
    }

    /// There is something to do at the end of the intervals.
    fn schedule(&mut self, now: Duration) {
        let is_idle = self.state.is_idle();
        if is_idle && self.state.counted.is_empty() && self.adjuster.is_none() {
            return;
        }
        let own = self.config.interval.as_duration();
        let others = self.state.pending.iter().map(|(interval, _)| *interval);
        for interval in std::iter::once(own).chain(others) {
            if !self.rounds.iter().any(|round| round.interval == interval) {
                self.rounds.push(Round { interval, due: next(interval, now) });
            }
        }
    }

    /// Puts outputs in line, sorted so that those of one metric stand together.
    fn enqueue(&mut self, slots: Vec<Slot>) {
        self.queue.extend(slots);
        let outputs = &self.state.outputs;
        self.queue.sort_by_cached_key(|slot| {
            outputs.get(*slot).map(|output| (output.frame.key, output.attributes.clone()))
        });
        self.queue.reverse();
        self.state.add_up_levels();
    }

    /// Lets out what stands in line, until the output is full.
    fn send(&mut self, out: &mut Output) {
        self.send_batches(out);
        self.state.counts.flush(&self.metrics);
    }

    fn send_batches(&mut self, out: &mut Output) {
        while !self.queue.is_empty() && !out.is_full() {
            let mut writer = Writer::new();
            while writer.points < MAX_POINTS
                && let Some(slot) = self.queue.pop()
            {
                if let Some(output) = self.state.outputs.get_mut(slot) {
                    let (points, bytes) = writer.write(output, self.is_draining, &self.state.choices);
                    self.state.counts.left(&output.plan.rules, points, bytes);
                }
            }
            let (request, points) = writer.finish();
            if points == 0 {
                continue;
            }
            self.metrics.points_out.add(points);
            self.metrics.bytes_out.add(request.len() as u64);
            out.produced(points);
            let payload = Payload::from(Bytes::from(request));
            if let Some(adjuster) = &mut self.adjuster {
                adjuster.meter.left(&payload, points, &mut self.state.hasher);
            }
            out.send(Batch { waiting: 0, ..Batch::new(Signal::Metrics, payload, points) }, Ack::none());
        }
    }

    /// Looks after what is remembered, at the end of the processor's own interval.
    fn tidy(&mut self) -> Vec<Slot> {
        self.state.rank();
        self.state.rebalance();
        self.state.choices.turn(self.state.now.seconds);
        let idle = u32::try_from(self.config.idle.as_duration().as_secs()).unwrap_or(u32::MAX);
        let last_words = self.state.forget(idle);
        self.state.weigh();
        self.report();
        last_words
    }

    /// Carries out more or fewer rules, if the targets ask for that.
    fn adjust(&mut self, now: Now) {
        let Some(adjuster) = &mut self.adjuster else { return };
        if adjuster.adjust(now, &self.rules, &self.metrics) {
            self.state.rest(adjuster.resting(&self.rules));
            self.remembered = Remembered::default();
        }
    }

    fn report(&self) {
        let mut series = vec![(0_i64, 0_i64); self.rules.rules().len()];
        for (_, one) in self.state.series.iter() {
            for rule in &one.plan.rules {
                if let Some((matched, left)) = series.get_mut(usize::from(*rule)) {
                    *matched += 1;
                    *left += i64::from(one.goes == Goes::On && one.plan.drop.is_none());
                }
            }
        }
        for (_, output) in self.state.outputs.iter() {
            for rule in &output.plan.rules {
                if let Some((_, left)) = series.get_mut(usize::from(*rule)) {
                    *left += 1;
                }
            }
        }
        for (rule, seen) in &self.state.counted {
            if let Some(one) = series.get_mut(usize::from(*rule)) {
                *one = (seen.matched.estimate() as i64, seen.left.estimate() as i64);
            }
        }
        for (rule, (matched, left)) in self.metrics.rules.iter().zip(series) {
            rule.series_in.set(matched);
            rule.series_out.set(left);
        }
        self.metrics.tracked_in.set(self.state.series.len() as i64);
        self.metrics.tracked_out.set(self.state.outputs.len() as i64);
        self.metrics.state_bytes.set(self.state.ledger.bytes() as i64);
        if let Some((book, _)) = &self.savings {
            book.tell(self.metrics.savings(self.rules.rules()));
        }
    }
}

impl Stage for OptimizerStage {
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        let Fragment { mut batch, ack } = fragment;
        self.metrics.points_in.add(batch.items);
        self.metrics.bytes_in.add(batch.payload.len() as u64);
        let seconds = u32::try_from(now.monotonic.as_secs()).unwrap_or(u32::MAX);
        self.state.at(now.unix_nanos, seconds);
        if let Some(adjuster) = &mut self.adjuster {
            adjuster.meter.came(&batch.payload, batch.items, &mut self.state.hasher);
        }
        let mut walk = Walk {
            state: &mut self.state,
            remembered: &mut self.remembered,
            rules: &self.rules,
            metrics: &self.metrics,
            tally: Tally::default(),
        };
        batch.payload = rewrite(batch.payload, |piece| walk.piece(piece));
        let tally = walk.tally;
        self.state.charge();
        self.state.counts.flush(&self.metrics);
        for (reason, points) in &tally.dropped {
            out.dropped(reason, *points);
        }
        out.absorbed(tally.absorbed);
        batch.items = batch.items.saturating_sub(tally.gone());
        self.schedule(now.monotonic);
        if batch.payload.is_empty() {
            ack.resolve(Ok(()));
            return;
        }
        self.metrics.points_out.add(batch.items);
        self.metrics.bytes_out.add(batch.payload.len() as u64);
        if let Some(adjuster) = &mut self.adjuster {
            adjuster.meter.left(&batch.payload, batch.items, &mut self.state.hasher);
        }
        out.send(batch, ack);
    }

    fn tick(&mut self, now: Now, out: &mut Output) {
        let seconds = u32::try_from(now.monotonic.as_secs()).unwrap_or(u32::MAX);
        self.state.at(now.unix_nanos, seconds);
        let mut ready = Vec::new();
        let own = self.config.interval.as_duration();
        let mut is_over = false;
        for index in 0..self.rounds.len() {
            let Round { interval, due } = self.rounds[index];
            if due > now.monotonic {
                continue;
            }
            self.rounds[index].due = next(interval, now.monotonic);
            let pending = self.state.pending.iter_mut().find(|(other, _)| *other == interval);
            ready.extend(pending.map(|(_, slots)| std::mem::take(slots)).unwrap_or_default());
            if interval == own {
                ready.extend(self.tidy());
                is_over = true;
            }
        }
        if !ready.is_empty() {
            self.enqueue(ready);
        }
        self.send(out);
        if is_over {
            self.adjust(now);
        }
        let is_idle = self.state.is_idle();
        if is_idle && self.queue.is_empty() && self.adjuster.is_none() {
            self.rounds.clear();
        }
    }

    fn drain(&mut self, _now: Now, out: &mut Output) -> Drained {
        self.is_draining = true;
        let mut ready: Vec<Slot> =
            self.state.pending.iter_mut().flat_map(|(_, slots)| std::mem::take(slots)).collect();
        ready.extend(self.state.late());
        if !ready.is_empty() {
            self.enqueue(ready);
        }
        self.send(out);
        if self.queue.is_empty() { Drained::Done } else { Drained::More }
    }

    fn wake_at(&self) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        self.rounds.iter().map(|round| round.due).min()
    }

    /// What was taken has become part of series: nothing is held as it came.
    fn held(&self) -> Held {
        Held::default()
    }

    /// What is known of series goes on under the new settings, so that no counter starts again that need not.
    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        let Some(old) = old.as_any().downcast_mut::<OptimizerStage>() else { return Adoption::Rebuilt };
        let fresh = State::new(&old.config, 0, old.state.ledger.successor());
        // What came here before the state did, since requests are led here first.
        let newer = std::mem::replace(&mut self.state, std::mem::replace(&mut old.state, fresh));
        self.state.change(&self.config, &old.rules, &self.rules);
        if let Some(adjuster) = &mut self.adjuster {
            if let Some(before) = &mut old.adjuster {
                adjuster.go_on_from(before);
            }
            self.state.rest(adjuster.resting(&self.rules));
        }
        self.remembered = Remembered::default();
        old.remembered = Remembered::default();
        self.queue.extend(std::mem::take(&mut old.queue));
        for round in std::mem::take(&mut old.rounds) {
            if !self.rounds.iter().any(|other| other.interval == round.interval) {
                self.rounds.push(round);
            }
        }
        if let Some(due) = self.rounds.iter().map(|round| round.due).min()
            && !self.rounds.iter().any(|round| round.interval == self.config.interval.as_duration())
        {
            self.rounds.push(Round { interval: self.config.interval.as_duration(), due });
        }
        self.state.absorb(newer);
        Adoption::Kept
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
