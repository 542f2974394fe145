//! The collector without its components: what every distribution's binary runs.
//!
//! A distribution is a [`Registry`] of components and a name; [`run`] gives it otelcol's command line and
//! runs it. The default one is this package's binary, others are written by `phoenix-builder`.

// The registry of every distribution names this crate by its own name, this one's too.
#[cfg(feature = "distribution")]
extern crate self as phoenix_collector;

mod admin_client;
mod agent;
mod agent_provider;
mod analyze;
mod changes;
pub mod check;
mod cli;
mod commands;
mod control;
pub mod convert;
mod distribution;
mod gates;
mod http_provider;
mod load;
mod memory;
mod own_metrics;
#[cfg(feature = "ottl")]
mod playground;
mod probe;
pub mod reference;
#[cfg(feature = "distribution")]
mod registry;
mod replay;
mod run;
mod service_telemetry;
mod supervise;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

pub use distribution::{Distribution, Provider};
pub use phoenix_component::BuildInfo;
pub use phoenix_component::TelemetryDestination;
pub use phoenix_component::factory::Registry;
/// What the kernel says of processes.
pub use phoenix_component::{MemoryReader, SystemMemory, cpu};
pub use service_telemetry::SpanExport;

/// Tokens of OpenID Connect as the extension `oidc` judges them, for services that let people in by them.
#[cfg(feature = "distribution")]
pub mod tokens {
    pub use phoenix_extension_oidc::{jwks, jwt};
}

/// The default distribution: what `builder/phoenix.yaml` lists.
#[cfg(feature = "distribution")]
pub fn default_distribution() -> Distribution {
    Distribution {
        build: BuildInfo {
            command: env!("CARGO_PKG_NAME"),
            description: "Phoenix",
            version: env!("CARGO_PKG_VERSION"),
        },
        registry: registry::registry(),
        providers: Provider::ALL,
    }
}

/// Runs the process: reads its arguments, does what they say, and returns its exit code.
pub fn run(distribution: Distribution) -> ExitCode {
    run_with(distribution, std::env::args_os())
}

/// The same with other arguments than the process's own; the first is the name of the command.
pub fn run_with(distribution: Distribution, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    phoenix_residency::keep_freed();
    let arguments = match cli::parse(distribution.build, arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; a mistake exits with 1, as otelcol does.
            let code = u8::from(error.use_stderr());
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match commands::execute(arguments, distribution) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            commands::complain(&error);
            if error.is::<probe::Failed>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
