//! Where components listen: one configuration has each address once. The engine leases sockets by address, so that the
//! next configuration listens where this one does; within one, two servers would take turns at each other's connections.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use phoenix_component::Action;
use phoenix_component::factory::{Registry, SharedSettings};
use phoenix_config::{ComponentId, Config, Kind, Problems};

use crate::references::runs;

/// Who listens at an address: a component, and the key of its section that names the address.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: ComponentId,
    /// The key.
    pub key: String,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}::{}", self.kind.section(), self.id, self.key)
    }
}

/// The addresses of all components that run, with who listens; reports those that are there twice.
pub(crate) fn check(
    config: &Config,
    settings: &HashMap<(Kind, ComponentId), SharedSettings>,
    registry: &Registry,
    problems: &mut Problems,
) -> BTreeMap<String, Listener> {
    let mut listeners: BTreeMap<String, Listener> = BTreeMap::new();
    for component in config.all_components().filter(|component| runs(config, component)) {
        let (kind, id) = (component.kind(), component.id());
        let parsed = settings.get(&(kind, id.clone()));
        let touches = registry.factory(kind, id.type_name()).zip(parsed);
        let touches = touches.map(|(factory, parsed)| factory.touches(parsed.as_ref())).unwrap_or_default();
        let mut found = component.problems();
        for touch in touches.into_iter().filter(|touch| touch.action == Action::Listen) {
            // Port 0 is any that is free, each time another.
            if touch.target.ends_with(":0") {
                continue;
            }
            if let Some(other) = listeners.get(&touch.target) {
                let message = format!("{} is where `{other}` listens", touch.target);
                found.error_with_help(&touch.key, message, "give one of them another port");
                continue;
            }
            listeners.insert(touch.target, Listener { kind, id: id.clone(), key: touch.key });
        }
        problems.absorb(found);
    }
    listeners
}
