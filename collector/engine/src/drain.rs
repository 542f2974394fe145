//! The end of what a change of the configuration replaced: upstream first, each part until the deadline,
//! and whatever is lost is counted and said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use phoenix_component::{
    Adoption, ComponentAdoption, ComponentKey, DrainReport, Extension, Lost, Outlets, Receiver,
};
use phoenix_pdata::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::log_adoption;
use crate::exporter_node::ExporterNode;
use crate::generation::{Entry, Generation, Node};
use crate::stage_node::StageNode;

/// The nodes of an old graph that are not in the new one.
#[derive(Default)]
pub(crate) struct Retired {
    receivers: Vec<(ComponentKey, Arc<dyn Receiver>, Outlets)>,
    tickers: Vec<CancellationToken>,
    /// Upstream first, each with its successor.
    stages: Vec<(ComponentKey, Arc<StageNode>, Option<Arc<StageNode>>)>,
    exporters: Vec<(ComponentKey, Arc<ExporterNode>, Option<Arc<ExporterNode>>)>,
    extensions: Vec<Arc<dyn Extension>>,
    /// Ends of what entered the old graph from outlets that are pointed elsewhere now.
    entrances: Vec<CancellationToken>,
    /// Ends of what comes out of the retired stages and connectors.
    exits: BTreeMap<ComponentKey, Vec<CancellationToken>>,
    flow: Vec<ComponentKey>,
    gone: BTreeSet<ComponentKey>,
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
                self.stages.push((key.clone(), node.clone(), successor));
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
                Node::Stage { .. } if retired => {
                    self.exits.entry(wire.owner.clone()).or_default().push(wire.closed.clone());
                }
                Node::Connector { .. } if retired => {}
                _ => self.entrances.push(wire.closed.clone()),
            }
        }
        let place = |key: &ComponentKey| self.flow.iter().position(|other| other == key);
        self.stages.sort_by_key(|(key, ..)| place(key));
    }

    pub(crate) async fn drain(self, deadline: Instant) -> DrainReport {
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
        let entered = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        for entrance in &self.entrances {
            let _ = tokio::time::timeout_at(entered, entrance.cancelled()).await;
        }
        let adopted = |key: &ComponentKey, adoption, overtaken| ComponentAdoption {
            component: key.clone(),
            adoption,
            overtaken,
        };
        for (key, stage, successor) in &self.stages {
            if let Some(successor) = successor {
                let overtaken = successor.is_replaced();
                let adoption = stage.hand_over(successor);
                log_adoption(key, &adoption);
                outcome.adoptions.push(adopted(key, adoption, overtaken));
            }
            let left = stage.drain(deadline).await;
            report(key, left);
            outcome.add_loss(key, left);
            stage.outlet.wire(None);
            for exit in self.exits.get(key).into_iter().flatten() {
                let _ = tokio::time::timeout_at(deadline, exit.cancelled()).await;
            }
        }
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
