//! How the engine makes components from a configuration.
//!
//! A factory parses and validates a section in one step, without touching the world, so that a dry run
//! and a real start agree; it creates components from the settings that came of that.

use std::any::Any;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_config::{Capability, Catalog, ComponentId, Kind, Known, Node, PipelineId, Problems, Shape};
use phoenix_pdata::Signal;

use crate::legacy;
use crate::{
    Change, Connector, ConnectorOutlets, Exporter, Extension, Host, Outlets, Processor, Receiver, StartError,
    StatusReporter, Touch,
};

/// How mature a component is for a signal, as `components` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Under development.
    Development,
    /// May change.
    Alpha,
    /// Nearly settled.
    Beta,
    /// Settled.
    Stable,
}

impl Stability {
    /// The name in upper case first letter, as otelcol prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Stability::Development => "Development",
            Stability::Alpha => "Alpha",
            Stability::Beta => "Beta",
            Stability::Stable => "Stable",
        }
    }
}

/// What a type of component is called and what it can do.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// The canonical type, for example `otlp_grpc`.
    pub name: &'static str,
    /// Older names that mean the same.
    pub aliases: &'static [&'static str],
    /// The signals that it takes (for a connector, also what each becomes).
    pub signals: &'static [Support],
    /// The crate, as `components` prints it.
    pub module: &'static str,
}

/// One signal that a component supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// What comes in.
    pub from: Signal,
    /// What goes out; the same except for connectors.
    pub to: Signal,
    /// How mature that is.
    pub stability: Stability,
}

impl Support {
    /// Every signal, at one stability.
    pub const fn all(stability: Stability) -> [Support; 3] {
        [
            Support { from: Signal::Traces, to: Signal::Traces, stability },
            Support { from: Signal::Metrics, to: Signal::Metrics, stability },
            Support { from: Signal::Logs, to: Signal::Logs, stability },
        ]
    }
}

impl Descriptor {
    /// Whether the component turns `from` into `to`; for all but connectors both are the same.
    pub fn supports(&self, from: Signal, to: Signal) -> bool {
        self.signals.iter().any(|support| support.from == from && support.to == to)
    }
}

/// The parsed settings of one component, whatever their type. Implemented by every plain settings type.
pub trait AnySettings: Any + Debug + Send + Sync {
    /// Whether `other` means the same: then a hot swap leaves the component alone.
    fn same(&self, other: &dyn AnySettings) -> bool;
    /// For the factory to get its own type back.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Any + Debug + PartialEq + Send + Sync> AnySettings for T {
    fn same(&self, other: &dyn AnySettings) -> bool {
        other.as_any().downcast_ref::<T>().is_some_and(|other| self == other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Settings of one component, shared by its instances.
pub type SharedSettings = Arc<dyn AnySettings>;

/// The settings as the type that the factory parsed.
///
/// # Panics
/// If they are another factory's: a programming error.
pub fn settings_of<T: Any>(settings: &dyn AnySettings) -> &T {
    settings.as_any().downcast_ref().expect("a factory is handed the settings that it parsed")
}

/// Parses and validates a section into `T`; every problem is reported, at its place.
pub fn parse_settings<T>(section: &Node, problems: &mut Problems) -> Option<SharedSettings>
where
    T: phoenix_config::Settings + AnySettings,
{
    Some(Arc::new(phoenix_config::decode_checked::<T>(section, problems)?))
}

/// What every factory offers.
pub trait Factory: Send + Sync {
    /// Names and abilities.
    fn descriptor(&self) -> &Descriptor;

    /// Parses a section of the configuration; none where a problem was reported.
    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings>;

    /// What becomes of the state and the connections of an instance with the settings `old`, where one with
    /// `new` takes its place, or (none) nothing does. Pure: what it says is what `adopt` then does.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::let_out()
    }

    /// What may be written in a section: the [`phoenix_config::Described`] of the type that `parse` reads.
    fn shape(&self) -> Shape {
        Shape::Any
    }

    /// What these settings lack for one of the signals that such components take, in words.
    fn lacks(&self, _settings: &dyn AnySettings, _signal: Signal) -> Option<String> {
        None
    }

    /// The pipelines that a connector's settings name, each behind its key: they must list it among their receivers.
    fn pipelines(&self, settings: &dyn AnySettings) -> Vec<(String, String)> {
        let _ = settings;
        Vec::new()
    }

    /// What an extension with these settings does for those that name it; without settings, what any of this type may do.
    fn offers(&self, settings: Option<&dyn AnySettings>) -> Vec<Capability> {
        let _ = settings;
        Vec::new()
    }

    /// What only the files that a section names can tell. Asked where the configuration runs, before a start and by
    /// `validate`, and never by a service that keeps configurations of others. Files that are not there are warned of at most.
    fn examine(&self, section: &Node, problems: &mut Problems) {
        let _ = (section, problems);
    }

    /// What a component with these settings would reach out to. Touches none of it.
    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        let _ = settings;
        Vec::new()
    }
}

/// What a component is told when it is made.
pub struct CreateContext<'a> {
    /// Its identifier.
    pub id: &'a ComponentId,
    /// The collector. Creation must not acquire anything from it: that is for start and bind.
    pub host: &'a Host,
    /// The way to say how it is.
    pub status: StatusReporter,
    /// Things shared by all instances of this identifier.
    pub shared: &'a Shared,
}

/// Things that all instances of one identifier share, such as a memory limiter's state.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<SharedTable>>);

type SharedTable = HashMap<(Kind, ComponentId), Arc<dyn Any + Send + Sync>>;

impl Shared {
    /// What the instances of `id` share, made on first use.
    pub fn get_or_make<T: Any + Send + Sync>(
        &self,
        kind: Kind,
        id: &ComponentId,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = table.entry((kind, id.clone())).or_insert_with(|| Arc::new(()));
        match kept.clone().downcast::<T>() {
            Ok(shared) => shared,
            Err(_) => {
                let shared = Arc::new(make());
                *kept = shared.clone();
                shared
            }
        }
    }
}

/// Makes receivers.
pub trait ReceiverFactory: Factory {
    /// One receiver for all signals whose outlets will be wired.
    ///
    /// # Errors
    /// Why these settings cannot work.
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        outlets: Outlets,
    ) -> Result<Arc<dyn Receiver>, StartError>;
}

/// Makes processors.
pub trait ProcessorFactory: Factory {
    /// The processor of one pipeline.
    ///
    /// # Errors
    /// Why these settings cannot work.
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError>;
}

/// Makes exporters.
pub trait ExporterFactory: Factory {
    /// The exporter of one signal.
    ///
    /// # Errors
    /// Why these settings cannot work.
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError>;
}

/// Makes connectors.
pub trait ConnectorFactory: Factory {
    /// The connector from pipelines of one signal to pipelines of another.
    ///
    /// # Errors
    /// Why these settings cannot work.
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        from: Signal,
        to: Signal,
        outlets: ConnectorOutlets,
    ) -> Result<Connector, StartError>;
}

/// Makes extensions.
pub trait ExtensionFactory: Factory {
    /// The extension.
    ///
    /// # Errors
    /// Why these settings cannot work.
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError>;
}

/// The component types of a distribution. Only the binary fills it.
#[derive(Default)]
pub struct Registry {
    /// Receivers.
    pub receivers: Vec<Box<dyn ReceiverFactory>>,
    /// Processors.
    pub processors: Vec<Box<dyn ProcessorFactory>>,
    /// Exporters.
    pub exporters: Vec<Box<dyn ExporterFactory>>,
    /// Connectors.
    pub connectors: Vec<Box<dyn ConnectorFactory>>,
    /// Extensions.
    pub extensions: Vec<Box<dyn ExtensionFactory>>,
}

fn named<'a, F: Factory + ?Sized>(factories: &'a [Box<F>], name: &str) -> Option<&'a F> {
    let is_called = |factory: &F| {
        let descriptor = factory.descriptor();
        descriptor.name == name || descriptor.aliases.contains(&name)
    };
    factories.iter().map(AsRef::as_ref).find(|factory| is_called(factory))
}

impl Registry {
    /// The factory for receivers of that type, under any of its names.
    pub fn receiver(&self, name: &str) -> Option<&dyn ReceiverFactory> {
        named(&self.receivers, name)
    }

    /// The factory for processors of that type.
    pub fn processor(&self, name: &str) -> Option<&dyn ProcessorFactory> {
        named(&self.processors, name)
    }

    /// The factory for exporters of that type.
    pub fn exporter(&self, name: &str) -> Option<&dyn ExporterFactory> {
        named(&self.exporters, name)
    }

    /// The factory for connectors of that type.
    pub fn connector(&self, name: &str) -> Option<&dyn ConnectorFactory> {
        named(&self.connectors, name)
    }

    /// The factory for extensions of that type.
    pub fn extension(&self, name: &str) -> Option<&dyn ExtensionFactory> {
        named(&self.extensions, name)
    }

    /// The factory for a type of any kind, under any of its names.
    pub fn factory(&self, kind: Kind, name: &str) -> Option<&dyn Factory> {
        Some(match kind {
            Kind::Receiver => self.receiver(name)?,
            Kind::Processor => self.processor(name)?,
            Kind::Exporter => self.exporter(name)?,
            Kind::Connector => self.connector(name)?,
            Kind::Extension => self.extension(name)?,
        })
    }

    /// The factories of one kind, in the order of registration.
    pub fn factories(&self, kind: Kind) -> Vec<&dyn Factory> {
        fn all<F: Factory + ?Sized>(
            factories: &[Box<F>],
            upcast: impl Fn(&F) -> &dyn Factory,
        ) -> Vec<&dyn Factory> {
            factories.iter().map(|factory| upcast(factory)).collect()
        }
        match kind {
            Kind::Receiver => all(&self.receivers, |factory| factory),
            Kind::Processor => all(&self.processors, |factory| factory),
            Kind::Exporter => all(&self.exporters, |factory| factory),
            Kind::Connector => all(&self.connectors, |factory| factory),
            Kind::Extension => all(&self.extensions, |factory| factory),
        }
    }

    /// The descriptors of one kind, in the order of registration.
    pub fn descriptors(&self, kind: Kind) -> Vec<&Descriptor> {
        self.factories(kind).into_iter().map(Factory::descriptor).collect()
    }

    /// What a change of settings means for the component `id`; see [`Factory::change`].
    pub fn change(
        &self,
        kind: Kind,
        id: &ComponentId,
        old: &dyn AnySettings,
        new: Option<&dyn AnySettings>,
    ) -> Change {
        let name = id.type_name();
        let change = match kind {
            Kind::Receiver => self.receiver(name).map(|factory| factory.change(old, new)),
            Kind::Processor => self.processor(name).map(|factory| factory.change(old, new)),
            Kind::Exporter => self.exporter(name).map(|factory| factory.change(old, new)),
            Kind::Connector => self.connector(name).map(|factory| factory.change(old, new)),
            Kind::Extension => self.extension(name).map(|factory| factory.change(old, new)),
        };
        change.unwrap_or_else(Change::let_out)
    }

    /// Parses the section of one component; none where its type is unknown or a problem was reported.
    pub fn parse(
        &self,
        kind: Kind,
        id: &ComponentId,
        section: &Node,
        problems: &mut Problems,
    ) -> Option<SharedSettings> {
        let factory = self.factory(kind, id.type_name())?;
        let settings = factory.parse(section, problems);
        if settings.is_none() {
            problems.explain_unknown_keys(&factory.shape());
        }
        settings
    }
}

impl Catalog for Registry {
    fn known(&self, kind: Kind, type_name: &str) -> Known {
        let found = self.descriptors(kind).into_iter().find_map(|descriptor| {
            if descriptor.name == type_name {
                return Some(Known::Canonical);
            }
            descriptor.aliases.contains(&type_name).then_some(Known::Alias(descriptor.name))
        });
        found.unwrap_or_else(|| legacy::known(kind, type_name))
    }

    fn types(&self, kind: Kind) -> Vec<&str> {
        self.descriptors(kind).into_iter().map(|descriptor| descriptor.name).collect()
    }
}
