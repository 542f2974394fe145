//! One batch to several branches, concurrently and each for itself.
//!
//! - Branches that only relay are asked first, those for which taking is a commitment (stages, queues)
//!   once the others have accepted: a refusal then costs the sender's retry as few repeats as can be.
//! - Where no branch took the batch the refusal goes back at once. Where some did, only the others are
//!   tried again, until the sender's deadline; after that the sender gets the retryable error, and
//!   `phoenix_fanout_partial` counts what some branches will see twice.
//!   That also counts where the sender goes away meanwhile.
//! - Each branch has its own turns: one that is slow does not keep another from being tried again. At the
//!   sender's deadline nobody is waited for any longer.
//! - Data that the collector owns (`Batch::owned`) and for which nobody waits is retried for as long as
//!   the branch exists.

use std::sync::Arc;

use phoenix_component::{Batch, BoxFuture, Consumer, Forwards, Refusal};
use phoenix_telemetry::{Counter, Description, Metrics};

use crate::chain::Chain;
use crate::connector_node::ConnectorNode;
use crate::exporter_node::ExporterNode;
use crate::phase::{Phase, Tally};
use crate::stage_node::StageNode;

const PARTIAL: Description = Description {
    name: "phoenix_fanout_partial",
    unit: "{item}",
    text: "Items refused to their sender although some branches of a fan-out had taken them.",
};

/// One way out of a fan-out.
#[derive(Clone)]
pub(crate) enum Branch {
    Pipeline(Arc<Chain>),
    Exporter(Arc<ExporterNode>),
    /// A stateless connector, and whether a pipeline behind it commits to what it takes.
    Connector(Arc<ConnectorNode>, bool),
    /// A stateful connector.
    Stage(Arc<StageNode>),
}

impl Branch {
    fn owns_accepted(&self) -> bool {
        match self {
            Branch::Pipeline(chain) => chain.owns_accepted(),
            Branch::Exporter(exporter) => exporter.owns_accepted(),
            Branch::Connector(_, owns_accepted) => *owns_accepted,
            Branch::Stage(_) => true,
        }
    }

    pub(crate) fn take(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        match self {
            Branch::Pipeline(chain) => Box::pin(chain.take(batch)),
            Branch::Exporter(exporter) => Box::pin(exporter.take(batch)),
            Branch::Connector(connector, _) => Box::pin(connector.take(batch)),
            Branch::Stage(stage) => Box::pin(stage.take(batch)),
        }
    }

    fn forwards(&self) -> Forwards {
        match self {
            Branch::Pipeline(chain) => chain.forwards(),
            Branch::Exporter(exporter) => Forwards::only(exporter.exporter.forwards()),
            Branch::Connector(connector, _) => connector.flow.forwards(),
            Branch::Stage(_) => Forwards::NOTHING,
        }
    }

    /// Gives up on a component that was removed from the graph meanwhile, and counts what it loses.
    pub(crate) fn abandon_if_closed(&self, items: u64) -> bool {
        match self {
            Branch::Exporter(exporter) => exporter.abandon_if_closed(items),
            Branch::Stage(stage) => stage.abandon_if_closed(items),
            Branch::Pipeline(chain) => chain.abandon_if_closed(items),
            Branch::Connector(..) => false,
        }
    }
}

/// The exporters of a pipeline, or the pipelines of a receiver.
pub(crate) struct FanOut {
    relays: Vec<Branch>,
    owners: Vec<Branch>,
    partial: Counter,
}

impl FanOut {
    pub(crate) fn new(branches: Vec<Branch>, metrics: &Metrics) -> FanOut {
        let (owners, relays) = branches.into_iter().partition(Branch::owns_accepted);
        FanOut { relays, owners, partial: metrics.counter(PARTIAL, &[]) }
    }

    pub(crate) fn owns_accepted(&self) -> bool {
        !self.owners.is_empty()
    }

    /// What is wanted as it came by the branches.
    pub(crate) fn forwards(&self) -> Forwards {
        self.relays.iter().chain(&self.owners).map(Branch::forwards).fold(Forwards::NOBODY, Forwards::and)
    }

    pub(crate) async fn take(&self, batch: Batch) -> Result<(), Refusal> {
        if let ([only], []) | ([], [only]) = (self.relays.as_slice(), self.owners.as_slice()) {
            return only.take(batch).await;
        }
        // Boxed, so that the future of the usual request stays small.
        Box::pin(self.take_all(batch)).await
    }

    async fn take_all(&self, batch: Batch) -> Result<(), Refusal> {
        let mut tally = Tally::new(&self.partial, batch.items);
        for phase in [&self.relays, &self.owners] {
            // A refusal ends it before the branches of the next phase are asked.
            Phase::new(phase, &batch).run(&mut tally).await?;
        }
        tally.end()
    }
}

impl Consumer for FanOut {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async move { self.take(batch).await })
    }

    fn forwards(&self) -> Forwards {
        FanOut::forwards(self)
    }
}
