use phoenix_component::Touch;
use phoenix_config::{Described, Problems, Settings};
use phoenix_transport::probe;
use phoenix_transport::side_server_settings;
use serde::Deserialize;

side_server_settings! {
    /// Settings of the `zpages` extension: otelcol's keys.
    pub struct ZpagesConfig at "localhost:55679" {
        /// The collector's metrics as JSON.
        pub expvar: Expvar = Expvar::default(),
    }
}

/// `expvar`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Expvar {
    /// Whether `/debug/expvarz` is served.
    pub enabled: bool,
}

impl ZpagesConfig {
    /// What a start would reach out to: its listeners.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        vec![probe::listen("endpoint", self.transport, &self.endpoint)]
    }
}

impl Settings for ZpagesConfig {
    fn validate(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            problems.error_with_help(
                "endpoint",
                "\"endpoint\" is required when using the \"zpages\" extension",
                "for example `localhost:55679`",
            );
        }
        self.validate_listener(problems);
    }
}
