//! The command line, which is otelcol's.

use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use phoenix_component::BuildInfo;

use crate::Provider;

/// Phoenix: an OpenTelemetry collector. It takes otelcol's configuration files, flags and ports.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = false,
    after_help = "Examples:\n  phoenix-collector --config=collector.yaml\n  phoenix-collector --config=base.yaml --config=env:OVERLAY --set=processors.batch.timeout=2s\n  phoenix-collector validate --config=collector.yaml\n\nSignals: SIGHUP reads the configuration again and applies what changed, without closing a port or losing data;\na configuration with mistakes changes nothing. SIGTERM and SIGINT stop intake, deliver what is held, and exit;\na second one exits at once."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// How long a stop may take; what could not be delivered by then is counted and reported.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = duration)]
    pub(crate) shutdown_timeout: Duration,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Reads the process's arguments for a binary of that name and version.
pub(crate) fn parse(build: BuildInfo) -> Result<Arguments, clap::Error> {
    let matches = Arguments::command().name(build.command).version(build.version).try_get_matches()?;
    Arguments::from_arg_matches(&matches)
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sources {
    /// A source of configuration: a file, or a URI with one of the schemes file, env, yaml, http, https. May be
    /// repeated; later ones are merged over earlier ones.
    #[arg(long, value_name = "URI", global = true)]
    pub(crate) config: Vec<String>,
    /// Sets one value over all sources, for example `processors.batch.timeout=2s`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub(crate) set: Vec<String>,
    /// Feature gates to switch, separated by commas: `-id` off, `id` or `+id` on.
    #[arg(long, value_name = "LIST", global = true, allow_hyphen_values = true)]
    pub(crate) feature_gates: Vec<String>,
    /// The schemes that this binary knows.
    #[arg(skip = Provider::ALL)]
    pub(crate) providers: &'static [Provider],
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks a configuration without starting anything; prints nothing where it is right.
    Validate,
    /// Lists the components of this binary, as YAML.
    Components,
    /// Prints the configuration as it results from all sources.
    #[command(alias = "print-initial-config")]
    PrintConfig {
        /// Whether secrets are shown.
        #[arg(long, value_enum, default_value = "redacted")]
        mode: Mode,
        #[arg(long, value_enum, default_value = "yaml")]
        format: Format,
        /// Whether a configuration with mistakes is refused.
        #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
        validate: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Redacted,
    Unredacted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Yaml,
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: phoenix_config::GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    if parsed.is_negative() {
        return Err("must not be negative".to_owned());
    }
    Ok(parsed.as_duration())
}
