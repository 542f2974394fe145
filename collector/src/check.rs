//! Checking configurations elsewhere than where they run: for services that keep them.
//!
//! Nothing of this machine is read: variables, files and addresses that a configuration refers to are left open, as
//! `validate` does with those that are not there.

use phoenix_component::Changes;
use phoenix_component::factory::Registry;
use phoenix_config::{
    Config, EnvProvider, Missing, Node, Problems, Provider, ProviderError, Resolved, Resolver, Retrieved,
    Secrets, Severity, Value, YamlProvider,
};

use crate::agent_provider;
use crate::load::{TextProvider, plan};

/// A text of a configuration, under a name for diagnostics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// For example `base.yaml`.
    pub name: String,
    /// YAML.
    pub text: String,
}

/// One mistake or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the configuration cannot be used.
    pub is_error: bool,
    /// The text that it is in; empty for what is missing altogether.
    pub name: String,
    /// Its line, from 1.
    pub line: Option<u32>,
    /// Its column, from 1.
    pub column: Option<u32>,
    /// The key, with `::` between its parts.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// Where a value of the merged configuration was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The key, with `::` between its parts.
    pub key: String,
    /// The text.
    pub name: String,
    /// The line in it, from 1.
    pub line: u32,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Mistakes and warnings, in the order of their places.
    pub findings: Vec<Finding>,
    /// The configuration that results, as YAML, secrets hidden; empty where a text cannot be read.
    pub yaml: String,
    /// The same as JSON.
    pub json: String,
    /// Where each value of it was written.
    pub origins: Vec<Origin>,
}

impl Checked {
    /// Whether it can be run.
    pub fn is_valid(&self) -> bool {
        !self.findings.iter().any(|finding| finding.is_error)
    }
}

/// References that are only known where the configuration runs.
struct Elsewhere(&'static str);

impl Provider for Elsewhere {
    fn scheme(&self) -> &str {
        self.0
    }

    fn retrieve(&self, uri: &str) -> Result<Retrieved, ProviderError> {
        Err(ProviderError::unavailable(format!("{uri} is read where the configuration runs")))
    }
}

fn resolve(texts: &[Text]) -> Result<Resolved, Box<Problems>> {
    let uri = |(index, text): (usize, &Text)| format!("text:{}{}", text.name, "'".repeat(index));
    let uris: Vec<String> = texts.iter().enumerate().map(uri).collect();
    let known = uris.iter().cloned().zip(texts.iter().map(|text| text.text.clone())).collect();
    let resolver = Resolver::new()
        .with(EnvProvider::new(|_| None))
        .with(Elsewhere(agent_provider::SCHEME))
        .with(Elsewhere("file"))
        .with(Elsewhere("http"))
        .with(Elsewhere("https"))
        .with(YamlProvider)
        .with(TextProvider(known))
        .missing(Missing::Open);
    resolver.resolve(&uris, &[])
}

fn findings(problems: &Problems) -> Vec<Finding> {
    let finding = |problem: &phoenix_config::Diagnostic| {
        let location = &problem.location;
        let place = |number: u32| location.is_known().then_some(number).filter(|number| *number > 0);
        Finding {
            is_error: problem.severity == Severity::Error,
            name: location
                .source()
                .map(|source| source.name().trim_end_matches('\'').to_owned())
                .unwrap_or_default(),
            line: place(location.line()),
            column: place(location.column()),
            key: problem.path.to_string(),
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    };
    problems.sorted().into_iter().map(finding).collect()
}

/// Reads `texts` over each other, in order, and checks the result as `validate` does.
pub fn check(texts: &[Text], registry: &Registry) -> Checked {
    let Resolved { root, mut problems } = match resolve(texts) {
        Ok(resolved) => resolved,
        Err(problems) => return Checked { findings: findings(&problems), ..Checked::default() },
    };
    let config = Config::read(&root, registry, &mut problems);
    plan(&config, registry, &mut problems);
    let mut origins = Vec::new();
    collect_origins(&root, String::new(), &mut origins);
    Checked {
        findings: findings(&problems),
        yaml: phoenix_config::to_yaml(&root, problems.readings(), Secrets::Hidden),
        json: phoenix_config::to_json(&root, problems.readings(), Secrets::Hidden),
        origins,
    }
}

fn collect_origins(node: &Node, key: String, origins: &mut Vec<Origin>) {
    if let Value::Map(map) = node.value()
        && !map.entries().is_empty()
    {
        for entry in map.entries() {
            let inner = if key.is_empty() { entry.key.to_string() } else { format!("{key}::{}", entry.key) };
            collect_origins(&entry.value, inner, origins);
        }
        return;
    }
    let location = node.location();
    if let Some(source) = location.source() {
        let name = source.name().trim_end_matches('\'').to_owned();
        origins.push(Origin { key, name, line: location.line() });
    }
}

/// What changes for a collector that runs `old` and is given `new`; none where one of them cannot be run as far as is
/// known here.
pub fn compare(old: &[Text], new: &[Text], registry: &Registry) -> Option<Changes> {
    let read = |texts: &[Text]| {
        let Resolved { root, mut problems } = resolve(texts).ok()?;
        let config = Config::read(&root, registry, &mut problems);
        let (telemetry, plan) = plan(&config, registry, &mut problems);
        Some((plan?, telemetry))
    };
    let ((old, old_telemetry), (new, telemetry)) = (read(old)?, read(new)?);
    let mut changes = new.changes_from(Some(&old), registry);
    changes.telemetry_changed = old_telemetry != telemetry;
    Some(changes)
}
