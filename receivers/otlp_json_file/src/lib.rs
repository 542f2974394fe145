//! Reads files of OTLP/JSON, a request on each line, and follows them as they grow and rotate.
//!
//! - [`glob`]: which files are meant.
//! - [`tracker`]: which of them were there before, under whatever name, and how far they were read.
//! - [`chunk`]: the next lines of a file.
//! - [`tailer`]: one look at everything, in rounds; no clock and no task of its own.
//! - [`receiver`]: the task that calls it, and hands its state to the next configuration.
//!
//! A line counts as read once the pipelines have taken it. What they refuse for now is sent again, so
//! backpressure reaches the file, where data waits for free.

mod chunk;
mod config;
mod glob;
mod metrics;
mod receiver;
mod request;
mod size;
mod tailer;
mod tracker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ReceiverFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Outlets, Receiver, StartError, StateFate};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{OtlpJsonFileConfig, StartAt};
pub use receiver::OtlpJsonFile;
pub use size::ByteSize;

/// Makes `otlp_json_file` receivers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtlpJsonFileFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "otlp_json_file",
    aliases: &["otlpjsonfile"],
    signals: &Support::all(Stability::Alpha),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for OtlpJsonFileFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<OtlpJsonFileConfig>(section, problems)
    }

    /// Positions are the state. Nobody connects to it.
    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let old: &OtlpJsonFileConfig = settings_of(old);
        Change::with(match new.map(settings_of::<OtlpJsonFileConfig>) {
            Some(new) if new.include == old.include => StateFate::Adopted,
            Some(_) => StateFate::Partly(receiver::LOST_POSITIONS.to_owned()),
            None => StateFate::Lost("positions in files".to_owned()),
        })
    }

    fn shape(&self) -> Shape {
        OtlpJsonFileConfig::shape()
    }
}

impl ReceiverFactory for OtlpJsonFileFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        outlets: Outlets,
    ) -> Result<Arc<dyn Receiver>, StartError> {
        Ok(Arc::new(OtlpJsonFile::new(settings_of(settings), &cx, outlets)?))
    }
}
