//! The end of what a change of the configuration replaced: upstream first, each part until the deadline,
//! and whatever is lost is counted and said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use phoenix_component::{
    Adoption, ComponentAdoption, ComponentKey, ConnectorOutlets, DrainReport, Extension, Lost, Outlets,
    Receiver,
};
use phoenix_pdata::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::log_adoption;
use crate::exporter_node::ExporterNode;
use crate::generation::{Entry, Generation, Node};
use crate::stage_node::StageNode;

/// How far a drain has come upstream of what a later one ends: a node may serve several graphs, and ends with
/// the last of them, while requests of the earlier ones are still on their way to it.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    /// Ends once nothing is under way that entered this graph or an earlier one.
    entered: CancellationToken,
    /// Ends once nothing comes out of the retired stages of this graph or of an earlier one.
    let_out: CancellationToken,
}

/// A node that holds data and lets it out into the graph, with its successor.
enum Holder {
    Stage(Arc<StageNode>, Option<Arc<StageNode>>),
    Queue(Arc<ExporterNode>, Option<Arc<ExporterNode>>, ConnectorOutlets),
}

impl Holder {
    /// What became of the handover to the successor, and whether that was replaced already; none where there is none.
    fn hand_over(&self) -> Option<(Adoption, bool)> {
        match self {
            Holder::Stage(stage, Some(successor)) => {
                let overtaken = successor.is_replaced();
                Some((stage.hand_over(successor), overtaken))
            }
            Holder::Queue(queue, Some(successor), _) => {
                let overtaken = successor.is_replaced();
                Some((queue.hand_over(successor), overtaken))
            }
            Holder::Stage(_, None) | Holder::Queue(_, None, _) => None,
        }
    }

    /// Lets everything out until the deadline; then nothing leaves it any more.
    async fn drain(&self, deadline: Instant) -> Lost {
        match self {
            Holder::Stage(stage, _) => {
                let left = stage.drain(deadline).await;
                stage.outlet.wire(None);
                left
            }
            Holder::Queue(queue, _, outlets) => {
                let left = queue.drain(deadline).await;
                outlets.all.wire(None);
                outlets.by_pipeline.iter().for_each(|(_, outlet)| outlet.wire(None));
                left
            }
        }
    }
}

/// The nodes of an old graph that are not in the new one.
#[derive(Default)]
pub(crate) struct Retired {
    receivers: Vec<(ComponentKey, Arc<dyn Receiver>, Outlets)>,
    tickers: Vec<CancellationToken>,
    /// Stages and connectors with a queue, upstream first.
    holders: Vec<(ComponentKey, Holder)>,
    exporters: Vec<(ComponentKey, Arc<ExporterNode>, Option<Arc<ExporterNode>>)>,
    extensions: Vec<Arc<dyn Extension>>,
    /// Ends of what entered the old graph from outlets that are pointed elsewhere now.
    entrances: Vec<CancellationToken>,
    /// Ends of what comes out of those.
    exits: BTreeMap<ComponentKey, Vec<CancellationToken>>,
    flow: Vec<ComponentKey>,
    gone: BTreeSet<ComponentKey>,
    /// Of the drain that began before this one, if any.
    earlier: Option<Progress>,
    progress: Progress,
}

impl Retired {
    pub(crate) fn new(old: &Generation) -> Retired {
        Retired { flow: old.flow.clone(), ..Retired::default() }
    }

    /// Takes note of a node that leaves, and of what comes in its place.
    pub(crate) fn add(&mut self, key: &ComponentKey, old: &Entry, new: Option<&Entry>) {
        self.gone.insert(key.clone());
        match &old.node {
            Node::Receiver { receiver, outlets } => {
                self.receivers.push((key.clone(), receiver.clone(), outlets.clone()));
            }
            Node::Transform { ticker, .. } => self.tickers.push(ticker.clone()),
            Node::Stage { node, .. } => {
                let successor = new.and_then(|entry| match &entry.node {
                    Node::Stage { node, .. } => Some(node.clone()),
                    _ => None,
                });
                self.holders.push((key.clone(), Holder::Stage(node.clone(), successor)));
            }
            Node::Queue { node, outlets } => {
                let successor = new.and_then(|entry| match &entry.node {
                    Node::Queue { node, .. } => Some(node.clone()),
                    _ => None,
                });
                self.holders.push((key.clone(), Holder::Queue(node.clone(), successor, outlets.clone())));
            }
            Node::Exporter(node) => {
                let successor = new.and_then(|entry| match &entry.node {
                    Node::Exporter(node) => Some(node.clone()),
                    _ => None,
                });
                self.exporters.push((key.clone(), node.clone(), successor));
            }
            Node::Connector { .. } => {}
            Node::Extension(extension) => self.extensions.push(extension.clone()),
        }
    }

    /// Sorts the wires of the old graph into entrances and exits. Those of retired connectors are neither:
    /// a call through one is part of a call upstream of it.
    pub(crate) fn collect_wires(&mut self, old: &Generation) {
        for wire in &old.wires {
            let retired = self.gone.contains(&wire.owner);
            match &old.nodes[&wire.owner].node {
                Node::Stage { .. } | Node::Queue { .. } if retired => {
                    self.exits.entry(wire.owner.clone()).or_default().push(wire.closed.clone());
                }
                Node::Connector { .. } if retired => {}
                _ => self.entrances.push(wire.closed.clone()),
            }
        }
        let place = |key: &ComponentKey| self.flow.iter().position(|other| other == key);
        self.holders.sort_by_key(|(key, _)| place(key));
    }

    /// Lets the drain go on after the one that began before it; how far it comes itself.
    pub(crate) fn follow(&mut self, earlier: Option<Progress>) -> Progress {
        self.earlier = earlier;
        self.progress.clone()
    }

    pub(crate) async fn drain(self, deadline: Instant) -> DrainReport {
        // Whoever follows goes on, however this ends.
        let has_entered = self.progress.entered.clone().drop_guard();
        let has_let_out = self.progress.let_out.clone().drop_guard();
        let mut outcome = DrainReport::default();
        let stops = self.receivers.iter().map(|(_, receiver, _)| receiver.stop(deadline));
        for ((key, ..), cut_off) in self.receivers.iter().zip(futures_util::future::join_all(stops).await) {
            outcome.cut_off_requests += cut_off.requests;
            if cut_off.items > 0 {
                outcome.add_loss(key, cut_off);
            }
        }
        for (_, _, outlets) in &self.receivers {
            Signal::ALL.into_iter().for_each(|signal| outlets.of(signal).wire(None));
        }
        self.tickers.iter().for_each(CancellationToken::cancel);
        // Requests that take longer than this are not lost: their senders have no answer yet. What was
        // accepted needs the rest of the time.
        let entered = halfway(deadline);
        let earlier = self.earlier.iter().map(|earlier| &earlier.entered);
        for entrance in self.entrances.iter().chain(earlier) {
            let _ = tokio::time::timeout_at(entered, entrance.cancelled()).await;
        }
        drop(has_entered);
        let adopted = |key: &ComponentKey, adoption, overtaken| ComponentAdoption {
            component: key.clone(),
            adoption,
            overtaken,
        };
        for (key, holder) in &self.holders {
            if let Some((adoption, overtaken)) = holder.hand_over() {
                log_adoption(key, &adoption);
                outcome.adoptions.push(adopted(key, adoption, overtaken));
            }
            let left = holder.drain(deadline).await;
            report(key, left);
            outcome.add_loss(key, left);
            for exit in self.exits.get(key).into_iter().flatten() {
                let _ = tokio::time::timeout_at(deadline, exit.cancelled()).await;
            }
        }
        if let Some(earlier) = &self.earlier {
            let _ = tokio::time::timeout_at(halfway(deadline), earlier.let_out.cancelled()).await;
        }
        drop(has_let_out);
        for (key, exporter, successor) in &self.exporters {
            if let Some(successor) = successor {
                let overtaken = successor.is_replaced();
                let adoption = exporter.hand_over(successor);
                if adoption != Adoption::Rebuilt {
                    log_adoption(key, &adoption);
                }
                outcome.adoptions.push(adopted(key, adoption, overtaken));
            }
        }
        let drains = self
            .exporters
            .iter()
            .map(|(key, exporter, _)| async move { (key, exporter.drain(deadline).await) });
        for (key, left) in futures_util::future::join_all(drains).await {
            report(key, left);
            outcome.add_loss(key, left);
        }
        for extension in &self.extensions {
            extension.stop(deadline).await;
        }
        outcome
    }
}

fn halfway(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}

fn report(key: &ComponentKey, lost: Lost) {
    if lost != Lost::default() {
        key.log_scope().run(|| {
            tracing::warn!(
                lost_items = lost.items,
                lost_requests = lost.requests,
                "data could not be delivered before the deadline and is lost"
            )
        });
    }
}
