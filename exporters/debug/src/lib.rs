//! Writes telemetry as text for people, byte for byte as otelcol's `debug` exporter does.
//!
//! Formatting is a pure function of the request ([`render`]); it reads through views, so nothing is
//! decoded. It happens, like the writing, on a thread for blocking work.

mod config;
mod detailed;
mod exporter;
mod go;
mod metrics;
mod normal;
mod output;
mod sampler;
mod summary;
mod value;

#[cfg(test)]
mod tests;

use std::fmt::{self, Write};
use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExporterFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Exporter, StartError, Touch};
use phoenix_config::{Described, Node, Problems, Shape};
use phoenix_pdata::{Payload, Signal};

pub use config::{AnyKeys, DebugConfig, Verbosity};
pub use exporter::Debug;
pub use summary::Summary;

/// Makes `debug` exporters.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "debug",
    aliases: &["logging"],
    signals: &Support::all(Stability::Alpha),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for DebugFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        // Which of them was written, only the section knows.
        if let (Some(_), Some(_)) = (section.get("loglevel"), section.get("verbosity")) {
            problems.error_with_help(
                "loglevel",
                "'loglevel' and 'verbosity' are incompatible",
                "use only 'verbosity' instead",
            );
        }
        parse_settings::<DebugConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        DebugConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<DebugConfig>(settings).touches()
    }
}

impl ExporterFactory for DebugFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        signal: Signal,
    ) -> Result<Arc<dyn Exporter>, StartError> {
        let config: &DebugConfig = settings_of(settings);
        Ok(Arc::new(Debug::new(config, &cx.id.to_string(), signal, &cx.host.metrics, &cx.host.control)))
    }
}

/// Writes a request: a line of counts and, beyond verbosity `basic`, the details with an empty line after.
///
/// # Errors
/// Those of `out`.
pub fn render(out: &mut dyn Write, verbosity: Verbosity, signal: Signal, payload: &Payload) -> fmt::Result {
    writeln!(out, "{}", Summary::of(signal, payload))?;
    if verbosity == Verbosity::Basic {
        return Ok(());
    }
    render_details(out, verbosity, signal, payload)?;
    out.write_char('\n')
}

fn render_details(
    out: &mut dyn Write,
    verbosity: Verbosity,
    signal: Signal,
    payload: &Payload,
) -> fmt::Result {
    match verbosity {
        Verbosity::Basic => Ok(()),
        Verbosity::Normal => normal::write(out, signal, payload),
        Verbosity::Detailed => detailed::write(out, signal, payload),
    }
}
