//! `phoenix-collector`: the default distribution as one binary.

#[cfg(test)]
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    phoenix_collector::run(phoenix_collector::default_distribution())
}
