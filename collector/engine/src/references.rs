//! The extensions that components name: whether each is there, runs, and does what it is named for; and the order in
//! which extensions start that name others.

use std::collections::HashMap;

use phoenix_component::factory::{Registry, SharedSettings};
use phoenix_config::{Capability, Component, ComponentId, Config, KeyPath, Kind, Problems, Reference};

type AllSettings = HashMap<(Kind, ComponentId), SharedSettings>;

/// Reports what components that run name, and would not find at their start.
pub(crate) fn check(config: &Config, settings: &AllSettings, registry: &Registry, problems: &mut Problems) {
    let checker = Checker { config, settings, registry };
    for component in config.all_components().filter(|component| runs(config, component)) {
        let mut found = component.problems();
        for reference in references(component, settings, registry) {
            if let Some((message, help)) = checker.fault(&reference) {
                let key = reference.key.to_string();
                match help {
                    Some(help) => found.error_with_help(&key, message, help),
                    None => found.error(&key, message),
                }
            }
        }
        problems.absorb(found);
    }
}

/// The extensions that are started, those first that others name; otherwise as they are listed.
pub(crate) fn order(
    config: &Config,
    settings: &AllSettings,
    registry: &Registry,
    problems: &mut Problems,
) -> Vec<ComponentId> {
    let mut visit = Visit { config, settings, registry, under_way: Vec::new(), order: Vec::new() };
    for id in &config.service().extensions {
        if let Err((by, key, circle)) = visit.enter(id) {
            let component = config.component(Kind::Extension, &by);
            let mut found = component.map(Component::problems).unwrap_or_default();
            found.error(
                &key.to_string(),
                format!("extensions that wait for each other cannot start: {circle}"),
            );
            problems.absorb(found);
            break;
        }
    }
    visit.order
}

/// Whether the service starts the component.
pub(crate) fn runs(config: &Config, component: &Component) -> bool {
    let (service, id) = (config.service(), component.id());
    let mut pipelines = service.pipelines.iter();
    match component.kind() {
        Kind::Extension => service.extensions.contains(id),
        Kind::Receiver => pipelines.any(|pipeline| pipeline.receivers.contains(id)),
        Kind::Processor => pipelines.any(|pipeline| pipeline.processors.contains(id)),
        Kind::Exporter => pipelines.any(|pipeline| pipeline.exporters.contains(id)),
        Kind::Connector => {
            pipelines.any(|pipeline| pipeline.receivers.contains(id) || pipeline.exporters.contains(id))
        }
    }
}

/// What a component names; nothing of one with mistakes, which are reported.
fn references(component: &Component, settings: &AllSettings, registry: &Registry) -> Vec<Reference> {
    let (kind, id) = (component.kind(), component.id());
    let factory = registry.factory(kind, id.type_name());
    match factory.filter(|_| settings.contains_key(&(kind, id.clone()))) {
        Some(factory) => factory.shape().references(component.node()),
        None => Vec::new(),
    }
}

struct Checker<'a> {
    config: &'a Config,
    settings: &'a AllSettings,
    registry: &'a Registry,
}

impl Checker<'_> {
    /// What is wrong with it, and what would be right.
    fn fault(&self, Reference { id, capability, .. }: &Reference) -> Option<(String, Option<String>)> {
        let unresolved = |why: &str| format!("failed to resolve {} \"{id}\": {why}", capability.sought());
        if !self.config.may_have(Kind::Extension, id) {
            let help = self.config.help_for_missing(Kind::Extension, id);
            return Some((unresolved("no extension of that name is configured"), help));
        }
        // One with mistakes has its own report; of a section that is not known, nothing can be said.
        self.config.component(Kind::Extension, id)?;
        let service = self.config.service();
        if !service.extensions.contains(id) && !service.is_open {
            let help = format!(
                "add it to `service::extensions`: [{}]",
                listed(service.extensions.iter().chain([id]))
            );
            return Some((unresolved("the extension is configured, but not started"), Some(help)));
        }
        let settings = self.settings.get(&(Kind::Extension, id.clone()))?;
        if self.offers(id, Some(settings), *capability) {
            return None;
        }
        Some((format!("extension \"{id}\" is no {capability}"), self.help_for(id, *capability)))
    }

    fn offers(&self, id: &ComponentId, settings: Option<&SharedSettings>, capability: Capability) -> bool {
        let factory = self.registry.extension(id.type_name());
        let settings = settings.map(AsRef::as_ref);
        factory.is_some_and(|factory| factory.offers(settings).contains(&capability))
    }

    fn help_for(&self, id: &ComponentId, capability: Capability) -> Option<String> {
        if self.offers(id, None, capability) {
            return Some(format!("with other settings it is one: see those of {}", id.type_name()));
        }
        let can = |id: &&ComponentId| {
            let settings = self.settings.get(&(Kind::Extension, (*id).clone()));
            settings.is_some_and(|settings| self.offers(id, Some(settings), capability))
        };
        let configured: Vec<_> = self.config.service().extensions.iter().filter(can).collect();
        if !configured.is_empty() {
            return Some(format!("among those that are started, {} can be named here", listed(configured)));
        }
        let types =
            self.registry.extensions.iter().filter(|factory| factory.offers(None).contains(&capability));
        let types: Vec<_> = types.map(|factory| factory.descriptor().name).collect();
        (!types.is_empty()).then(|| format!("extensions of these types can be one: {}", types.join(", ")))
    }
}

fn listed<'a>(ids: impl IntoIterator<Item = &'a ComponentId>) -> String {
    ids.into_iter().map(ComponentId::to_string).collect::<Vec<_>>().join(", ")
}

/// A visit of extensions along what they name.
struct Visit<'a> {
    config: &'a Config,
    settings: &'a AllSettings,
    registry: &'a Registry,
    under_way: Vec<ComponentId>,
    order: Vec<ComponentId>,
}

impl Visit<'_> {
    /// Puts what `id` names, and then itself, into the order; else who closes a circle, by which key, and the circle.
    fn enter(&mut self, id: &ComponentId) -> Result<(), (ComponentId, KeyPath, String)> {
        if self.order.contains(id) {
            return Ok(());
        }
        self.under_way.push(id.clone());
        let component = self.config.component(Kind::Extension, id);
        let named = component.map(|component| references(component, self.settings, self.registry));
        for Reference { key, id: other, .. } in named.unwrap_or_default() {
            if let Some(start) = self.under_way.iter().position(|id| *id == other) {
                let circle = self.under_way[start..].iter().chain([&other]);
                let circle = circle.map(ComponentId::to_string).collect::<Vec<_>>().join(" -> ");
                return Err((id.clone(), key, circle));
            }
            if self.config.service().extensions.contains(&other) {
                self.enter(&other)?;
            }
        }
        self.under_way.pop();
        self.order.push(id.clone());
        Ok(())
    }
}
