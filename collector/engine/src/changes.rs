//! What a plan changes against another: the same comparison that a swap makes, before anything is built.

use std::collections::BTreeMap;

use phoenix_component::factory::{Registry, SharedSettings};
use phoenix_component::{Changes, ComponentChange, ComponentKey, PipelineChanges};
use phoenix_config::{Kind, PipelineId};
use phoenix_pdata::Signal;

use crate::build::{connector_key, exporter_key, extension_key, processor_key, receiver_key};
use crate::generation::Identity;
use crate::plan::{Plan, PlannedPipeline};

/// What decides whether an instance survives a change.
struct Instance {
    settings: SharedSettings,
    identity: Identity,
}

impl Plan {
    /// What this plan changes against `old`; everything is new where there is none.
    pub fn changes_from(&self, old: Option<&Plan>, registry: &Registry) -> Changes {
        let mut former = old.map(|plan| plan.instances(registry)).unwrap_or_default();
        let mut changes = Changes::default();
        for (component, new) in self.instances(registry) {
            let Some(old) = former.remove(&component) else {
                changes.added.push(component);
                continue;
            };
            if old.identity == new.identity && old.settings.same(&*new.settings) {
                changes.kept.push(component);
                continue;
            }
            let change = registry.change(component.kind, &component.id, &*old.settings, Some(&*new.settings));
            changes.changed.push(ComponentChange { component, change, held_items: None, at_risk: None });
        }
        for (component, old) in former {
            let change = registry.change(component.kind, &component.id, &*old.settings, None);
            changes.removed.push(ComponentChange { component, change, held_items: None, at_risk: None });
        }
        changes.pipelines = self.pipeline_changes(old);
        changes
    }

    fn pipeline_changes(&self, old: Option<&Plan>) -> PipelineChanges {
        let by_id = |plan: &Plan| -> BTreeMap<PipelineId, PlannedPipeline> {
            plan.pipelines.iter().map(|pipeline| (pipeline.id.clone(), pipeline.clone())).collect()
        };
        let mut former = old.map(by_id).unwrap_or_default();
        let mut changes = PipelineChanges::default();
        for (id, new) in by_id(self) {
            match former.remove(&id) {
                None => changes.added.push(id.to_string()),
                Some(old) if old != new => changes.changed.push(id.to_string()),
                Some(_) => {}
            }
        }
        changes.removed = former.into_keys().map(|id| id.to_string()).collect();
        changes
    }

    /// Every instance that a graph of this plan has.
    fn instances(&self, registry: &Registry) -> BTreeMap<ComponentKey, Instance> {
        let mut instances = BTreeMap::new();
        let mut add = |key: ComponentKey, feeds: Vec<PipelineId>| {
            let settings = self.settings(key.kind, &key.id);
            let identity = Identity { type_name: key.id.type_name().to_owned(), feeds };
            instances.insert(key, Instance { settings, identity });
        };
        self.extensions.iter().for_each(|id| add(extension_key(id), Vec::new()));
        self.receivers().into_iter().for_each(|id| add(receiver_key(id), Vec::new()));
        for pipeline in &self.pipelines {
            for id in pipeline.exporters.iter().filter(|id| !self.is_connector(id)) {
                add(exporter_key(id, pipeline.id.signal()), Vec::new());
            }
            for id in &pipeline.processors {
                add(processor_key(id, &pipeline.id), Vec::new());
            }
        }
        for ((id, from, to), feeds) in self.instances_of_connectors(registry) {
            add(connector_key(&id, from, to), feeds);
        }
        instances
    }

    /// The connectors of [`Plan::connectors`] that turn the one signal into the other.
    pub(crate) fn instances_of_connectors(
        &self,
        registry: &Registry,
    ) -> impl Iterator<Item = ((phoenix_config::ComponentId, Signal, Signal), Vec<PipelineId>)> {
        self.connectors().into_iter().filter(|((id, from, to), _)| {
            let factory = registry.connector(id.type_name());
            factory.is_some_and(|factory| factory.descriptor().supports(*from, *to))
        })
    }

    /// The pipelines, with the instances in each.
    pub fn pipeline_components(&self, registry: &Registry) -> Vec<phoenix_component::PipelineStatus> {
        let connectors: Vec<_> = self.instances_of_connectors(registry).collect();
        let describe = |pipeline: &PlannedPipeline| {
            let signal = pipeline.id.signal();
            let into =
                connectors.iter().filter(|((_, _, to), feeds)| *to == signal && feeds.contains(&pipeline.id));
            let out_of = connectors
                .iter()
                .filter(|((id, from, _), _)| *from == signal && pipeline.exporters.contains(id));
            let own = |ids: &[phoenix_config::ComponentId]| -> Vec<_> {
                ids.iter().filter(|id| !self.is_connector(id)).cloned().collect()
            };
            let key =
                |((id, from, to), _): &((_, Signal, Signal), Vec<PipelineId>)| connector_key(id, *from, *to);
            phoenix_component::PipelineStatus {
                id: pipeline.id.to_string(),
                receivers: own(&pipeline.receivers).iter().map(receiver_key).chain(into.map(key)).collect(),
                processors: pipeline.processors.iter().map(|id| processor_key(id, &pipeline.id)).collect(),
                exporters: own(&pipeline.exporters)
                    .iter()
                    .map(|id| exporter_key(id, signal))
                    .chain(out_of.map(key))
                    .collect(),
            }
        };
        let mut pipelines: Vec<_> = self.pipelines.iter().map(describe).collect();
        pipelines.sort_by(|a, b| a.id.cmp(&b.id));
        pipelines
    }

    /// The extensions, in the order in which they start.
    pub fn extension_components(&self) -> Vec<ComponentKey> {
        debug_assert!(self.extensions.iter().all(|id| extension_key(id).kind == Kind::Extension));
        self.extensions.iter().map(extension_key).collect()
    }
}
