//! The command line, which is otelcol's.

use std::path::PathBuf;
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

/// The command line of a binary of that name and version.
pub(crate) fn command(build: BuildInfo) -> clap::Command {
    Arguments::command().name(build.command).version(build.version)
}

/// Reads the process's arguments for a binary of that name and version.
pub(crate) fn parse(build: BuildInfo) -> Result<Arguments, clap::Error> {
    let matches = command(build).try_get_matches()?;
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
    /// Refuses a configuration that refers to an environment variable that is not set and has no default, instead of
    /// taking it as empty with a warning.
    #[arg(long, global = true)]
    pub(crate) strict_env: bool,
    /// The schemes that this binary knows.
    #[arg(skip = Provider::ALL)]
    pub(crate) providers: &'static [Provider],
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks a configuration without starting anything; prints nothing on standard output where it is right.
    ///
    /// Nothing of the environment is needed: variables that are not set and files that are not there are warned of, and
    /// nothing is said about what depends on them.
    #[command(
        after_help = "Exit codes: 0 the configuration is right (and with --probe every trial went well); 1 it has mistakes;\n2 it is right, and with --probe a trial failed or was not possible."
    )]
    Validate {
        /// Also tries what the configured components would touch, and reports each: names are resolved, endpoints
        /// connected to (with TLS where that is set), listeners bound and let go, files opened.
        #[arg(long)]
        probe: bool,
        /// How long each trial may take.
        #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, requires = "probe")]
        probe_timeout: Duration,
    },
    /// Lists the components of this binary, as YAML.
    Components,
    /// Prints the JSON Schema of the configuration, or its reference documentation.
    Schema {
        /// Only this component, for example `receivers/otlp`.
        #[arg(long, value_name = "KIND/TYPE")]
        component: Option<String>,
        #[arg(long, value_enum, default_value = "json")]
        format: SchemaFormat,
        /// Writes all files to this folder instead of printing.
        #[arg(long, value_name = "FOLDER", conflicts_with = "component")]
        output_dir: Option<PathBuf>,
    },
    /// Prints a script that completes this command in a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// A JSON Schema, draft 2020-12.
    Json,
    /// Pages for people.
    Markdown,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: phoenix_config::GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    if parsed.is_negative() {
        return Err("must not be negative".to_owned());
    }
    Ok(parsed.as_duration())
}
