//! The run of a batch through consecutive transforms, inline in its sender's task.

use std::sync::Arc;

use phoenix_component::{
    Batch, BoxFuture, Consumer, Dropped, Forwards, Refusal, StatusReporter, Tap, TapPlace, Transform,
};
use phoenix_telemetry::traces::Tracer;
use smallvec::SmallVec;

use crate::fan_out::FanOut;
use crate::guard;
use crate::helper_meter::HelperMeter;
use crate::meter::Meter;
use crate::spans;
use crate::stage_node::StageNode;

/// A transform in the graph.
pub(crate) struct TransformNode {
    pub(crate) transform: Arc<dyn Transform>,
    pub(crate) status: StatusReporter,
    pub(crate) meter: Meter,
    pub(crate) tracer: Tracer,
    pub(crate) helper: HelperMeter,
}

/// Transforms up to the next stage or the exporters.
pub(crate) struct Chain {
    pub(crate) transforms: Vec<Arc<TransformNode>>,
    pub(crate) end: End,
    /// The first chain of a pipeline and the last one let people see what goes in and comes out.
    pub(crate) entry: Option<Tap>,
    pub(crate) exit: Option<Tap>,
}

/// Where a chain ends.
pub(crate) enum End {
    Stage(Arc<StageNode>),
    FanOut(FanOut),
}

/// What one transform did to a batch; entered into its books once the rest accepted the result.
struct Entry<'a> {
    node: &'a TransformNode,
    items_in: u64,
    bytes_in: usize,
    items_out: u64,
    dropped: Dropped,
}

/// Few pipelines have more transforms in a row: their entries need no allocation.
type Entries<'a> = SmallVec<[Entry<'a>; 3]>;

impl Chain {
    /// Whether taking a batch commits to it.
    pub(crate) fn owns_accepted(&self) -> bool {
        match &self.end {
            End::Stage(_) => true,
            End::FanOut(fan_out) => fan_out.owns_accepted(),
        }
    }

    /// What is wanted as it came by whatever is behind.
    pub(crate) fn forwards(&self) -> Forwards {
        match &self.end {
            End::FanOut(fan_out) if !self.transforms.iter().any(|node| node.transform.looks_inside()) => {
                fan_out.forwards()
            }
            End::FanOut(_) | End::Stage(_) => Forwards::NOTHING,
        }
    }

    /// For data that nobody would send again: counts it as dropped where the stage at the end is gone.
    pub(crate) fn abandon_if_closed(&self, items: u64) -> bool {
        match &self.end {
            End::Stage(stage) => stage.abandon_if_closed(items),
            End::FanOut(_) => false,
        }
    }

    /// Shows what leaves the processors to whoever looks.
    fn leaving(&self, batch: Batch) -> Batch {
        if let Some(tap) = &self.exit {
            tap.see(TapPlace::Out, &batch);
        }
        batch
    }

    pub(crate) async fn take(&self, batch: Batch) -> Result<(), Refusal> {
        if let Some(tap) = &self.entry {
            tap.see(TapPlace::In, &batch);
        }
        if self.transforms.is_empty() {
            return self.end.take(self.leaving(batch)).await;
        }
        let mut entries = Entries::new();
        let outcome = match self.transform(batch, &mut entries) {
            Ok(Some(batch)) => self.end.take(self.leaving(batch)).await,
            Ok(None) => Ok(()),
            Err(refusal) => Err(refusal),
        };
        for entry in &mut entries {
            match &outcome {
                Ok(()) => entry.commit(),
                Err(_) => entry.node.meter.refused(entry.items_in),
            }
        }
        outcome
    }

    fn transform<'a>(
        &'a self,
        mut batch: Batch,
        entries: &mut Entries<'a>,
    ) -> Result<Option<Batch>, Refusal> {
        for node in &self.transforms {
            let (items_in, bytes_in) = (batch.items, batch.payload.len());
            let mut dropped = Dropped::default();
            entries.push(Entry { node, items_in, bytes_in, items_out: 0, dropped: Dropped::default() });
            let (span, trace) = (spans::processing(&node.tracer, &node.status, &batch), batch.trace);
            let apply = || guard::run(&node.status, || node.transform.apply(batch, &mut dropped));
            let result = node.helper.run(items_in, || node.meter.timing.code(apply)).flatten();
            spans::processed(span, &result);
            let result = result?;
            let entry = entries.last_mut().expect("pushed above");
            entry.dropped = dropped;
            let Some(mut next) = result else { return Ok(None) };
            next.trace = trace;
            entry.items_out = next.items;
            node.helper.outgoing(next.items);
            batch = next;
        }
        Ok(Some(batch))
    }
}

impl Entry<'_> {
    fn commit(&mut self) {
        let meter = &self.node.meter;
        meter.accepted(self.items_in);
        meter.bytes(self.bytes_in);
        meter.passed_on(self.items_out);
        if !self.dropped.is_empty() {
            meter.all_dropped(&mut self.dropped);
        }
    }
}

impl Consumer for Chain {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async move { self.take(batch).await })
    }

    fn forwards(&self) -> Forwards {
        Chain::forwards(self)
    }
}

impl End {
    async fn take(&self, batch: Batch) -> Result<(), Refusal> {
        match self {
            End::Stage(stage) => stage.take(batch).await,
            End::FanOut(fan_out) => fan_out.take(batch).await,
        }
    }
}
