//! What the subcommands do.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use phoenix_component::BuildInfo;
use phoenix_component::factory::{Descriptor, Registry};
use phoenix_config::{Kind, Secrets, Severity};

use crate::changes::Exit;
use crate::cli::{Arguments, Command, Convert, Format, Mode, Sources};
use crate::{
    Distribution, Provider, agent, analyze, changes, cli, convert, gates, load, probe, reference, replay,
    run, supervise,
};

/// How long the end of a command waits for its log to be written.
pub(crate) const LOG_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn execute(mut arguments: Arguments, distribution: Distribution) -> anyhow::Result<Exit> {
    gates::check(&arguments.sources.feature_gates)?;
    arguments.sources.providers = distribution.providers;
    let registry = distribution.registry;
    match arguments.command {
        None => {
            let (timeout, watch) = (arguments.shutdown_timeout, arguments.watch_config);
            run::run(arguments.sources, distribution.build, registry, timeout, watch, None)?;
        }
        Some(Command::Agent(asked)) => {
            let (timeout, watch) = (arguments.shutdown_timeout, arguments.watch_config);
            let sources = agent::sources(arguments.sources, &asked)?;
            run::run(sources, distribution.build, registry, timeout, watch, None)?;
        }
        Some(Command::Supervise(asked)) => {
            let (sources, child) = supervise::prepare(arguments.sources, asked)?;
            run::run(sources, distribution.build, registry, arguments.shutdown_timeout, None, Some(child))?;
        }
        Some(Command::Validate { probe, probe_timeout }) => {
            validate(&arguments.sources, &registry, probe.then_some(probe_timeout))?;
        }
        Some(Command::Components) => {
            print(&components(distribution.build, &registry, distribution.providers))?;
        }
        Some(Command::Featuregate { id }) => {
            print(&gates::told(&arguments.sources.feature_gates, id.as_deref())?)?;
        }
        Some(Command::Schema { component, format, output_dir }) => {
            print(&reference::schema(&registry, component.as_deref(), format, output_dir.as_deref())?)?;
        }
        #[cfg(feature = "ottl")]
        Some(Command::Ottl(asked)) => print(&try_ottl(asked)?)?,
        Some(Command::Sample(asked)) => {
            print(&replay::replay(&arguments.sources, &registry, &asked, &standard_input()?)?)?;
        }
        Some(Command::Analyze(asked)) => {
            print(&analyze::analyze(&asked, &arguments.sources, distribution.build, registry)?)?;
        }
        Some(Command::Convert(asked)) => print(&convert_rules(asked)?)?,
        Some(Command::Completion { shell }) => print(&completion(distribution.build, shell)?)?,
        Some(Command::PrintConfig { mode, format, validate }) => {
            print(&print_config(&arguments.sources, &registry, mode, format, validate)?)?;
        }
        Some(Command::Plan { against, json, admin }) => {
            return changes::reached(changes::plan(&arguments.sources, &against, json, &admin, &registry));
        }
        Some(Command::Apply { fail_on_state_loss, if_running, wait, json, admin }) => {
            let conditions = phoenix_component::ApplyConditions { fail_on_state_loss, if_running };
            return changes::reached(changes::apply(&arguments.sources, conditions, wait, json, &admin));
        }
        Some(Command::Status { json, admin }) => return changes::reached(changes::status(json, &admin)),
        Some(Command::Explain { trace_id, json, admin }) => {
            return changes::reached(changes::explain(&trace_id, json, &admin));
        }
        Some(Command::LogLevel { level, admin }) => {
            return changes::reached(changes::log_level(&level, &admin));
        }
    }
    Ok(Exit::Fine)
}

/// Says on standard error what went wrong.
#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
pub(crate) fn complain(error: &anyhow::Error) {
    if let Some(load::BadConfig(problems)) = error.downcast_ref() {
        let count =
            |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let problems = problems.sorted();
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        eprint!("{error}");
        eprintln!("{}, {}", count(errors, "error"), count(problems.len() - errors, "warning"));
    } else if error.is::<probe::Failed>() {
        eprintln!("{error}");
    } else {
        eprintln!("Error: {error:#}");
    }
}

#[expect(clippy::print_stderr, reason = "this command's warnings are read by people")]
fn warn(report: &str) {
    eprint!("{report}");
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn completion(build: BuildInfo, shell: clap_complete::Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(build), build.command, &mut script);
    Ok(String::from_utf8(script)?)
}

/// All of standard input, where OTLP/JSON is expected.
fn standard_input() -> anyhow::Result<Vec<u8>> {
    if std::io::stdin().is_terminal() {
        warn("reading OTLP/JSON from the terminal; end it with Ctrl-D\n");
    }
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    Ok(input)
}

#[cfg(feature = "ottl")]
fn try_ottl(asked: cli::Ottl) -> anyhow::Result<String> {
    let input = standard_input()?;
    let cli::Ottl { texts, context, condition, error_mode, json } = asked;
    let trial = phoenix_ottl::playground::Trial {
        context,
        error_mode,
        texts,
        conditions: condition,
        max_records: usize::MAX,
    };
    crate::playground::run(&trial, &input, json)
}

fn convert_rules(asked: Convert) -> anyhow::Result<String> {
    let file = match &asked {
        Convert::Refinery { file, .. } | Convert::Vmagent { file, .. } => file,
    };
    let (name, text) = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            (path.display().to_string(), text)
        }
        None => ("standard input".to_owned(), std::io::read_to_string(std::io::stdin())?),
    };
    let converted = match asked {
        Convert::Refinery { environment_attribute, .. } => {
            convert::refinery(&name, &text, &convert::RefineryOptions { environment_attribute })
        }
        Convert::Vmagent { keep_input, .. } => {
            convert::vmagent(&name, &text, &convert::VmagentOptions { keep_input })
        }
    };
    let converted = converted.map_err(load::BadConfig)?;
    converted.left_out.iter().for_each(|said| warn(&format!("{said}\n")));
    Ok(converted.yaml)
}

fn validate(sources: &Sources, registry: &Registry, probe: Option<Duration>) -> anyhow::Result<()> {
    let (config, problems) = load::check(sources, registry)?;
    warn(&problems.to_string());
    let Some(patience) = probe else { return Ok(()) };
    let trials = probe::trials(&config, registry);
    let (report, is_well) = probe::run(trials, patience)?;
    print(&report)?;
    if is_well { Ok(()) } else { Err(probe::Failed.into()) }
}

fn print_config(
    sources: &Sources,
    registry: &Registry,
    mode: Mode,
    format: Format,
    validate: bool,
) -> anyhow::Result<String> {
    let (root, problems) = match load::load(&load::Request::of(sources), registry) {
        Ok(loaded) => (loaded.root, loaded.problems),
        Err(error) if validate => return Err(error.into()),
        // The report also holds what is secret, as far as the sections could be read.
        Err(error) => {
            let resolved = load::resolve(&load::Request::of(sources), load::missing(sources))?;
            (resolved.0.root, *error.0)
        }
    };
    let secrets = if mode == Mode::Redacted { Secrets::Hidden } else { Secrets::Shown };
    Ok(match format {
        Format::Yaml => phoenix_config::to_yaml(&root, problems.readings(), secrets),
        Format::Json => phoenix_config::to_json(&root, problems.readings(), secrets),
    })
}

/// The inventory in the form of `otelcol components`, with the aliases of each.
fn components(build: BuildInfo, registry: &Registry, providers: &[Provider]) -> String {
    let mut out = format!(
        "buildinfo:\n    command: {}\n    description: {}\n    version: {}\n",
        build.command, build.description, build.version
    );
    for kind in [Kind::Receiver, Kind::Processor, Kind::Exporter, Kind::Connector, Kind::Extension] {
        let mut descriptors = registry.descriptors(kind);
        descriptors.sort_by_key(|descriptor| descriptor.name);
        if descriptors.is_empty() {
            out += &format!("{}: []\n", kind.section());
            continue;
        }
        out += &format!("{}:\n", kind.section());
        for descriptor in descriptors {
            out += &component(build, kind, descriptor);
        }
    }
    out += "providers:\n";
    for provider in providers {
        let scheme = provider.scheme();
        out +=
            &format!("    - scheme: {scheme}\n      module: phoenix-config {}\n", env!("CARGO_PKG_VERSION"));
    }
    out
}

fn component(build: BuildInfo, kind: Kind, descriptor: &Descriptor) -> String {
    let mut out = format!("    - name: {}\n", descriptor.name);
    if !descriptor.aliases.is_empty() {
        out += &format!("      aliases: [{}]\n", descriptor.aliases.join(", "));
    }
    out += &format!("      module: {} {}\n      stability:\n", descriptor.module, build.version);
    if kind == Kind::Extension {
        out += "        extension: Beta\n";
    }
    for support in descriptor.signals {
        let signal = match kind {
            Kind::Connector => format!("{}-to-{}", support.from, support.to),
            _ => support.from.to_string(),
        };
        out += &format!("        {signal}: {}\n", support.stability.name());
    }
    out
}
