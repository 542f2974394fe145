//! A configuration as the graph that it describes, checked as far as that is possible without making
//! anything: every component parsed, every signal supported, every connector used on both sides, every extension that is named
//! there, no address listened at twice, no cycle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use phoenix_component::factory::{Descriptor, Registry, SharedSettings};
use phoenix_config::{ComponentId, Config, Kind, Pipeline, PipelineId, Problems};
use phoenix_pdata::Signal;

use crate::listeners::{self, Listener};
use crate::references;

/// A checked graph, ready to be built. The default is a graph without anything.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Pipelines, those that feed others first.
    pub(crate) pipelines: Vec<PlannedPipeline>,
    /// Extensions, those that others name first.
    pub(crate) extensions: Vec<ComponentId>,
    settings: HashMap<(Kind, ComponentId), SharedSettings>,
    /// Where components listen, by address.
    listeners: BTreeMap<String, Listener>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedPipeline {
    pub(crate) id: PipelineId,
    pub(crate) receivers: Vec<ComponentId>,
    pub(crate) processors: Vec<ComponentId>,
    pub(crate) exporters: Vec<ComponentId>,
}

impl Plan {
    /// Parses every component and checks the graph; all problems are reported to `problems`, which stands at
    /// the root of the configuration. None where there was an error.
    pub fn new(config: &Config, registry: &Registry, problems: &mut Problems) -> Option<Plan> {
        let mut settings = HashMap::new();
        // A section may be unreadable without a mistake in it, where a value is left open.
        let mut complete = true;
        for component in config.all_components() {
            let mut found = component.problems();
            let (kind, id) = (component.kind(), component.id());
            if let Some(parsed) = registry.parse(kind, id, component.node(), &mut found) {
                settings.insert((kind, id.clone()), parsed);
            } else {
                complete = false;
            }
            problems.absorb(found);
        }
        let planned = |pipeline: &Pipeline| PlannedPipeline {
            id: pipeline.id.clone(),
            receivers: without_repeats(&pipeline.receivers),
            processors: pipeline.processors.clone(),
            exporters: without_repeats(&pipeline.exporters),
        };
        let mut pipelines: Vec<_> = config.service().pipelines.iter().map(planned).collect();
        check_signals(&pipelines, &settings, config, registry, problems);
        if !config.service().is_open {
            check_connectors(&pipelines, &settings, config, registry, problems);
        }
        let is_connector = |id: &ComponentId| config.component(Kind::Connector, id).is_some();
        match order(&pipelines, &is_connector) {
            Ok(order) => {
                let mut slots: Vec<_> = pipelines.into_iter().map(Some).collect();
                pipelines = order.into_iter().filter_map(|index| slots[index].take()).collect();
            }
            Err(cycle) => {
                problems.error("service::pipelines", cycle);
                return None;
            }
        }
        references::check(config, &settings, registry, problems);
        let listeners = listeners::check(config, &settings, registry, problems);
        let extensions = references::order(config, &settings, registry, problems);
        (complete && !config.service().is_open && !problems.has_errors()).then_some(Plan {
            pipelines,
            extensions,
            settings,
            listeners,
        })
    }

    /// Who listens at `endpoint`, if a component does.
    pub fn listener_at(&self, endpoint: &str) -> Option<&Listener> {
        self.listeners.get(endpoint)
    }

    pub(crate) fn settings(&self, kind: Kind, id: &ComponentId) -> SharedSettings {
        self.settings[&(kind, id.clone())].clone()
    }

    /// Whether the name means a connector; those and receivers or exporters never share one.
    pub(crate) fn is_connector(&self, id: &ComponentId) -> bool {
        self.settings.contains_key(&(Kind::Connector, id.clone()))
    }

    /// Every receiver that a pipeline names.
    pub(crate) fn receivers(&self) -> BTreeSet<&ComponentId> {
        self.pipelines.iter().flat_map(|p| &p.receivers).filter(|id| !self.is_connector(id)).collect()
    }

    /// The pipelines of `signal` that `id` feeds.
    pub(crate) fn fed_by<'a>(
        &'a self,
        id: &'a ComponentId,
        signal: Signal,
    ) -> impl Iterator<Item = &'a PlannedPipeline> + 'a {
        self.pipelines.iter().filter(move |p| p.id.signal() == signal && p.receivers.contains(id))
    }

    /// Each instance of each connector, as identifier, signal in and signal out, with the pipelines that it
    /// feeds.
    pub(crate) fn connectors(&self) -> BTreeMap<(ComponentId, Signal, Signal), Vec<PipelineId>> {
        let mut connectors: BTreeMap<_, Vec<PipelineId>> = BTreeMap::new();
        for upstream in &self.pipelines {
            for id in upstream.exporters.iter().filter(|id| self.is_connector(id)) {
                for downstream in self.pipelines.iter().filter(|p| p.receivers.contains(id)) {
                    let instance = (id.clone(), upstream.id.signal(), downstream.id.signal());
                    let feeds = connectors.entry(instance).or_default();
                    if !feeds.contains(&downstream.id) {
                        feeds.push(downstream.id.clone());
                    }
                }
            }
        }
        connectors
    }
}

fn without_repeats(ids: &[ComponentId]) -> Vec<ComponentId> {
    let mut seen = BTreeSet::new();
    ids.iter().filter(|id| seen.insert(*id)).cloned().collect()
}

fn descriptor<'a>(registry: &'a Registry, kind: Kind, id: &ComponentId) -> Option<&'a Descriptor> {
    let name = id.type_name();
    registry.descriptors(kind).into_iter().find(|d| d.name == name || d.aliases.contains(&name))
}

fn pipeline_path(pipeline: &PlannedPipeline, list: &str) -> String {
    format!("service::pipelines::{}::{list}", pipeline.id)
}

fn check_signals(
    pipelines: &[PlannedPipeline],
    settings: &HashMap<(Kind, ComponentId), SharedSettings>,
    config: &Config,
    registry: &Registry,
    problems: &mut Problems,
) {
    for pipeline in pipelines {
        let signal = pipeline.id.signal();
        let lists = [
            (Kind::Receiver, "receivers", &pipeline.receivers),
            (Kind::Processor, "processors", &pipeline.processors),
            (Kind::Exporter, "exporters", &pipeline.exporters),
        ];
        for (kind, list, ids) in lists {
            for id in ids.iter().filter(|id| config.component(Kind::Connector, id).is_none()) {
                let Some(descriptor) = descriptor(registry, kind, id) else { continue };
                if !descriptor.supports(signal, signal) {
                    let supported: Vec<_> =
                        descriptor.signals.iter().map(|support| support.from.name()).collect();
                    problems.error_with_help(
                        &pipeline_path(pipeline, list),
                        format!("{kind} \"{id}\" does not support {signal}"),
                        format!("it supports {}", supported.join(", ")),
                    );
                    continue;
                }
                let parsed = settings.get(&(kind, id.clone()));
                let factory = registry.factory(kind, id.type_name());
                let lacks =
                    factory.zip(parsed).and_then(|(factory, parsed)| factory.lacks(parsed.as_ref(), signal));
                if let Some(lacks) = lacks {
                    problems.error(&pipeline_path(pipeline, list), format!("{kind} \"{id}\": {lacks}"));
                }
            }
        }
    }
}

fn check_connectors(
    pipelines: &[PlannedPipeline],
    settings: &HashMap<(Kind, ComponentId), SharedSettings>,
    config: &Config,
    registry: &Registry,
    problems: &mut Problems,
) {
    let connectors: BTreeSet<_> = pipelines
        .iter()
        .flat_map(|p| p.exporters.iter().chain(&p.receivers))
        .filter(|id| config.component(Kind::Connector, id).is_some())
        .collect();
    for id in connectors {
        let Some(descriptor) = descriptor(registry, Kind::Connector, id) else { continue };
        let upstream: Vec<_> = pipelines.iter().filter(|p| p.exporters.contains(id)).collect();
        let downstream: Vec<_> = pipelines.iter().filter(|p| p.receivers.contains(id)).collect();
        for up in &upstream {
            if !downstream.iter().any(|down| descriptor.supports(up.id.signal(), down.id.signal())) {
                problems.error(
                    &pipeline_path(up, "exporters"),
                    format!("connector \"{id}\" used as exporter in [{}] pipeline but not used in any supported receiver pipeline", up.id),
                );
            }
        }
        let parsed = settings.get(&(Kind::Connector, id.clone()));
        let factory = registry.factory(Kind::Connector, id.type_name());
        let named = factory.zip(parsed).map(|(factory, parsed)| factory.pipelines(parsed.as_ref()));
        for (key, name) in named.unwrap_or_default() {
            let is_fed = |from: Signal| {
                let mut fed = downstream.iter().filter(|down| descriptor.supports(from, down.id.signal()));
                fed.any(|down| down.id.to_string() == name)
            };
            if !upstream.iter().all(|up| is_fed(up.id.signal())) {
                problems.error(
                    &format!("connectors::{id}::{key}"),
                    format!("pipeline {name:?} does not list this connector among its receivers"),
                );
            }
        }
        for down in &downstream {
            if !upstream.iter().any(|up| descriptor.supports(up.id.signal(), down.id.signal())) {
                problems.error(
                    &pipeline_path(down, "receivers"),
                    format!("connector \"{id}\" used as receiver in [{}] pipeline but not used in any supported exporter pipeline", down.id),
                );
            }
        }
    }
}

/// The pipelines in topological order, or a description of the first cycle.
fn order(
    pipelines: &[PlannedPipeline],
    is_connector: &impl Fn(&ComponentId) -> bool,
) -> Result<Vec<usize>, String> {
    let feeds = |from: usize| {
        let exporters = &pipelines[from].exporters;
        (0..pipelines.len()).filter_map(move |to| {
            exporters
                .iter()
                .find(|id| is_connector(id) && pipelines[to].receivers.contains(id))
                .map(|connector| (to, connector))
        })
    };
    let mut order = Vec::with_capacity(pipelines.len());
    // 0: not seen, 1: on the way, 2: done.
    let mut marks = vec![0u8; pipelines.len()];
    fn visit<'a, I: Iterator<Item = (usize, &'a ComponentId)>>(
        at: usize,
        feeds: &impl Fn(usize) -> I,
        marks: &mut [u8],
        trail: &mut Vec<(usize, &'a ComponentId)>,
        order: &mut Vec<usize>,
    ) -> Result<(), usize> {
        marks[at] = 1;
        for (to, connector) in feeds(at) {
            trail.push((to, connector));
            match marks[to] {
                1 => return Err(to),
                0 => visit(to, feeds, marks, trail, order)?,
                _ => {}
            }
            trail.pop();
        }
        marks[at] = 2;
        order.push(at);
        Ok(())
    }
    for start in 0..pipelines.len() {
        if marks[start] == 0 {
            let mut trail = Vec::new();
            if let Err(closing) = visit(start, &feeds, &mut marks, &mut trail, &mut order) {
                let first = trail
                    .iter()
                    .position(|(to, _)| *to == closing)
                    .filter(|at| at + 1 < trail.len())
                    .map_or(0, |at| at + 1);
                let steps: Vec<_> = trail[first..]
                    .iter()
                    .map(|(to, connector)| {
                        format!("connector \"{connector}\" -> pipeline \"{}\"", pipelines[*to].id)
                    })
                    .collect();
                return Err(format!("cycle detected: {}", steps.join(" -> ")));
            }
        }
    }
    order.reverse();
    Ok(order)
}
