//! From a plan to a graph: new nodes are made and started, unchanged ones carried over, all of them
//! linked. Nothing of the running graph changes here, and a failure leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use phoenix_component::factory::{CreateContext, Registry, Shared};
use phoenix_component::{
    ComponentKey, Connector, ConnectorOutlets, Host, Outlet, Outlets, Processor, StartError, StatusReporter,
    Tap,
};
use phoenix_config::{ComponentId, Kind, PipelineId};
use phoenix_pdata::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::chain::{Chain, End, TransformNode};
use crate::clock::Clock;
use crate::connector_node::ConnectorNode;
use crate::exporter_node::ExporterNode;
use crate::fan_out::{Branch, FanOut};
use crate::generation::{Entry, Generation, Identity, Node, Wire};
use crate::helper_meter::HelperMeter;
use crate::meter::{Meter, ReceiverMeter};
use crate::plan::{Plan, PlannedPipeline};
use crate::stage_node::StageNode;

/// A component that could not be made or started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {component}: {reason}")]
pub struct BuildError {
    /// Which one.
    pub component: ComponentKey,
    /// Why not.
    pub reason: StartError,
}

/// What a build works with.
pub(crate) struct Builder<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) host: &'a Host,
    pub(crate) clock: Clock,
    pub(crate) admission: &'a Admission,
    pub(crate) shared: &'a Shared,
    pub(crate) plan: &'a Plan,
    /// The graph that runs now.
    pub(crate) running: &'a Generation,
}

/// A graph under construction.
#[derive(Default)]
struct Draft {
    nodes: BTreeMap<ComponentKey, Entry>,
    flow: Vec<ComponentKey>,
    /// Keys that were not carried over, in the order in which they were started.
    fresh: Vec<ComponentKey>,
    /// Those that were not known to the health table before.
    reported: Vec<ComponentKey>,
}

pub(crate) fn receiver_key(id: &ComponentId) -> ComponentKey {
    ComponentKey { kind: Kind::Receiver, id: id.clone(), scope: String::new() }
}

pub(crate) fn extension_key(id: &ComponentId) -> ComponentKey {
    ComponentKey { kind: Kind::Extension, id: id.clone(), scope: String::new() }
}

pub(crate) fn processor_key(id: &ComponentId, pipeline: &PipelineId) -> ComponentKey {
    ComponentKey { kind: Kind::Processor, id: id.clone(), scope: pipeline.to_string() }
}

pub(crate) fn exporter_key(id: &ComponentId, signal: Signal) -> ComponentKey {
    ComponentKey { kind: Kind::Exporter, id: id.clone(), scope: signal.to_string() }
}

pub(crate) fn connector_key(id: &ComponentId, from: Signal, to: Signal) -> ComponentKey {
    ComponentKey { kind: Kind::Connector, id: id.clone(), scope: format!("{from} to {to}") }
}

impl Builder<'_> {
    /// The new graph, not yet connected to anything that runs.
    pub(crate) async fn build(&self) -> Result<Generation, BuildError> {
        let mut draft = Draft::default();
        match self.populate(&mut draft).await {
            Ok(()) => {}
            Err(error) => {
                self.take_back(draft).await;
                return Err(error);
            }
        }
        let wires = self.link(&draft.nodes);
        Ok(Generation { plan: self.plan.clone(), nodes: draft.nodes, flow: draft.flow, wires })
    }

    /// Extensions and exporters first, receivers last.
    async fn populate(&self, draft: &mut Draft) -> Result<(), BuildError> {
        for id in &self.plan.extensions {
            self.extension(draft, id).await?;
        }
        for pipeline in &self.plan.pipelines {
            let signal = pipeline.id.signal();
            for id in pipeline.exporters.iter().filter(|id| !self.plan.is_connector(id)) {
                self.exporter(draft, id, signal).await?;
            }
        }
        for ((id, from, to), feeds) in self.plan.instances_of_connectors(self.registry) {
            self.connector(draft, &id, from, to, feeds).await?;
        }
        for pipeline in &self.plan.pipelines {
            for id in &pipeline.processors {
                self.processor(draft, id, &pipeline.id)?;
            }
        }
        self.order_flow(draft);
        for id in self.plan.receivers() {
            self.receiver(draft, id).await?;
        }
        Ok(())
    }

    fn identity(&self, id: &ComponentId, feeds: Vec<PipelineId>) -> Identity {
        Identity { type_name: id.type_name().to_owned(), feeds }
    }

    /// Puts the node that runs under that key into the draft, if it means the same. True where it did.
    fn carry_over(&self, draft: &mut Draft, key: &ComponentKey, identity: &Identity) -> bool {
        if draft.nodes.contains_key(key) {
            return true;
        }
        let settings = self.plan.settings(key.kind, &key.id);
        match self.running.nodes.get(key).filter(|entry| entry.is_same(&settings, identity)) {
            Some(entry) => {
                draft.nodes.insert(key.clone(), entry.clone());
                true
            }
            None => false,
        }
    }

    fn reporter(&self, draft: &mut Draft, key: &ComponentKey) -> StatusReporter {
        if !self.running.nodes.contains_key(key) {
            draft.reported.push(key.clone());
        }
        self.host.health.reporter(key.clone())
    }

    fn add(&self, draft: &mut Draft, key: ComponentKey, identity: Identity, node: Node) {
        let settings = self.plan.settings(key.kind, &key.id);
        draft.fresh.push(key.clone());
        draft.nodes.insert(key, Entry { node, settings, identity });
    }

    fn context<'c>(&'c self, id: &'c ComponentId, status: &StatusReporter) -> CreateContext<'c> {
        CreateContext { id, host: self.host, status: status.clone(), shared: self.shared }
    }

    async fn extension(&self, draft: &mut Draft, id: &ComponentId) -> Result<(), BuildError> {
        let (key, identity) = (extension_key(id), self.identity(id, Vec::new()));
        if self.carry_over(draft, &key, &identity) {
            return Ok(());
        }
        let failed = |reason| BuildError { component: key.clone(), reason };
        let settings = self.plan.settings(Kind::Extension, id);
        let status = self.reporter(draft, &key);
        let factory = self.registry.extension(id.type_name()).expect("the plan names known types");
        let scope = status.log_scope();
        let extension =
            scope.run(|| factory.create(&*settings, self.context(id, &status))).map_err(failed)?;
        scope.wrap(extension.start(self.host)).await.map_err(failed)?;
        self.add(draft, key, identity, Node::Extension(extension));
        Ok(())
    }

    async fn exporter(&self, draft: &mut Draft, id: &ComponentId, signal: Signal) -> Result<(), BuildError> {
        let (key, identity) = (exporter_key(id, signal), self.identity(id, Vec::new()));
        if self.carry_over(draft, &key, &identity) {
            return Ok(());
        }
        let failed = |reason| BuildError { component: key.clone(), reason };
        let settings = self.plan.settings(Kind::Exporter, id);
        let status = self.reporter(draft, &key);
        let factory = self.registry.exporter(id.type_name()).expect("the plan names known types");
        let scope = status.log_scope();
        let exporter =
            scope.run(|| factory.create(&*settings, self.context(id, &status), signal)).map_err(failed)?;
        scope.wrap(exporter.start(self.host)).await.map_err(failed)?;
        let node = ExporterNode::new(
            exporter,
            status,
            Meter::new(&self.host.metrics, &key),
            self.host.tracer.clone(),
        );
        self.add(draft, key, identity, Node::Exporter(Arc::new(node)));
        Ok(())
    }

    async fn connector(
        &self,
        draft: &mut Draft,
        id: &ComponentId,
        from: Signal,
        to: Signal,
        feeds: Vec<PipelineId>,
    ) -> Result<(), BuildError> {
        let (key, identity) = (connector_key(id, from, to), self.identity(id, feeds));
        if self.carry_over(draft, &key, &identity) {
            return Ok(());
        }
        let failed = |reason| BuildError { component: key.clone(), reason };
        let settings = self.plan.settings(Kind::Connector, id);
        let status = self.reporter(draft, &key);
        let outlets = ConnectorOutlets {
            all: Outlet::unwired(to),
            by_pipeline: identity
                .feeds
                .iter()
                .map(|pipeline| (pipeline.clone(), Outlet::unwired(to)))
                .collect(),
        };
        let factory = self.registry.connector(id.type_name()).expect("the plan names known types");
        let scope = status.log_scope();
        let create = || factory.create(&*settings, self.context(id, &status), from, to, outlets.clone());
        let connector = scope.run(create).map_err(failed)?;
        let meter = Meter::new(&self.host.metrics, &key);
        let node = match connector {
            Connector::Flow(flow) => {
                let node = ConnectorNode { flow, status, meter };
                Node::Connector { node: Arc::new(node), outlets }
            }
            Connector::Queue(exporter) => {
                scope.wrap(exporter.start(self.host)).await.map_err(failed)?;
                let node = ExporterNode::new(exporter, status, meter, self.host.tracer.clone());
                Node::Queue { node: Arc::new(node), outlets }
            }
            Connector::Stage { spec, output } => {
                debug_assert_eq!(output, to, "a connector lets out the signal that it was made for");
                let node = StageNode::new(
                    spec,
                    outlets.all.clone(),
                    status,
                    meter,
                    self.host,
                    self.clock,
                    self.admission,
                );
                Node::Stage { node, outlets: Some(outlets) }
            }
        };
        self.add(draft, key, identity, node);
        Ok(())
    }

    fn processor(
        &self,
        draft: &mut Draft,
        id: &ComponentId,
        pipeline: &PipelineId,
    ) -> Result<(), BuildError> {
        let (key, identity) = (processor_key(id, pipeline), self.identity(id, Vec::new()));
        if self.carry_over(draft, &key, &identity) {
            return Ok(());
        }
        let failed = |reason| BuildError { component: key.clone(), reason };
        let settings = self.plan.settings(Kind::Processor, id);
        let status = self.reporter(draft, &key);
        let factory = self.registry.processor(id.type_name()).expect("the plan names known types");
        let create = || factory.create(&*settings, self.context(id, &status), pipeline);
        let processor = status.log_scope().run(create).map_err(failed)?;
        let meter = Meter::new(&self.host.metrics, &key);
        let node = match processor {
            Processor::Transform(transform) => {
                let helper = HelperMeter::new(&self.host.metrics, id, pipeline.signal());
                let tracer = self.host.tracer.clone();
                let node = Arc::new(TransformNode { transform, status, meter, helper, tracer });
                let ticker = CancellationToken::new();
                self.start_ticker(&node, &ticker);
                Node::Transform { node, ticker }
            }
            Processor::Stage(spec) => {
                let outlet = Outlet::unwired(pipeline.signal());
                let node = StageNode::new(spec, outlet, status, meter, self.host, self.clock, self.admission);
                Node::Stage { node, outlets: None }
            }
        };
        self.add(draft, key, identity, node);
        Ok(())
    }

    /// Lets a transform look after what changes with time, off the data path.
    fn start_ticker(&self, node: &Arc<TransformNode>, stop: &CancellationToken) {
        let Some(period) = node.transform.check_interval() else { return };
        let (node, stop, clock) = (node.clone(), stop.clone(), self.clock);
        self.host.control.spawn(stop.run_until_cancelled_owned(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let _ = crate::guard::run(&node.status, || node.transform.check(clock.now()));
            }
        }));
    }

    async fn receiver(&self, draft: &mut Draft, id: &ComponentId) -> Result<(), BuildError> {
        let (key, identity) = (receiver_key(id), self.identity(id, Vec::new()));
        if self.carry_over(draft, &key, &identity) {
            return Ok(());
        }
        let failed = |reason| BuildError { component: key.clone(), reason };
        let settings = self.plan.settings(Kind::Receiver, id);
        let status = self.reporter(draft, &key);
        let outlets = Outlets::unwired();
        let factory = self.registry.receiver(id.type_name()).expect("the plan names known types");
        let status_scope = status.log_scope();
        let create = || factory.create(&*settings, self.context(id, &status), outlets.clone());
        let receiver = status_scope.run(create).map_err(failed)?;
        status_scope.wrap(receiver.bind(self.host)).await.map_err(failed)?;
        self.add(draft, key, identity, Node::Receiver { receiver, outlets });
        Ok(())
    }

    /// Stages and connectors, upstream first.
    fn order_flow(&self, draft: &mut Draft) {
        let mut flow = Vec::new();
        for pipeline in &self.plan.pipelines {
            let connectors = draft.nodes.keys().filter(|key| {
                key.kind == Kind::Connector
                    && pipeline.receivers.contains(&key.id)
                    && key.scope.ends_with(pipeline.id.signal().name())
            });
            flow.extend(connectors.cloned());
            flow.extend(pipeline.processors.iter().map(|id| processor_key(id, &pipeline.id)));
        }
        let mut seen = std::collections::BTreeSet::new();
        flow.retain(|key| seen.insert(key.clone()));
        draft.flow = flow;
    }

    /// Undoes what a failed build has started.
    async fn take_back(&self, draft: Draft) {
        let now = Instant::now();
        for key in draft.fresh.iter().rev() {
            match &draft.nodes[key].node {
                Node::Receiver { receiver, .. } => drop(receiver.stop(now).await),
                Node::Transform { ticker, .. } => ticker.cancel(),
                Node::Stage { node, .. } => node.discard(),
                Node::Exporter(node) | Node::Queue { node, .. } => drop(node.drain(now).await),
                Node::Extension(extension) => extension.stop(now).await,
                Node::Connector { .. } => {}
            }
        }
        draft.reported.iter().for_each(|key| self.host.health.forget(key));
    }

    /// Makes the chains of every pipeline, last pipeline first, and the wires that lead into them.
    fn link(&self, nodes: &BTreeMap<ComponentKey, Entry>) -> Vec<Wire> {
        let mut wires = Vec::new();
        let mut heads: BTreeMap<PipelineId, Arc<Chain>> = BTreeMap::new();
        for pipeline in self.plan.pipelines.iter().rev() {
            let head = self.link_pipeline(pipeline, nodes, &heads, &mut wires);
            heads.insert(pipeline.id.clone(), head);
        }
        for id in self.plan.receivers() {
            let key = receiver_key(id);
            let Node::Receiver { outlets, .. } = &nodes[&key].node else { continue };
            for signal in Signal::ALL {
                let fed = self
                    .plan
                    .fed_by(id, signal)
                    .map(|pipeline| Branch::Pipeline(heads[&pipeline.id].clone()));
                wires.push(self.wire(&key, outlets.of(signal), fed.collect()));
            }
        }
        for (key, entry) in nodes.iter().filter(|(key, _)| key.kind == Kind::Connector) {
            let outlets = match &entry.node {
                Node::Connector { outlets, .. } | Node::Queue { outlets, .. } => outlets,
                Node::Stage { outlets: Some(outlets), .. } => outlets,
                _ => continue,
            };
            let branch = |pipeline| Branch::Pipeline(heads[pipeline].clone());
            let all = outlets.by_pipeline.iter().map(|(pipeline, _)| branch(pipeline)).collect();
            wires.push(self.wire(key, &outlets.all, all));
            for (pipeline, outlet) in &outlets.by_pipeline {
                wires.push(self.wire(key, outlet, vec![branch(pipeline)]));
            }
        }
        wires
    }

    fn wire(&self, owner: &ComponentKey, outlet: &Outlet, branches: Vec<Branch>) -> Wire {
        let fan_out = (!branches.is_empty()).then(|| FanOut::new(branches, &self.host.metrics));
        let meter = (owner.kind == Kind::Receiver).then(|| {
            let scope = outlet.signal().to_string();
            ReceiverMeter::new(&self.host.metrics, &ComponentKey { scope, ..owner.clone() })
        });
        Wire::new(owner.clone(), outlet.clone(), fan_out, self.admission, meter, &self.host.tracer)
    }

    /// The first chain of a pipeline; the chains behind its stages become wires.
    fn link_pipeline(
        &self,
        pipeline: &PlannedPipeline,
        nodes: &BTreeMap<ComponentKey, Entry>,
        heads: &BTreeMap<PipelineId, Arc<Chain>>,
        wires: &mut Vec<Wire>,
    ) -> Arc<Chain> {
        let mut end = End::FanOut(FanOut::new(self.exits(pipeline, nodes, heads), &self.host.metrics));
        let tap = || Some(Tap::open(&self.host.capabilities, &pipeline.id));
        let (mut transforms, mut exit) = (Vec::new(), tap());
        for id in pipeline.processors.iter().rev() {
            let key = processor_key(id, &pipeline.id);
            match &nodes[&key].node {
                Node::Transform { node, .. } => transforms.insert(0, node.clone()),
                Node::Stage { node, .. } => {
                    let next = Chain {
                        transforms: std::mem::take(&mut transforms),
                        end,
                        entry: None,
                        exit: exit.take(),
                    };
                    wires.push(self.wire(&key, &node.outlet, vec![Branch::Pipeline(Arc::new(next))]));
                    end = End::Stage(node.clone());
                }
                _ => unreachable!("a processor is a transform or a stage"),
            }
        }
        Arc::new(Chain { transforms, end, entry: tap(), exit })
    }

    /// The exporters of a pipeline, connectors among them.
    fn exits(
        &self,
        pipeline: &PlannedPipeline,
        nodes: &BTreeMap<ComponentKey, Entry>,
        heads: &BTreeMap<PipelineId, Arc<Chain>>,
    ) -> Vec<Branch> {
        let signal = pipeline.id.signal();
        let mut exits = Vec::new();
        for id in &pipeline.exporters {
            if !self.plan.is_connector(id) {
                let Node::Exporter(node) = &nodes[&exporter_key(id, signal)].node else { continue };
                exits.push(Branch::Exporter(node.clone()));
                continue;
            }
            for to in Signal::ALL {
                match nodes.get(&connector_key(id, signal, to)).map(|entry| &entry.node) {
                    Some(Node::Connector { node, outlets }) => {
                        let owns = outlets.by_pipeline.iter().any(|(fed, _)| heads[fed].owns_accepted());
                        exits.push(Branch::Connector(node.clone(), owns));
                    }
                    Some(Node::Stage { node, .. }) => exits.push(Branch::Stage(node.clone())),
                    Some(Node::Queue { node, .. }) => exits.push(Branch::Exporter(node.clone())),
                    _ => {}
                }
            }
        }
        exits
    }
}
