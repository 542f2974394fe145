//! `phoenix-collector`: the collector as one binary, with otelcol's command line.

mod cli;
mod commands;
mod gates;
mod http_provider;
mod load;
mod own_metrics;
mod registry;
mod run;
mod service_telemetry;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; a mistake exits with 1, as otelcol does.
            let code = u8::from(error.use_stderr());
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match commands::execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}
