//! `phoenix-collector`: the default distribution as one binary.

mod registry;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use phoenix_collector::{BuildInfo, Distribution, Provider};

fn main() -> ExitCode {
    phoenix_collector::run(Distribution {
        build: BuildInfo {
            command: env!("CARGO_PKG_NAME"),
            description: "Phoenix",
            version: env!("CARGO_PKG_VERSION"),
        },
        registry: registry::registry(),
        providers: Provider::ALL,
    })
}
