//! Who is measured, where they are found, and how they are started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

use crate::compare::ports::Ports;

/// The subjects, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// This binary's `relay`.
    Null,
    Phoenix,
    Otelcol,
    Rotel,
    Vmagent,
}

impl Kind {
    /// The name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Null => "null relay",
            Kind::Phoenix => "phoenix",
            Kind::Otelcol => "otelcol",
            Kind::Rotel => "rotel",
            Kind::Vmagent => "vmagent",
        }
    }

    /// Whether it is somebody else's collector, there for comparison only.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Kind::Otelcol | Kind::Rotel | Kind::Vmagent)
    }
}

/// The configuration with which a subject does the work of `config`: otelcol does some of it by other components,
/// and vmagent reads rules of its own.
pub(crate) fn config_for(config: &'static str, kind: Kind) -> &'static str {
    match (config, kind) {
        ("optimizer-chain", Kind::Otelcol) => "optimizer-chain-otelcol",
        ("aggregate-remote-write", Kind::Vmagent) => "aggregate-remote-write-vmagent",
        _ => config,
    }
}

/// A subject that is on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
}

impl Subject {
    /// Finds those of `wanted` that are there; says of the others that they are not.
    ///
    /// # Errors
    /// If the path of this program is not known.
    pub(crate) fn find(wanted: &[Kind], collector: &Path) -> Result<Vec<Subject>> {
        let own = std::env::current_exe().context("cannot find this program")?;
        let mut found = Vec::new();
        for kind in wanted {
            let program = match kind {
                Kind::Null => Some(own.clone()),
                Kind::Phoenix => Some(collector.to_owned()).filter(|path| path.is_file()),
                Kind::Otelcol => peer("OTELCOL", &["otelcol", "otelcol-contrib", "otelcol-peer"]),
                Kind::Rotel => peer("ROTEL", &["rotel-agent", "rotel"]),
                Kind::Vmagent => peer("VMAGENT", &["vmagent", "vmagent-prod"]),
            };
            match program {
                Some(program) => found.push(Subject { kind: *kind, program }),
                None => eprintln!("{} is not on this machine and is left out", kind.name()),
            }
        }
        Ok(found)
    }

    /// The arguments that make it run `config`; `None` if it cannot do that.
    pub(crate) fn arguments(&self, config: &str, file: &Path, ports: &Ports) -> Option<Vec<OsString>> {
        let words = |words: &[&str]| Some(words.iter().map(OsString::from).collect());
        match self.kind {
            Kind::Null => {
                let compression = match config {
                    "zstd" | "zstd-passthrough" => "zstd",
                    "gzip" => "gzip",
                    _ => "none",
                };
                let (listen, endpoint) = (ports.grpc_listen(), ports.grpc_target());
                words(&["relay", "--listen", &listen, "--endpoint", &endpoint, "--compression", compression])
            }
            Kind::Phoenix => Some(vec!["--config".into(), file.into()]),
            Kind::Otelcol => (config != "batch-delivered").then(|| vec!["--config".into(), file.into()]),
            Kind::Rotel => {
                let mut arguments = vec!["start".to_owned()];
                let mut option = |name: &str, value: String| {
                    arguments.push(format!("--{name}"));
                    arguments.push(value);
                };
                option("otlp-grpc-endpoint", ports.grpc_listen());
                option("otlp-http-endpoint", ports.http_listen());
                option("exporter", "otlp".to_owned());
                option("otlp-exporter-compression", "none".to_owned());
                match config {
                    "http" => {
                        option("otlp-exporter-protocol", "http".to_owned());
                        option("otlp-exporter-endpoint", format!("http://{}", ports.http_target()));
                    }
                    "pass-through" | "batch" => {
                        option("otlp-exporter-endpoint", format!("http://{}", ports.grpc_target()));
                    }
                    _ => return None,
                }
                if config != "batch" {
                    arguments.push("--disable-batching".to_owned());
                }
                Some(arguments.into_iter().map(OsString::from).collect())
            }
            Kind::Vmagent => {
                let options = [
                    ("httpListenAddr", ports.http_listen()),
                    ("remoteWrite.url", format!("http://{}/api/v1/write", ports.http_target())),
                    // Snappy, as everybody takes it, in the place of its own zstd.
                    ("remoteWrite.forcePromProto", "true".to_owned()),
                    ("remoteWrite.streamAggr.config", file.display().to_string()),
                    ("remoteWrite.tmpDataPath", ports.storage().display().to_string()),
                ];
                let option = |(name, value): &(&str, String)| OsString::from(format!("-{name}={value}"));
                (config == "aggregate-remote-write").then(|| options.iter().map(option).collect())
            }
        }
    }
}

/// A program named by an environment variable, or the first of some names on the search path.
fn peer(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(variable) {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::workloads::WORKLOADS;

    #[test]
    fn everybody_can_run_what_they_take_part_in_or_says_no() {
        let ports = Ports::pick().unwrap();
        let subject = |kind| Subject { kind, program: PathBuf::new() };
        for variant in WORKLOADS.iter().flat_map(|workload| workload.variants) {
            for kind in [Kind::Null, Kind::Phoenix] {
                let arguments = subject(kind).arguments(variant.config, Path::new("x.yaml"), &ports);
                assert!(arguments.is_some(), "{} {}", variant.config, kind.name());
            }
        }
        let delivered = subject(Kind::Otelcol).arguments("batch-delivered", Path::new("x.yaml"), &ports);
        assert_eq!(delivered, None);
        let batch = subject(Kind::Rotel).arguments("batch", Path::new("x.yaml"), &ports).unwrap();
        assert!(!batch.contains(&"--disable-batching".into()));
    }
}
