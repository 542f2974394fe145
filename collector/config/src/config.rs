//! The whole configuration: components, pipelines, and what else `service` says.

mod pipelines;
mod read;

#[cfg(test)]
mod tests;

use crate::id::{ComponentId, PipelineId};
use crate::kind::{Catalog, Kind};
use crate::node::Node;
use crate::path::KeyPath;
use crate::problems::Problems;
use crate::source::Location;

/// A configuration whose shape has been read; its components' own settings are nodes still.
///
/// Two configurations are equal if they say the same, wherever it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    components: [Vec<Component>; Kind::ALL.len()],
    service: Service,
    defined: read::Defined,
}

/// A component that is configured, whether or not a pipeline uses it.
#[derive(Clone, Debug)]
pub struct Component {
    kind: Kind,
    id: ComponentId,
    type_name: String,
    node: Node,
    path: KeyPath,
    location: Location,
}

/// What runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Extensions to start, in order.
    pub extensions: Vec<ComponentId>,
    /// Pipelines, in the order of the source.
    pub pipelines: Vec<Pipeline>,
    /// Some references could not be resolved, so that more may be named than is listed here.
    pub is_open: bool,
    /// Settings of own telemetry; null if there are none.
    pub telemetry: Node,
}

/// From receivers through processors to exporters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Signal and name.
    pub id: PipelineId,
    /// Receivers, or connectors that begin this pipeline.
    pub receivers: Vec<ComponentId>,
    /// Processors, in order.
    pub processors: Vec<ComponentId>,
    /// Exporters, or connectors that end this pipeline.
    pub exporters: Vec<ComponentId>,
}

impl Config {
    /// Reads a resolved tree and checks all that can be checked without the components. What is wrong goes to
    /// `problems`; the result holds what could be read, so that components can add what is wrong with theirs.
    pub fn read(root: &Node, catalog: &dyn Catalog, problems: &mut Problems) -> Config {
        read::read(root, catalog, problems, true)
    }

    /// The same for a collector that may run without a pipeline: otelcol's gate `service.AllowNoPipelines`.
    pub fn read_without_pipelines(root: &Node, catalog: &dyn Catalog, problems: &mut Problems) -> Config {
        read::read(root, catalog, problems, false)
    }

    /// The components of a kind, in the order of the source.
    pub fn components(&self, kind: Kind) -> &[Component] {
        &self.components[kind.index()]
    }

    /// All components: receivers, processors, exporters, connectors, extensions.
    pub fn all_components(&self) -> impl Iterator<Item = &Component> {
        self.components.iter().flatten()
    }

    /// The component of a kind with this id.
    pub fn component(&self, kind: Kind, id: &ComponentId) -> Option<&Component> {
        self.components(kind).iter().find(|component| component.id == *id)
    }

    /// Whether there is a component of a kind with this id, or may be: also where its section cannot be read.
    pub fn may_have(&self, kind: Kind, id: &ComponentId) -> bool {
        self.defined.has(kind, id)
    }

    /// What may have been meant by an id of a kind that is not there.
    pub fn help_for_missing(&self, kind: Kind, id: &ComponentId) -> Option<String> {
        read::help_for_reference(id, &[kind], &self.defined)
    }

    /// What runs.
    pub fn service(&self) -> &Service {
        &self.service
    }
}

impl Component {
    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its id, with the type as written.
    pub fn id(&self) -> &ComponentId {
        &self.id
    }

    /// Its type by its own name, where the id may have an alias.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Its settings; null for all defaults.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Where its id was written.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// A collector for problems of this component, to be absorbed into the report afterwards.
    pub fn problems(&self) -> Problems {
        Problems::in_section(self.path.clone(), &self.node, &self.location)
    }
}

/// The same component with the same settings, wherever it is written.
impl PartialEq for Component {
    fn eq(&self, other: &Component) -> bool {
        self.kind == other.kind
            && self.id == other.id
            && self.type_name == other.type_name
            && self.node == other.node
    }
}
