//! Takes data points: each into its stream, and in the order of their times into series.

use phoenix_component::Now;
use phoenix_pdata::view::Attributes;
use phoenix_series::{Came, Slot};

use super::Aggregator;
use super::routes::{Passing, meet};
use super::tally::{Fate, Tally};
use crate::intake::{Origin, Point, Unusable};
use crate::plan::{Delivery, Outcome};
use crate::stream::{Beginning, Events, Meaning, Standing};
use crate::value::Sample;
use crate::watermark::Partition;

impl Aggregator {
    /// Takes one data point, if a rule wants it.
    pub(super) fn take<'a>(
        &mut self,
        origin: &Origin<'a>,
        rules: u64,
        partition: Partition,
        point: impl Point<'a>,
        now: Now,
        tally: &mut Tally,
    ) -> Fate {
        let attributes = point.attributes();
        let came = Came::of(origin.id, attributes.bytes());
        let slot = match self.shortcuts.find(came).filter(|slot| self.is_current(*slot)) {
            Some(slot) => slot,
            None => match self.stream_of(origin, rules, attributes, &point) {
                Ok(Some(slot)) => {
                    self.shortcuts.note(slot, came);
                    slot
                }
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
        tally.counts = true;
        let bytes = point.raw().len() as u64;
        match stream.route.and_then(|route| self.routes.get_mut(route)) {
            Some(route) => route.bytes_in += bytes,
            None => stream
                .targets
                .iter()
                .for_each(|target| self.plans[usize::from(target.plan)].bytes_in += bytes),
        }
        let result = match self.replicas {
            Some(_) => self.accept_member(slot, origin, partition, point, now, &mut tally.events),
            None => self
                .sample(point, now)
                .and_then(|sample| self.accept(slot, partition, sample, 0, now, &mut tally.events))
                .map(|()| true),
        };
        if matches!(result, Ok(true)) && !point.exemplars().bytes().is_empty() {
            self.keep_examples(slot, origin, point);
        }
        if fate == Fate::Leaves {
            match result {
                Ok(_) => {
                    tally.absorbed += 1;
                    tally.absorbed_bytes += bytes;
                }
                Err(reason) => tally.drop(reason),
            }
        }
        fate
    }

    /// Whether a stream goes where the rules of now say.
    fn is_current(&self, slot: Slot) -> bool {
        self.streams.get(slot).is_some_and(|stream| stream.generation == self.generation)
    }

    /// The stream of a data point by its identity, whatever bytes that came in.
    fn stream_of<'a>(
        &mut self,
        origin: &Origin<'a>,
        rules: u64,
        attributes: Attributes<'a>,
        point: &impl Point<'a>,
    ) -> Result<Option<Slot>, &'static str> {
        let mut attributes_id = self.hasher.attributes(&attributes);
        if let Some(replica) = self.member_of(attributes).replica {
            attributes_id = attributes_id.minus(replica);
        }
        let key = self.hasher.ordered([origin.id, attributes_id]);
        let known = self.streams.find(key);
        match known.filter(|slot| self.is_current(*slot)) {
            Some(slot) => Ok(Some(slot)),
            None => self.resolve(known, key, origin, rules, attributes, attributes_id, point),
        }
    }

    /// What a data point says, at a time that is not far ahead of the clock.
    #[inline]
    pub(super) fn sample<'a>(&mut self, point: impl Point<'a>, now: Now) -> Result<Sample, &'static str> {
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
        Ok(sample)
    }

    /// Puts a data point into its stream, and takes what the watermark has passed. Up to `since` another replica was the one
    /// that counts; 0 if there was none.
    pub(super) fn accept(
        &mut self,
        slot: Slot,
        partition: Partition,
        mut sample: Sample,
        since: u64,
        now: Now,
        events: &mut Events,
    ) -> Result<(), &'static str> {
        let time = sample.place.time;
        self.watermark.observe(partition, time, now.monotonic);
        let limit = self.limit().min(self.watermark.current());
        self.preserve(slot);
        let Some(stream) = self.streams.get_mut(slot) else { return Ok(()) };
        if since > 0 && stream.newest() <= since && !stream.hand_over(&mut sample) {
            self.pool.give_back(sample.value);
            self.replicas.iter().for_each(|replicas| replicas.discard());
            return Ok(());
        }
        match stream.place(time) {
            Standing::Duplicate => {
                for target in stream.targets.iter() {
                    self.plans[usize::from(target.plan)].quality.duplicates += 1;
                }
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
                    for target in stream.targets.iter() {
                        self.plans[usize::from(target.plan)].quality.duplicates += 1;
                    }
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
    pub(super) fn limit(&self) -> u64 {
        match &self.closing {
            Some(closing) => closing.end,
            None => self.plans.iter().map(|plan| plan.next_end).min().unwrap_or(0),
        }
    }

    /// Takes the data points of a stream up to a time. Returns what became of the last one.
    pub(super) fn release(&mut self, slot: Slot, limit: u64, events: &mut Events) -> Option<Outcome> {
        let key = self.streams.key(slot).unwrap_or_default().half();
        let beginning = Beginning { first_sample: self.settings.first_sample, horizon: self.horizon };
        let stream = self.streams.get_mut(slot)?;
        let mut outcome = None;
        while let Some(mut sample) = stream.waiting.pop(limit) {
            let (before, time, revives) = (stream.last.place.time, sample.place.time, stream.ended);
            let meaning = stream.meaning;
            let start = if meaning == Meaning::Increments { sample.place.start } else { 0 };
            let mut own = Events::default();
            let change = stream.take(&mut sample, beginning, &mut own);
            events.add(own);
            let passing = Passing { time, start, before, events: own };
            if !revives && meet(&mut self.routes, &self.paces, stream, &change, passing) {
                outcome = Some(Outcome::Taken);
                self.pool.give_back(sample.value);
                continue;
            }
            let ended_already = revives && stream.ended;
            let mut best = Outcome::Late;
            for target in stream.targets.iter() {
                if ended_already || time <= target.since {
                    best = Outcome::Taken;
                    continue;
                }
                let delivery = Delivery {
                    time,
                    start,
                    events: own,
                    before,
                    since: target.since,
                    meaning,
                    revives: revives && !stream.ended,
                    stream: key,
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
    pub(super) fn deliver_overtaken(&mut self, slot: Slot, sample: Sample) -> bool {
        let Some(stream) = self.streams.get(slot) else { return false };
        let change = crate::stream::Change::Increment { value: &sample.value, from: sample.place.start };
        let mut taken = false;
        for target in stream.targets.iter() {
            let plan = &mut self.plans[usize::from(target.plan)];
            // The stream has been seen in this window already.
            let delivery = Delivery {
                time: sample.place.time,
                start: sample.place.start,
                events: Events::default(),
                before: stream.last.place.time,
                since: target.since,
                meaning: stream.meaning,
                revives: false,
                stream: self.streams.key(slot).unwrap_or_default().half(),
            };
            taken |= plan.take(target.slot, &change, delivery) != Outcome::Late;
        }
        taken
    }
}
