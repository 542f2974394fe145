//! One batch to several branches, concurrently and each for itself.
//!
//! - Branches that only relay are asked first, those for which taking is a commitment (stages, queues)
//!   once the others have accepted: a refusal then costs the sender's retry as few repeats as can be.
//! - Where no branch took the batch the refusal goes back at once. Where some did, only the others are
//!   tried again, until the sender's deadline; after that the sender gets the retryable error, and
//!   `phoenix_fanout_partial` counts what some branches will see twice.
//! - Data that the collector owns (`Batch::owned`) and for which nobody waits is retried for as long as
//!   the branch exists.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use phoenix_component::{Batch, BoxFuture, Consumer, Forwards, Refusal};
use phoenix_telemetry::{Counter, Description, Metrics};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::chain::Chain;
use crate::connector_node::ConnectorNode;
use crate::exporter_node::ExporterNode;
use crate::stage_node::StageNode;

/// How long branches are retried for a sender that named no deadline.
const PATIENCE: Duration = Duration::from_secs(5);

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

    fn take(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
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
    fn abandon_if_closed(&self, items: u64) -> bool {
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

/// How the branches of one phase answered.
#[derive(Default)]
struct Answers {
    accepted: usize,
    retry: Vec<(Branch, Refusal)>,
    rejected: Option<Refusal>,
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
        let mut accepted = 0;
        let mut rejected = None;
        for phase in [&self.relays, &self.owners] {
            let answers = self.ask_until_deadline(phase, &batch, accepted > 0).await;
            if let Some((_, refusal)) = answers.retry.into_iter().next() {
                if accepted + answers.accepted > 0 {
                    self.partial.add(batch.items);
                }
                return Err(refusal);
            }
            accepted += answers.accepted;
            rejected = rejected.or(answers.rejected);
        }
        rejected.map_or(Ok(()), Err)
    }

    /// Asks every branch, and those that refuse for now again for as long as that helps: until some
    /// sender's deadline, and only if another branch holds the data already.
    async fn ask_until_deadline(&self, branches: &[Branch], batch: &Batch, taken_before: bool) -> Answers {
        let mut answers = ask(branches.iter().cloned(), batch).await;
        let deadline = match (batch.deadline, batch.owned) {
            (Some(deadline), _) => Some(deadline),
            (None, false) => Some(Instant::now() + PATIENCE),
            (None, true) => None,
        };
        let mut backoff = Backoff::new();
        while !answers.retry.is_empty() && (taken_before || answers.accepted > 0) {
            let asked_for = answers.retry.iter().filter_map(|(_, refusal)| refusal.delay()).min();
            let next = Instant::now() + backoff.wait(asked_for, rand::random());
            if deadline.is_some_and(|deadline| next >= deadline) {
                break;
            }
            tokio::time::sleep_until(next).await;
            let again =
                ask(std::mem::take(&mut answers.retry).into_iter().map(|(branch, _)| branch), batch).await;
            answers.accepted += again.accepted;
            answers.rejected = answers.rejected.or(again.rejected);
            for (branch, refusal) in again.retry {
                if batch.owned && branch.abandon_if_closed(batch.items) {
                    continue;
                }
                answers.retry.push((branch, refusal));
            }
        }
        answers
    }
}

async fn ask(branches: impl Iterator<Item = Branch>, batch: &Batch) -> Answers {
    let asked = branches.map(|branch| async {
        let outcome = branch.take(batch.clone()).await;
        (branch, outcome)
    });
    let mut answers = Answers::default();
    for (branch, outcome) in join_all(asked).await {
        match outcome {
            Ok(()) => answers.accepted += 1,
            Err(refusal) if refusal.is_retryable() => answers.retry.push((branch, refusal)),
            Err(refusal) => answers.rejected = Some(refusal),
        }
    }
    answers
}

impl Consumer for FanOut {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async move { self.take(batch).await })
    }

    fn forwards(&self) -> Forwards {
        FanOut::forwards(self)
    }
}
