//! One built graph: its nodes by name, and how they are wired.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use phoenix_component::factory::SharedSettings;
use phoenix_component::{
    Batch, BoxFuture, ComponentKey, ConnectorOutlets, Consumer, Extension, Forwards, Outlet, Outlets,
    Receiver, Refusal,
};
use phoenix_config::PipelineId;
use phoenix_telemetry::traces::Tracer;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::admission::Admission;
use crate::chain::TransformNode;
use crate::connector_node::ConnectorNode;
use crate::exporter_node::ExporterNode;
use crate::fan_out::FanOut;
use crate::meter::ReceiverMeter;
use crate::plan::Plan;
use crate::spans;
use crate::stage_node::StageNode;

/// The nodes of a graph and the plan's order of them.
#[derive(Default)]
pub(crate) struct Generation {
    /// What it was built from.
    pub(crate) plan: Plan,
    pub(crate) nodes: BTreeMap<ComponentKey, Entry>,
    /// Stages and connectors, upstream first: the order in which those that hold data drain.
    pub(crate) flow: Vec<ComponentKey>,
    pub(crate) wires: Vec<Wire>,
}

/// A node with what decides whether it survives a change of the configuration.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) node: Node,
    pub(crate) settings: SharedSettings,
    /// The type as the configuration spells it, and for a connector the pipelines that it feeds.
    pub(crate) identity: Identity,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) type_name: String,
    pub(crate) feeds: Vec<PipelineId>,
}

#[derive(Clone)]
pub(crate) enum Node {
    Receiver {
        receiver: Arc<dyn Receiver>,
        outlets: Outlets,
    },
    Transform {
        node: Arc<TransformNode>,
        ticker: CancellationToken,
    },
    Stage {
        node: Arc<StageNode>,
        outlets: Option<ConnectorOutlets>,
    },
    Exporter(Arc<ExporterNode>),
    Connector {
        node: Arc<ConnectorNode>,
        outlets: ConnectorOutlets,
    },
    /// A connector with a queue.
    Queue {
        node: Arc<ExporterNode>,
        outlets: ConnectorOutlets,
    },
    Extension(Arc<dyn Extension>),
}

impl Generation {
    /// The least that a component says the collector may hold.
    pub(crate) fn memory_limit(&self) -> Option<usize> {
        let limit = |entry: &Entry| match &entry.node {
            Node::Transform { node, .. } => node.transform.memory_limit(),
            Node::Extension(extension) => extension.memory_limit(),
            _ => None,
        };
        self.nodes.values().filter_map(limit).min()
    }

    pub(crate) fn extensions(&self) -> impl Iterator<Item = &Arc<dyn Extension>> {
        self.nodes.values().filter_map(|entry| match &entry.node {
            Node::Extension(extension) => Some(extension),
            _ => None,
        })
    }
}

impl Node {
    /// Whether both are the same instance.
    pub(crate) fn is(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::Receiver { receiver: a, .. }, Node::Receiver { receiver: b, .. }) => Arc::ptr_eq(a, b),
            (Node::Transform { node: a, .. }, Node::Transform { node: b, .. }) => Arc::ptr_eq(a, b),
            (Node::Stage { node: a, .. }, Node::Stage { node: b, .. }) => Arc::ptr_eq(a, b),
            (Node::Exporter(a), Node::Exporter(b)) => Arc::ptr_eq(a, b),
            (Node::Connector { node: a, .. }, Node::Connector { node: b, .. }) => Arc::ptr_eq(a, b),
            (Node::Queue { node: a, .. }, Node::Queue { node: b, .. }) => Arc::ptr_eq(a, b),
            (Node::Extension(a), Node::Extension(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Entry {
    /// Whether this entry can go on in the place of `other`.
    pub(crate) fn is_same(&self, settings: &SharedSettings, identity: &Identity) -> bool {
        self.identity == *identity && self.settings.same(&**settings)
    }
}

/// An outlet, what it is pointed at, and a token that ends when nothing runs through that any more.
pub(crate) struct Wire {
    pub(crate) owner: ComponentKey,
    pub(crate) outlet: Outlet,
    pub(crate) target: Option<Arc<Root>>,
    pub(crate) closed: CancellationToken,
}

impl Wire {
    pub(crate) fn new(
        owner: ComponentKey,
        outlet: Outlet,
        fan_out: Option<FanOut>,
        admission: &Admission,
        meter: Option<ReceiverMeter>,
        tracer: &Tracer,
    ) -> Wire {
        let closed = CancellationToken::new();
        let target = fan_out.map(|fan_out| {
            Arc::new(Root {
                fan_out,
                admission: admission.clone(),
                meter,
                owner: owner.clone(),
                tracer: tracer.clone(),
                _closed: closed.clone().drop_guard(),
            })
        });
        if target.is_none() {
            closed.cancel();
        }
        Wire { owner, outlet, target, closed }
    }

    /// Points the outlet at its target. The wire lets go of it, so that only the outlet and the requests
    /// under way keep it alive.
    pub(crate) fn connect(&mut self) {
        self.outlet.wire(self.target.take().map(|root| root as Arc<dyn Consumer>));
    }
}

/// What an outlet points at. A new one is made for each generation, also where all else stays, so that
/// its end says that the last request which entered under the old graph is done.
pub(crate) struct Root {
    fan_out: FanOut,
    admission: Admission,
    /// Of the receiver, where one owns the outlet.
    meter: Option<ReceiverMeter>,
    owner: ComponentKey,
    tracer: Tracer,
    _closed: DropGuard,
}

impl Root {
    async fn take(&self, batch: Batch) -> Result<(), Refusal> {
        let Some(meter) = &self.meter else { return self.fan_out.take(batch).await };
        let bytes = batch.payload.len();
        let outcome = meter.timing.answer(pin!(self.fan_out.take(batch))).await;
        if outcome.is_ok() {
            meter.bytes(bytes);
        }
        outcome
    }
}

impl Consumer for Root {
    fn consume(self: Arc<Self>, mut batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async move {
            let _admitted = (!batch.owned).then(|| self.admission.enter());
            match spans::receiving(&self.tracer, &self.owner, &mut batch) {
                None => self.take(batch).await,
                Some(span) => {
                    let (signal, items) = (batch.signal, batch.items);
                    let outcome = self.take(batch).await;
                    spans::received(span, signal, items, &outcome);
                    outcome
                }
            }
        })
    }

    fn forwards(&self) -> Forwards {
        self.fan_out.forwards()
    }
}
