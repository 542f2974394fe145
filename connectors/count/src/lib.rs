//! Counts spans, span events, metrics, data points and log records, and sends the counts on as metrics.
//!
//! Counts are made for each request and resource, as delta sums: nothing is held. What is counted is looked at in place.

mod config;
mod counter;
mod emit;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, ConnectorFactory, CreateContext, Descriptor, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Connector, ConnectorOutlets, StartError};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::Signal;

pub use config::{AttributeSettings, CountConfig, CountSettings};

use counter::Counter;

/// Makes `count` connectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountFactory;

const fn to_metrics(from: Signal) -> Support {
    Support { from, to: Signal::Metrics, stability: Stability::Beta }
}

const DESCRIPTOR: Descriptor = Descriptor {
    name: "count",
    aliases: &[],
    signals: &[to_metrics(Signal::Traces), to_metrics(Signal::Metrics), to_metrics(Signal::Logs)],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for CountFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<CountConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        CountConfig::shape()
    }
}

impl ConnectorFactory for CountFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        from: Signal,
        _to: Signal,
        outlets: ConnectorOutlets,
    ) -> Result<Connector, StartError> {
        let counter = Counter::new(settings_of(settings), from, &cx, outlets.all)?;
        Ok(Connector::Flow(Arc::new(counter)))
    }
}

#[cfg(test)]
mod tests;
