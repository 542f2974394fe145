//! Reads metrics of the host: CPU, memory, disks, filesystems, network, paging and every process.
//!
//! - [`catalog`]: every metric: name, unit, type.
//! - [`parse`]: files of `/proc`, read by functions of text.
//! - [`scrapers`]: one for each part of the host; each writes OTLP while it reads.
//! - [`round`]: all of them, into one request; the time is handed in.
//! - [`receiver`]: the task that calls it at every interval.
//!
//! Names, units, types and attributes are those of otelcol's `hostmetrics`.

mod catalog;
mod config;
mod host;
mod metric;
mod metrics;
mod output;
mod parse;
mod processes;
mod receiver;
mod round;
mod scrapers;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ReceiverFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Outlets, Receiver, StartError};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::Signal;

pub use config::{
    AttributeSwitch, CpuConfig, DeviceMatch, DiskConfig, FilesystemConfig, FilesystemTypeMatch,
    HostMetricsConfig, InterfaceMatch, LoadConfig, MatchType, MemoryConfig, MountPointMatch, NetworkConfig,
    PagingConfig, ProcessAttributes, ProcessConfig, ProcessMatch, ProcessesConfig, RegexpCache, Scrapers,
    SystemConfig,
};
pub use receiver::HostMetrics;

/// Makes `host_metrics` receivers.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostMetricsFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "host_metrics",
    aliases: &["hostmetrics"],
    signals: &[Support { from: Signal::Metrics, to: Signal::Metrics, stability: Stability::Alpha }],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for HostMetricsFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<HostMetricsConfig>(section, problems)
    }

    /// What was read before is only needed for shares of time, which begin again.
    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        HostMetricsConfig::shape()
    }
}

impl ReceiverFactory for HostMetricsFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        outlets: Outlets,
    ) -> Result<Arc<dyn Receiver>, StartError> {
        Ok(Arc::new(HostMetrics::new(settings_of(settings), &cx, outlets)?))
    }
}
