//! The command line, which is otelcol's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use phoenix_component::{BuildInfo, LogLevel};

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
    /// Reads the configuration again when one of its files changes, as SIGHUP does; looks at them this often.
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1s",
        value_parser = interval
    )]
    pub(crate) watch_config: Option<Duration>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The command line of a binary of that name and version.
pub(crate) fn command(build: BuildInfo) -> clap::Command {
    let version = Arg::new("version")
        .short('v')
        .visible_short_alias('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Prints the version");
    Arguments::command().name(build.command).version(build.version).disable_version_flag(true).arg(version)
}

/// Reads arguments, the name of the command first, for a binary of that name and version.
pub(crate) fn parse(
    build: BuildInfo,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, clap::Error> {
    let matches = command(build).try_get_matches_from(arguments)?;
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
    /// Runs as an agent of a control service, or of any server that speaks OpAMP, which gives it its configuration.
    ///
    /// The first start enrols with a token; from then on the agent has a credential of its own. What `--config` says
    /// stays, whatever the server sends: pipelines that must be there. The last good configuration is kept and runs
    /// where the server is away.
    #[command(after_help = crate::agent::HELP)]
    Agent(Agent),
    /// Runs another collector as a child, with a configuration from a control service: writes its files, starts it, looks
    /// after its health, starts it again, and goes back where a configuration fails.
    #[command(after_help = crate::supervise::HELP)]
    Supervise(Supervise),
    /// Lists the components of this binary, as YAML.
    Components,
    /// Lists the feature gates, or tells of one.
    Featuregate {
        /// The gate, by otelcol's name.
        id: Option<String>,
    },
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
    #[cfg(feature = "ottl")]
    /// Tries OTTL statements on records from standard input: shows each before and after.
    ///
    /// Reads requests in OTLP/JSON, as the file exporter writes them, and runs the statements over them one after the
    /// other, as the transform processor does. Nothing is sent anywhere, and no configuration is needed.
    #[command(after_help = crate::playground::HELP)]
    Ottl(Ottl),
    /// Replays traces from standard input through the samplers of a configuration, and tells what they would keep.
    ///
    /// Reads requests in OTLP/JSON, as the file exporter writes them. Time is that of the spans: a request comes when its
    /// last span ended. Nothing is sent anywhere, and no other component of the configuration is started.
    #[command(after_help = crate::replay::HELP)]
    Sample(Sample),
    /// Looks at metrics, from the network or from a file, and tells what they cost: the heaviest, what each label multiplies,
    /// what grows, holds still or is there twice; and proposes rules for the optimizer with what they would save.
    #[command(after_help = crate::analyze::HELP)]
    Analyze(Analyze),
    /// Translates the configuration of another sampler to one for Phoenix.
    #[command(subcommand)]
    Convert(Convert),
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
        #[arg(long, default_value_t = true, action = ArgAction::Set)]
        validate: bool,
    },
    /// Says what a configuration would change in the running collector, without changing anything.
    ///
    /// Names every component that is kept with its state, changed, added or removed, the connections that
    /// would close, and the state that would be lost. Without --config, what a reload would change. Files
    /// are read here; other sources, and references like ${env:X}, by the collector.
    #[command(after_help = crate::changes::EXIT_CODES)]
    Plan {
        /// Compares with these sources instead of with the running collector, and needs none.
        #[arg(long, value_name = "URI", requires = "config")]
        against: Vec<String>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: Admin,
    },
    /// Changes the configuration of the running collector, and says what became of every component.
    ///
    /// Without --config the collector reads its own sources again, as on SIGHUP. What is applied holds until
    /// the next change, reload or restart: the files that the collector was started with stay as they are.
    #[command(after_help = crate::changes::EXIT_CODES)]
    Apply {
        /// Applies nothing where state would be lost, or is likely to be.
        #[arg(long)]
        fail_on_state_loss: bool,
        /// Applies nothing unless the configuration that runs has this hash, as `plan --json` names it.
        #[arg(long, value_name = "HASH")]
        if_running: Option<String>,
        /// How long to wait for what is replaced to deliver what it holds; at most 2m.
        #[arg(long, value_name = "DURATION", default_value = "35s", value_parser = duration)]
        wait: Duration,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: Admin,
    },
    /// Tells how every component of the running collector is.
    #[command(after_help = crate::changes::EXIT_CODES)]
    Status {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: Admin,
    },
    /// Tells what the samplers of the running collector decided about a trace lately, by which policy, when and why.
    #[command(
        after_help = "Exit codes: 0 it is told; 1 a mistake; 2 no decision is remembered; 3 no collector answers."
    )]
    Explain {
        /// The trace: 32 hexadecimal digits.
        #[arg(value_name = "TRACE_ID")]
        trace_id: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: Admin,
    },
    /// Tells the log level of the running collector, or sets it for a time.
    #[command(after_help = crate::changes::EXIT_CODES)]
    LogLevel {
        #[command(flatten)]
        level: LogLevelCommand,
        #[command(flatten)]
        admin: Admin,
    },
}

/// How an agent reaches its server.
#[derive(Args, Clone, Debug)]
pub(crate) struct Agent {
    /// The server: ws:// or wss:// over WebSocket; http:// or https:// over plain HTTP. Without a path, /v1/opamp.
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// Over http:// or https://, speaks JSON and waits for what the server has to say, instead of asking from time to
    /// time.
    #[arg(long)]
    pub(crate) long_poll: bool,
    /// The file that holds the enrolment token; without, PHOENIX_ENROLMENT_TOKEN does.
    #[arg(long, value_name = "FILE")]
    pub(crate) enrolment_token_file: Option<PathBuf>,
    /// Where identity, credential and the last good configuration are kept.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/phoenix-collector/agent")]
    pub(crate) storage: PathBuf,
    /// A label of this agent. May be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,
    /// For how long the collector must be well with a configuration from the server; else it goes back.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) grace_period: Duration,
    /// A file with the authority of the server's certificate.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// How another collector is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Supervise {
    #[command(flatten)]
    pub(crate) agent: Agent,
    #[command(flatten)]
    pub(crate) child: Child,
}

/// What is run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Child {
    /// Where the child tells its health, for example the endpoint of its health_check extension; without, it is well
    /// while it runs.
    #[arg(long, value_name = "URL")]
    pub(crate) health_url: Option<String>,
    /// Where the child offers Prometheus its own metrics, for example `http://localhost:8888/metrics`: rollouts go by what
    /// becomes of its data then.
    #[arg(long, value_name = "URL")]
    pub(crate) metrics_url: Option<String>,
    /// How long the child may take to stop before it is killed.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) stop_timeout: Duration,
    /// Does not let `validate` of the child look at a configuration before the child is stopped.
    #[arg(long)]
    pub(crate) no_validate: bool,
    /// The child and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What is replayed.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sample {
    /// Prints the identifier of each trace with what became of it, too.
    #[arg(long)]
    pub(crate) traces: bool,
    /// What a gibibyte costs that is kept, in any currency.
    #[arg(long, value_name = "PRICE")]
    pub(crate) price_per_gib: Option<f64>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is analyzed, and how it is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Analyze {
    /// How long to listen; SIGINT ends it earlier.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = interval, conflicts_with = "input")]
    pub(crate) duration: Duration,
    /// A file of requests instead; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Where to listen for OTLP over gRPC.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:4317")]
    pub(crate) endpoint: String,
    /// Where to listen for OTLP over HTTP.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:4318")]
    pub(crate) http_endpoint: String,
    /// How many of the heaviest metrics are told.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) top: usize,
    /// Prints JSON.
    #[arg(long, conflicts_with = "rules")]
    pub(crate) json: bool,
    /// Prints the proposed rules alone, as a file for the optimizer's `catalogs`.
    #[arg(long)]
    pub(crate) rules: bool,
}

/// What is translated.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Convert {
    /// Translates the rules of Honeycomb's Refinery (rules.yaml, version 2) to a `tail_sampling` processor.
    ///
    /// Prints a `processors` section. What has no equivalent is said in its comments and on standard error.
    Refinery {
        /// The rules file; standard input without one.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The resource attribute that tells the environment, for which Refinery looks at the API key.
        #[arg(long, value_name = "KEY", default_value = "deployment.environment.name")]
        environment_attribute: String,
    },
    /// Translates VictoriaMetrics' stream aggregation (the file of `-streamAggr.config`) to an `aggregator` processor.
    ///
    /// Prints a `processors` section. What has no equivalent, or differs, is said in its comments and on standard error.
    Vmagent {
        /// The file; standard input without one.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// What is aggregated passes as well, as with `-streamAggr.keepInput`.
        #[arg(long)]
        keep_input: bool,
    },
}

#[cfg(feature = "ottl")]
/// What is tried of OTTL.
#[derive(Args, Clone, Debug)]
pub(crate) struct Ottl {
    /// The statements, or with --condition the conditions.
    #[arg(value_name = "STATEMENT", required = true)]
    pub(crate) texts: Vec<String>,
    /// What they run over: resource, scope, span, spanevent, metric, datapoint, exemplar or log. Paths need no prefix
    /// then; without a context it is found from the prefixes of the paths.
    #[arg(long)]
    pub(crate) context: Option<phoenix_ottl::Context>,
    /// Tells for each record whether one of these conditions holds, as the filter processor asks them.
    #[arg(long)]
    pub(crate) condition: bool,
    /// What a statement that fails means: ignore, silent or propagate.
    #[arg(long, value_name = "MODE", default_value = "ignore")]
    pub(crate) error_mode: phoenix_ottl::ErrorMode,
    /// Prints JSON, a line for each record.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the running collector is reached.
#[derive(Args, Clone, Debug)]
pub(crate) struct Admin {
    /// The endpoint of its `admin` extension: `unix:///path` or `host:port`, by default PHOENIX_ADMIN or
    /// unix:///run/phoenix-collector/admin.sock. On loopback, PHOENIX_ADMIN_TOKEN holds the token.
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) admin: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LogLevelCommand {
    /// debug, info, warn or error; without one, the level is told.
    #[arg(value_parser = log_level)]
    pub(crate) level: Option<LogLevel>,
    /// After this time the level is as configured again; at most 24h.
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = interval)]
    pub(crate) time: Duration,
    /// Puts the configured level back at once.
    #[arg(long, conflicts_with = "level")]
    pub(crate) reset: bool,
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

fn log_level(text: &str) -> Result<LogLevel, String> {
    let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    let found = levels.into_iter().find(|level| level.name() == text);
    found.ok_or_else(|| "must be debug, info, warn or error".to_owned())
}

/// At least 100 ms, so that nothing spins.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < Duration::from_millis(100) {
        return Err("must be at least 100ms".to_owned());
    }
    Ok(interval)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// A JSON Schema, draft 2020-12.
    Json,
    /// Pages for people.
    Markdown,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: phoenix_config::GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    if parsed.is_negative() {
        return Err("must not be negative".to_owned());
    }
    Ok(parsed.as_duration())
}
