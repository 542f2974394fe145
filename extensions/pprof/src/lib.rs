//! Profiles of the running collector, at the paths and in the format of Go's `net/http/pprof`, so that
//! `go tool pprof` reads them: CPU time by sampling, resident memory by what it is mapped for.

mod config;
mod extension;
mod saved;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, parse_settings,
    settings_of,
};
use phoenix_component::{Change, Extension, StartError, Touch};
use phoenix_config::{Described, Kind, Node, Problems, Shape};

pub use config::{Dialer, PprofConfig};
pub use extension::Pprof;
pub use saved::SavedProfile;

/// Makes `pprof` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct PprofFactory;

const DESCRIPTOR: Descriptor =
    Descriptor { name: "pprof", aliases: &[], signals: &[], module: env!("CARGO_PKG_NAME") };

impl Factory for PprofFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<PprofConfig>(section, problems)
    }

    fn shape(&self) -> Shape {
        PprofConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<PprofConfig>(settings).touches()
    }

    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let old: &PprofConfig = settings_of(old);
        let change = Change::stateless();
        match new.map(settings_of::<PprofConfig>) {
            Some(new) if new.endpoint == old.endpoint => change,
            Some(new) => {
                change.closing(format!("http {}", old.endpoint), format!("moves to {}", new.endpoint))
            }
            None => change.closing(format!("http {}", old.endpoint), "the extension is removed"),
        }
    }
}

impl ExtensionFactory for PprofFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        let config: &PprofConfig = settings_of(settings);
        let saved = cx.shared.get_or_make(Kind::Extension, cx.id, SavedProfile::default);
        Ok(Arc::new(Pprof::new(config.clone(), &cx.id.to_string(), saved)))
    }
}
