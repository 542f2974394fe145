//! What the subcommands do.

use std::io::Write as _;
use std::time::Duration;

use phoenix_component::BuildInfo;
use phoenix_component::factory::{Descriptor, Registry};
use phoenix_config::{Kind, Secrets};

use crate::changes::Exit;
use crate::cli::{Arguments, Command, Format, Mode, Sources};
use crate::{Distribution, Provider, changes, gates, load, run};

/// How long the end of a command waits for its log to be written.
pub(crate) const LOG_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn execute(mut arguments: Arguments, distribution: Distribution) -> anyhow::Result<Exit> {
    gates::check(&arguments.sources.feature_gates)?;
    arguments.sources.providers = distribution.providers;
    let registry = distribution.registry;
    match arguments.command {
        None => {
            let (timeout, watch) = (arguments.shutdown_timeout, arguments.watch_config);
            run::run(arguments.sources, distribution.build, registry, timeout, watch)?;
        }
        Some(Command::Validate) => validate(&arguments.sources, &registry)?,
        Some(Command::Components) => {
            print(&components(distribution.build, &registry, distribution.providers))?;
        }
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
        Some(Command::LogLevel { level, admin }) => {
            return changes::reached(changes::log_level(&level, &admin));
        }
    }
    Ok(Exit::Fine)
}

/// Says on standard error what went wrong.
#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
pub(crate) fn complain(error: &anyhow::Error) {
    if error.is::<load::BadConfig>() {
        eprint!("{error}");
    } else {
        eprintln!("Error: {error:#}");
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn validate(sources: &Sources, registry: &Registry) -> anyhow::Result<()> {
    let loaded = load::load(&load::Request::of(sources), registry)?;
    let logs = phoenix_telemetry::logs::install();
    load::log_warnings(&loaded.problems);
    logs.flush(LOG_PATIENCE);
    Ok(())
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
        Err(error) => (load::resolve(&load::Request::of(sources))?.0.root, *error.0),
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
