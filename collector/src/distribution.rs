use phoenix_component::BuildInfo;
use phoenix_component::factory::Registry;

/// What makes a binary: its name, its components, and where it takes configurations from.
pub struct Distribution {
    /// What it says of itself.
    pub build: BuildInfo,
    /// Its components.
    pub registry: Registry,
    /// The schemes of `--config` and `${…}`; others are refused by name.
    pub providers: &'static [Provider],
}

/// A scheme of configuration sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `env:NAME`, and `${NAME}`.
    Env,
    /// `file:path`, and plain paths.
    File,
    /// `http://…`
    Http,
    /// `https://…`
    Https,
    /// `yaml:…`, and `--set`.
    Yaml,
}

impl Provider {
    /// All there are.
    pub const ALL: &'static [Provider] =
        &[Provider::Env, Provider::File, Provider::Http, Provider::Https, Provider::Yaml];

    /// The scheme.
    pub const fn scheme(self) -> &'static str {
        match self {
            Provider::Env => "env",
            Provider::File => "file",
            Provider::Http => "http",
            Provider::Https => "https",
            Provider::Yaml => "yaml",
        }
    }
}
