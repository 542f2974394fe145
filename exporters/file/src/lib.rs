//! Writes requests to files: as lines of OTLP/JSON, or each after its length.
//!
//! - [`layout`]: the settings as the writing needs them, and how one request becomes one record.
//! - [`groups`]: which file each resource of a request belongs to.
//! - [`sink`]: the files of one path, written whole record by whole record. It belongs to the engine's
//!   leases, so exporters of all signals, and those of the former and the next configuration, share it.
//! - [`rotation`]: the names of replaced files, and which of them go.
//! - [`storage`]: the file system, which tests replace.
//!
//! A request is answered once the operating system has taken its record, and a record that was not taken
//! whole is cut off again: what is accepted is in the file, and the file holds nothing else.

mod config;
mod exporter;
mod groups;
mod layout;
mod metrics;
mod rotation;
mod sink;
mod storage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Exporter, StartError, StateFate};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::Signal;

pub use config::{CompressionParams, FileConfig, GroupBy, Rotation};
pub use exporter::FileExporter;

/// Makes `file` exporters.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "file",
    aliases: &[],
    signals: &Support::all(Stability::Alpha),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for FileFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<FileConfig>(section, problems)
    }

    /// Nothing is held, and the files are not an exporter's: at the most they begin anew.
    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let loss = new.and_then(|new| settings_of::<FileConfig>(old).loss_to(settings_of(new)));
        loss.map_or_else(Change::stateless, |loss| Change::with(StateFate::Partly(loss)))
    }

    fn shape(&self) -> Shape {
        FileConfig::shape()
    }
}

impl ExporterFactory for FileFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(FileExporter::new(settings_of(settings), &cx, signal)))
    }
}
