use std::path::Path;

use phoenix_config::{FileProvider, KeyPath, Kind, Location, Problems, Resolver, Settings, YamlProvider};
use serde::Deserialize;

/// A manifest, in ocb's shape. Paths are relative to the working directory, as ocb has them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// What the distribution is called, and where it goes.
    pub dist: Dist,
    /// Receivers.
    pub receivers: Vec<Component>,
    /// Processors.
    pub processors: Vec<Component>,
    /// Exporters.
    pub exporters: Vec<Component>,
    /// Connectors.
    pub connectors: Vec<Component>,
    /// Extensions.
    pub extensions: Vec<Component>,
    /// Sources of configuration; all that there are where the key is missing.
    pub providers: Option<Vec<ProviderEntry>>,
    /// Converters of configuration; there are none.
    pub converters: Vec<ProviderEntry>,
    /// Other places for crates: `name => path`, `name => url`, `name => url#revision`.
    pub replaces: Vec<String>,
    /// Go's; without meaning here.
    pub excludes: Vec<String>,
    /// How references without a scheme are read.
    pub conf_resolver: ConfResolver,
    /// The implementation of own telemetry; there is one.
    pub telemetry: Option<ProviderEntry>,
}

/// `dist`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dist {
    /// The name of the binary.
    pub name: String,
    /// One line for people; part of the user agent.
    pub description: String,
    /// The version that the binary says it has.
    pub version: String,
    /// Where the sources and the binary go; a new temporary folder where it is empty.
    pub output_path: String,
    /// Keeps debug symbols in the binary.
    pub debug_compilation: bool,
    /// The `cargo` to compile with.
    pub cargo: String,
    /// Where Phoenix comes from.
    pub phoenix: Option<PhoenixSource>,
    /// Go's module name; without meaning here.
    pub module: String,
    /// Go's compiler; without meaning here.
    pub go: String,
    /// Go's; without meaning here.
    pub otelcol_version: String,
    /// Go's; without meaning here.
    pub build_tags: String,
    /// Go's; without meaning here.
    pub cgo_enabled: bool,
}

impl Default for Dist {
    fn default() -> Dist {
        Dist {
            name: "otelcol-custom".to_owned(),
            description: "Custom OpenTelemetry Collector distribution".to_owned(),
            version: "1.0.0".to_owned(),
            output_path: String::new(),
            debug_compilation: false,
            cargo: String::new(),
            phoenix: None,
            module: String::new(),
            go: String::new(),
            otelcol_version: String::new(),
            build_tags: String::new(),
            cgo_enabled: false,
        }
    }
}

/// Where Phoenix comes from: a checkout or a repository.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhoenixSource {
    /// A checkout.
    pub path: String,
    /// A repository.
    pub git: String,
    /// A tag of it.
    pub tag: String,
    /// A branch of it.
    pub branch: String,
    /// A revision of it.
    pub rev: String,
}

/// A component: by the Go module whose place a crate of Phoenix takes, or by a crate.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Component {
    /// A Go module and, as ocb wants it, its version, which means nothing here.
    pub gomod: Vec<String>,
    /// A crate; decides where both are given, so that one manifest serves both builders.
    #[serde(rename = "crate")]
    pub crate_name: String,
    /// The factory in the crate, `Factory` where nothing is said.
    pub factory: String,
    /// The folder of the crate.
    pub path: String,
    /// The repository of the crate.
    pub git: String,
    /// A tag of it.
    pub tag: String,
    /// A branch of it.
    pub branch: String,
    /// A revision of it.
    pub rev: String,
    /// The version of the crate in the registry.
    pub version: String,
    /// Go's import path; without meaning here.
    pub import: String,
    /// Go's package name; without meaning here.
    pub name: String,
}

/// A source of configuration, a converter, or own telemetry.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderEntry {
    /// A Go module.
    pub gomod: String,
    /// The scheme, instead of a Go module.
    pub scheme: String,
    /// Go's import path; without meaning here.
    pub import: String,
    /// Go's package name; without meaning here.
    pub name: String,
    /// Go's local module; without meaning here.
    pub path: String,
}

/// `conf_resolver`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfResolver {
    /// The scheme of `${NAME}`.
    pub default_uri_scheme: String,
}

impl Settings for Manifest {}

impl Manifest {
    /// The components of a kind.
    pub fn components(&self, kind: Kind) -> &[Component] {
        match kind {
            Kind::Receiver => &self.receivers,
            Kind::Processor => &self.processors,
            Kind::Exporter => &self.exporters,
            Kind::Connector => &self.connectors,
            Kind::Extension => &self.extensions,
        }
    }
}

impl Component {
    /// Whether it says itself where its crate is.
    pub(crate) fn has_source(&self) -> bool {
        !self.path.is_empty() || !self.git.is_empty() || !self.version.is_empty()
    }
}

/// Reads a manifest. What is wrong with it goes to `problems`, which also knows its places from then on.
pub fn read(file: &Path, problems: &mut Problems) -> Option<Manifest> {
    read_uri(format!("file:{}", file.display()), problems)
}

/// Reads a manifest from its text.
pub fn read_text(text: &str, problems: &mut Problems) -> Option<Manifest> {
    read_uri(format!("yaml:{text}"), problems)
}

/// Reads a manifest and, whatever else is wrong with it, reports which of its components are not there.
pub fn read_checked(file: &Path, problems: &mut Problems) -> Option<Manifest> {
    read_uri::<Checked>(format!("file:{}", file.display()), problems).map(|checked| checked.0)
}

/// A manifest whose components are looked up where it is validated.
#[derive(Deserialize)]
#[serde(transparent)]
struct Checked(Manifest);

impl Settings for Checked {
    fn validate(&self, problems: &mut Problems) {
        crate::choose::choose(&self.0, &crate::catalog::Catalog::built_in(), problems);
    }
}

fn read_uri<T: Settings>(uri: String, problems: &mut Problems) -> Option<T> {
    let resolver = Resolver::new().with(FileProvider).with(YamlProvider);
    let resolved = match resolver.resolve::<String>(&[uri], &[]) {
        Ok(resolved) => resolved,
        Err(found) => {
            problems.absorb(*found);
            return None;
        }
    };
    *problems = Problems::in_section(KeyPath::root(), &resolved.root, &Location::nowhere());
    problems.absorb(resolved.problems);
    phoenix_config::decode_checked(&resolved.root, problems)
}
