use phoenix_component::Touch;
use phoenix_config::{Described, GoDuration, Problems, Settings};
use phoenix_transport::probe;
use phoenix_transport::settings::Transport;
use serde::Deserialize;

/// Settings of the `pprof` extension: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct PprofConfig {
    /// Where it listens, as `host:port`.
    pub endpoint: String,
    /// Of no use to a listener.
    pub dialer: Dialer,
    /// Without effect: Go's profile of goroutines that block.
    pub block_profile_fraction: i64,
    /// Without effect: Go's profile of mutexes.
    pub mutex_profile_fraction: i64,
    /// The file for a CPU profile of the whole run; none where empty.
    pub save_to_file: String,
}

/// `dialer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Dialer {
    /// Time to connect; a listener has no use for it.
    pub timeout: GoDuration,
}

impl Default for PprofConfig {
    fn default() -> PprofConfig {
        PprofConfig {
            endpoint: "localhost:1777".to_owned(),
            dialer: Dialer::default(),
            block_profile_fraction: 0,
            mutex_profile_fraction: 0,
            save_to_file: String::new(),
        }
    }
}

impl PprofConfig {
    /// What a start would reach out to: its listeners.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        vec![probe::listen("endpoint", Transport::Tcp, &self.endpoint)]
    }
}

impl Settings for PprofConfig {
    fn validate(&self, problems: &mut Problems) {
        if self.endpoint.is_empty() {
            problems.error_with_help("endpoint", "must be specified", "for example `localhost:1777`");
        }
        for (key, fraction) in [
            ("block_profile_fraction", self.block_profile_fraction),
            ("mutex_profile_fraction", self.mutex_profile_fraction),
        ] {
            if fraction > 0 {
                problems.warn(key, "has no effect: it is a profile of Go's scheduler, which is not there");
            }
        }
    }
}
