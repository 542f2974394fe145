//! From the command line's sources to a plan, with every mistake in one report.

use std::fmt;

use phoenix_component::factory::Registry;
use phoenix_config::{
    Config, EnvProvider, FileProvider, Missing, Node, Problems, Resolver, Severity, YamlProvider,
};
use phoenix_engine::Plan;

use crate::Provider;
use crate::cli::Sources;
use crate::gates;
use crate::http_provider::HttpProvider;
use crate::service_telemetry::ServiceTelemetry;

/// A configuration that can be run.
pub(crate) struct Loaded {
    pub(crate) root: Node,
    pub(crate) plan: Plan,
    pub(crate) telemetry: ServiceTelemetry,
    /// Warnings, and what reading taught about secrets.
    pub(crate) problems: Problems,
}

/// A configuration that cannot: the whole report.
#[derive(Debug)]
pub(crate) struct BadConfig(pub(crate) Box<Problems>);

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for BadConfig {}

/// The tree of all sources, without references.
pub(crate) fn resolve(sources: &Sources, missing: Missing) -> Result<phoenix_config::Resolved, BadConfig> {
    let with = |resolver: Resolver, provider: &Provider| match provider {
        Provider::Env => resolver.with(EnvProvider::of_process()),
        Provider::File => resolver.with(FileProvider),
        Provider::Yaml => resolver.with(YamlProvider),
        Provider::Http | Provider::Https => resolver.with(HttpProvider { scheme: provider.scheme() }),
    };
    let resolver = sources.providers.iter().fold(Resolver::new(), with).missing(missing);
    let appends = gates::is_on(&sources.feature_gates, gates::MERGE_APPEND);
    let resolver = resolver.append_service_lists(appends);
    resolver.resolve(&sources.config, &sources.set).map_err(BadConfig)
}

/// Reads, checks and plans. Touches nothing but the sources.
pub(crate) fn load(sources: &Sources, registry: &Registry) -> Result<Loaded, BadConfig> {
    let phoenix_config::Resolved { root, mut problems } = resolve(sources, missing(sources))?;
    let config = Config::read(&root, registry, &mut problems);
    let telemetry = ServiceTelemetry::read(&config, &mut problems);
    match Plan::new(&config, registry, &mut problems) {
        Some(plan) if !problems.has_errors() => Ok(Loaded { root, plan, telemetry, problems }),
        _ => Err(BadConfig(Box::new(problems))),
    }
}

/// What becomes of a variable that is not set, when it counts.
pub(crate) fn missing(sources: &Sources) -> Missing {
    if sources.strict_env { Missing::Error } else { Missing::Empty }
}

/// Checks all that can be checked wherever this is done: what the environment would say is left open.
pub(crate) fn check(sources: &Sources, registry: &Registry) -> Result<(Config, Problems), BadConfig> {
    let missing = if sources.strict_env { Missing::Error } else { Missing::Open };
    let phoenix_config::Resolved { root, mut problems } = resolve(sources, missing)?;
    let config = Config::read(&root, registry, &mut problems);
    ServiceTelemetry::read(&config, &mut problems);
    Plan::new(&config, registry, &mut problems);
    if problems.has_errors() { Err(BadConfig(Box::new(problems))) } else { Ok((config, problems)) }
}

/// Writes the warnings of a configuration to the log.
pub(crate) fn log_warnings(problems: &Problems) {
    for problem in problems.sorted() {
        if problem.severity == Severity::Warning {
            let help = problem.help.as_deref();
            tracing::warn!(at = %problem.location, key = %problem.path, help, "{}", problem.message);
        }
    }
}
