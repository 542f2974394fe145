//! From the command line's sources to a plan, with every mistake in one report.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use phoenix_component::factory::Registry;
use phoenix_component::{ConfigRequest, ConfigSource};
use phoenix_config::{
    Config, EnvProvider, FileProvider, Missing, Node, Problems, ProviderError, Resolver, Retrieved, Severity,
    YamlProvider,
};
use phoenix_engine::Plan;

use crate::Provider;
use crate::agent_provider::AgentProvider;
use crate::cli::Sources;
use crate::gates;
use crate::http_provider::HttpProvider;
use crate::service_telemetry::ServiceTelemetry;

/// The sources that are asked for, and texts that came with the request.
#[derive(Clone)]
pub(crate) struct Request {
    sources: Sources,
    texts: BTreeMap<String, String>,
}

impl Request {
    /// The sources of a command line.
    pub(crate) fn of(sources: &Sources) -> Request {
        Request { sources: sources.clone(), texts: BTreeMap::new() }
    }

    /// Other sources, under the flags of the command line `own`.
    pub(crate) fn asked(request: ConfigRequest, own: &Sources) -> Request {
        let sources = Sources { config: Vec::new(), set: request.set, ..own.clone() };
        let mut made = Request { sources, texts: BTreeMap::new() };
        for source in request.sources {
            match source {
                ConfigSource::Own => {
                    made.sources.config.extend(own.config.iter().cloned());
                    made.sources.set.splice(0..0, own.set.iter().cloned());
                }
                ConfigSource::Uri(uri) => made.sources.config.push(uri),
                ConfigSource::Text { name, text } => {
                    let mut uri = format!("text:{name}");
                    while made.texts.contains_key(&uri) {
                        uri.push('\'');
                    }
                    made.texts.insert(uri.clone(), text);
                    made.sources.config.push(uri);
                }
            }
        }
        made
    }
}

/// `text:NAME`: a text that came with the request.
pub(crate) struct TextProvider(pub(crate) BTreeMap<String, String>);

impl phoenix_config::Provider for TextProvider {
    fn scheme(&self) -> &str {
        "text"
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        let text = self.0.get(uri).ok_or_else(|| ProviderError::new(format!("no {uri:?} came with it")))?;
        Ok(Retrieved::yaml(text.as_str()))
    }
}

/// Remembers the files that are read, for who watches them.
#[derive(Clone, Default)]
struct WatchedFiles(Arc<Mutex<Vec<PathBuf>>>);

impl phoenix_config::Provider for WatchedFiles {
    fn scheme(&self) -> &str {
        FileProvider.scheme()
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        let path = PathBuf::from(uri.strip_prefix("file:").unwrap_or(uri));
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.contains(&path) {
            files.push(path);
        }
        drop(files);
        FileProvider.retrieve(uri)
    }
}

/// A configuration that can be run.
pub(crate) struct Loaded {
    pub(crate) root: Node,
    pub(crate) plan: Plan,
    pub(crate) telemetry: ServiceTelemetry,
    /// Warnings, and what reading taught about secrets.
    pub(crate) problems: Problems,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
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
pub(crate) fn resolve(
    request: &Request,
    missing: Missing,
) -> Result<(phoenix_config::Resolved, Vec<PathBuf>), BadConfig> {
    let (sources, files) = (&request.sources, WatchedFiles::default());
    let with = |resolver: Resolver, provider: &Provider| match provider {
        Provider::Env => resolver.with(EnvProvider::of_process()),
        Provider::File => resolver.with(files.clone()),
        Provider::Yaml => resolver.with(YamlProvider),
        Provider::Http | Provider::Https => resolver.with(HttpProvider { scheme: provider.scheme() }),
    };
    let resolver = sources.providers.iter().fold(Resolver::new(), with).missing(missing);
    let resolver = resolver.with(TextProvider(request.texts.clone())).with(AgentProvider);
    let appends = gates::is_on(&sources.feature_gates, gates::MERGE_APPEND);
    let resolver = resolver.append_service_lists(appends);
    let resolved = resolver.resolve(&sources.config, &sources.set).map_err(BadConfig)?;
    let files = std::mem::take(&mut *files.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((resolved, files))
}

/// Reads, checks and plans. Touches nothing but the sources.
pub(crate) fn load(request: &Request, registry: &Registry) -> Result<Loaded, BadConfig> {
    load_by_steps(request, registry, || {})
}

/// The same; `between` runs between one step and the next, which has little code in common with it.
pub(crate) fn load_by_steps(
    request: &Request,
    registry: &Registry,
    between: impl Fn(),
) -> Result<Loaded, BadConfig> {
    let (phoenix_config::Resolved { root, mut problems }, files) =
        resolve(request, missing(&request.sources))?;
    between();
    let config = read(&request.sources, &root, registry, &mut problems);
    between();
    let (telemetry, plan) = plan(&config, registry, &mut problems);
    examine(&config, registry, &mut problems);
    match plan {
        Some(plan) if !problems.has_errors() => Ok(Loaded { root, plan, telemetry, problems, files }),
        _ => Err(BadConfig(Box::new(problems))),
    }
}

/// Own telemetry, and the graph if there is no mistake; all mistakes are reported.
pub(crate) fn plan(
    config: &Config,
    registry: &Registry,
    problems: &mut Problems,
) -> (ServiceTelemetry, Option<Plan>) {
    let telemetry = ServiceTelemetry::read(config, problems);
    let plan = Plan::new(config, registry, problems);
    if let Some(plan) = &plan {
        telemetry.check_listeners(config, plan, problems);
    }
    (telemetry, plan.filter(|_| !problems.has_errors()))
}

fn read(sources: &Sources, root: &Node, registry: &Registry, problems: &mut Problems) -> Config {
    match gates::is_on(&sources.feature_gates, gates::NO_PIPELINES) {
        true => Config::read_without_pipelines(root, registry, problems),
        false => Config::read(root, registry, problems),
    }
}

/// The warnings of a configuration, each with its place.
pub(crate) fn warnings(problems: &Problems) -> Vec<String> {
    let warnings = problems.sorted().into_iter().filter(|problem| problem.severity == Severity::Warning);
    warnings.map(|problem| format!("{}: {}: {}", problem.location, problem.path, problem.message)).collect()
}

/// What becomes of a variable that is not set, when it counts.
pub(crate) fn missing(sources: &Sources) -> Missing {
    if sources.strict_env { Missing::Error } else { Missing::Empty }
}

/// Checks all that can be checked wherever this is done: what the environment would say is left open.
pub(crate) fn check(sources: &Sources, registry: &Registry) -> Result<(Config, Problems), BadConfig> {
    let missing = if sources.strict_env { Missing::Error } else { Missing::Open };
    let (phoenix_config::Resolved { root, mut problems }, _) = resolve(&Request::of(sources), missing)?;
    let config = read(sources, &root, registry, &mut problems);
    plan(&config, registry, &mut problems);
    examine(&config, registry, &mut problems);
    if problems.has_errors() { Err(BadConfig(Box::new(problems))) } else { Ok((config, problems)) }
}

/// What the files say that components name.
fn examine(config: &Config, registry: &Registry, problems: &mut Problems) {
    for component in config.all_components() {
        if let Some(factory) = registry.factory(component.kind(), component.id().type_name()) {
            let mut found = component.problems();
            factory.examine(component.node(), &mut found);
            problems.absorb(found);
        }
    }
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
