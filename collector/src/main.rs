//! `phoenix-collector`: the collector as one binary, with otelcol's command line.

mod cli;
mod commands;
mod gates;
mod http_provider;
mod load;
mod registry;
mod run;
mod service_telemetry;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match commands::execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}
