//! Processors that show one property each.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use phoenix_component::factory::*;
use phoenix_component::*;
use phoenix_config::{Node, PipelineId, Problems};
use phoenix_pdata::Signal;
use serde::Deserialize;

use super::*;

test_factory!(OddFactory, "odd", NoSettings, Support::all(Stability::Stable));

/// Keeps odd identifiers; 13 makes it panic, and a batch of 666 alone is rejected.
struct Odd;

impl ProcessorFactory for OddFactory {
    fn create(
        &self,
        _: &dyn AnySettings,
        _: CreateContext<'_>,
        _: &PipelineId,
    ) -> Result<Processor, StartError> {
        Ok(Processor::Transform(Arc::new(Odd)))
    }
}

impl Transform for Odd {
    fn apply(&self, batch: Batch, dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let ids = ids_of(&batch);
        assert!(!ids.contains(&13), "thirteen");
        if ids == [666] {
            return Err(Refusal::permanent("test", "not that one"));
        }
        let kept: Vec<u64> = ids.iter().copied().filter(|id| id % 2 == 1).collect();
        dropped.add("even", (ids.len() - kept.len()) as u64);
        let next =
            Batch { payload: batch_of(batch.signal, &kept).payload, items: kept.len() as u64, ..batch };
        Ok((!kept.is_empty()).then_some(next))
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HoldSettings {
    every_ms: u64,
    delivered: bool,
    shards: usize,
    adopts: bool,
}

impl Default for HoldSettings {
    fn default() -> HoldSettings {
        HoldSettings { every_ms: 1000, delivered: false, shards: 1, adopts: true }
    }
}
impl phoenix_config::Settings for HoldSettings {}

test_factory!(HoldFactory, "hold", HoldSettings, Support::all(Stability::Stable), |_, new| match new {
    Some(new) if new.adopts => Change::adopted(),
    _ => Change::let_out(),
});

/// Holds what comes for a while; which shard decides the identifier.
struct Hold {
    settings: HoldSettings,
    open: Option<Fragment>,
    due: Option<Duration>,
}

struct ById;

impl Partition for ById {
    fn prepare(&self, batch: Batch, emit: &mut dyn FnMut(u64, Batch)) -> Result<(), Refusal> {
        let mut parts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for id in ids_of(&batch) {
            parts.entry(id % 8).or_default().push(id);
        }
        for (key, ids) in parts {
            emit(
                key,
                Batch {
                    payload: batch_of(batch.signal, &ids).payload,
                    items: ids.len() as u64,
                    ..batch.clone()
                },
            );
        }
        Ok(())
    }
}

impl ProcessorFactory for HoldFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        _: CreateContext<'_>,
        _: &PipelineId,
    ) -> Result<Processor, StartError> {
        let settings = settings_of::<HoldSettings>(settings).clone();
        let acknowledge = if settings.delivered { Acknowledge::Delivered } else { Acknowledge::Held };
        let shards = (0..settings.shards.max(1))
            .map(|_| Box::new(Hold { settings: settings.clone(), open: None, due: None }) as Box<dyn Stage>)
            .collect();
        Ok(Processor::Stage(StageSpec { partition: Arc::new(ById), shards, acknowledge }))
    }
}

impl Hold {
    fn add(&mut self, fragment: Fragment) {
        assert!(ids_of(&fragment.batch) != [13], "thirteen");
        match &mut self.open {
            None => self.open = Some(fragment),
            Some(open) => {
                open.batch.payload.append(fragment.batch.payload);
                open.batch.items += fragment.batch.items;
                open.batch.waiting += fragment.batch.waiting;
                open.batch.deadline =
                    [open.batch.deadline, fragment.batch.deadline].into_iter().flatten().min();
                open.ack.join(fragment.ack);
            }
        }
    }

    fn flush(&mut self, out: &mut Output) {
        self.due = None;
        if let Some(open) = self.open.take() {
            out.send(open.batch, open.ack);
        }
    }
}

impl Stage for Hold {
    fn ingest(&mut self, fragment: Fragment, now: Now, _: &mut Output) {
        self.add(fragment);
        self.due.get_or_insert(now.monotonic + Duration::from_millis(self.settings.every_ms));
    }

    fn tick(&mut self, _: Now, out: &mut Output) {
        self.flush(out);
    }

    fn all_wait(&mut self, _: Now, out: &mut Output) {
        self.flush(out);
    }

    fn drain(&mut self, _: Now, out: &mut Output) -> Drained {
        self.flush(out);
        Drained::Done
    }

    fn wake_at(&self) -> Option<Duration> {
        self.due
    }

    fn held(&self) -> Held {
        self.open
            .as_ref()
            .map_or(Held::default(), |open| Held { items: open.batch.items, bytes: open.batch.payload.len() })
    }

    fn adopt(&mut self, old: &mut dyn Stage) -> Adoption {
        let Some(old) = old.as_any().downcast_mut::<Hold>().filter(|_| self.settings.adopts) else {
            return Adoption::Rebuilt;
        };
        if let Some(open) = old.open.take() {
            self.add(open);
            self.due = [self.due, old.due.take()].into_iter().flatten().min();
        }
        Adoption::Kept
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

test_factory!(SumFactory, "sum", NoSettings, Support::all(Stability::Stable));

/// Adds the identifiers up and lets the sum out as one item each second: a counter that a retry of a
/// sender must never move twice.
#[derive(Default)]
struct Sum {
    total: u64,
    pending: bool,
    due: Option<Duration>,
    signal: Option<Signal>,
}

impl ProcessorFactory for SumFactory {
    fn create(
        &self,
        _: &dyn AnySettings,
        _: CreateContext<'_>,
        _: &PipelineId,
    ) -> Result<Processor, StartError> {
        let shards: Vec<Box<dyn Stage>> = vec![Box::new(Sum::default())];
        Ok(Processor::Stage(StageSpec {
            partition: Arc::new(Unpartitioned),
            shards,
            acknowledge: Acknowledge::Held,
        }))
    }
}

impl Stage for Sum {
    fn ingest(&mut self, fragment: Fragment, now: Now, out: &mut Output) {
        self.total += ids_of(&fragment.batch).iter().sum::<u64>();
        self.signal = Some(fragment.batch.signal);
        self.pending = true;
        out.absorbed(fragment.batch.items);
        self.due.get_or_insert(now.monotonic + Duration::from_secs(1));
    }

    fn tick(&mut self, _: Now, out: &mut Output) {
        self.due = None;
        if let Some(signal) = self.signal.filter(|_| std::mem::take(&mut self.pending)) {
            out.produced(1);
            // The increment since the last output, so that sums of outputs are sums of inputs.
            out.send(
                Batch { waiting: 0, ..batch_of(signal, &[std::mem::take(&mut self.total)]) },
                Ack::none(),
            );
        }
    }

    fn drain(&mut self, now: Now, out: &mut Output) -> Drained {
        self.tick(now, out);
        Drained::Done
    }

    fn wake_at(&self) -> Option<Duration> {
        self.due
    }

    fn held(&self) -> Held {
        Held::default()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
