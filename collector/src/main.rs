//! `phoenix-collector`: the collector as one binary, with otelcol's command line.

mod admin_client;
mod changes;
mod cli;
mod commands;
mod control;
mod gates;
mod http_provider;
mod load;
mod log_level;
mod registry;
mod run;
mod service_telemetry;
mod watch;

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
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}
