//! Writes telemetry as text for people, byte for byte as otelcol's `debug` exporter does.
//!
//! Formatting is a pure function of the request ([`render`]); it reads through views, so nothing is
//! decoded. It happens, like the writing, on a thread for blocking work.

mod config;
mod detailed;
mod exporter;
mod go;
mod normal;
mod output;
mod sampler;
mod summary;
mod value;

#[cfg(test)]
mod tests;

use std::fmt::{self, Write};
use std::sync::Arc;

use phoenix_component::Change;
use phoenix_component::factory::{Stability, Support};
use phoenix_pdata::{Payload, Signal};

pub use config::{AnyKeys, DebugConfig, Verbosity};
pub use exporter::Debug;
pub use summary::Summary;

phoenix_component::exporter_factory! {
    /// Makes `debug` exporters.
    DebugFactory: "debug", DebugConfig;
    create: |config, cx, signal| {
        Ok(Arc::new(Debug::new(config, &cx.id.to_string(), signal, &cx.host.metrics, &cx.host.control)))
    },
    aliases: ["logging"],
    signals: Support::all(Stability::Alpha),
    change: |_, _| Change::stateless(),
    touches: DebugConfig::touches,
    // Which of them was written, only the section knows.
    section: |section, problems| {
        if let (Some(_), Some(_)) = (section.get("loglevel"), section.get("verbosity")) {
            problems.error_with_help(
                "loglevel",
                "'loglevel' and 'verbosity' are incompatible",
                "use only 'verbosity' instead",
            );
        }
    },
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
