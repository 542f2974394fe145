use std::sync::Arc;

use phoenix_telemetry::Metrics;
use phoenix_telemetry::logs::LogHandle;
use phoenix_telemetry::traces::Tracer;
use tokio::runtime::Handle;

use crate::{Budget, Capabilities, CollectorHandle, Cores, Health, Leases, MemoryReader, SystemMemory};

/// What the running collector offers its components. Clones share everything.
#[derive(Clone)]
pub struct Host {
    /// Bytes that may be held.
    pub budget: Budget,
    /// The I/O runtimes.
    pub cores: Cores,
    /// The runtime for what is not the data path: health, timers, maintenance. It has its own thread.
    pub control: Handle,
    /// Ports and sockets.
    pub leases: Leases,
    /// What extensions offer.
    pub capabilities: Capabilities,
    /// Own metrics.
    pub metrics: Metrics,
    /// Own logs: their level can be changed while the collector runs.
    pub logs: LogHandle,
    /// Own traces, off by default.
    pub tracer: Tracer,
    /// The status of each component.
    pub health: Health,
    /// Memory of the process.
    pub memory: Arc<dyn MemoryReader>,
    /// What this binary is.
    pub build: BuildInfo,
    /// The collector as a whole, for extensions that tell of it or change it.
    pub collector: CollectorHandle,
}

impl Host {
    /// A host in the caller's runtime with no limits: for tests and tools.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn for_tests() -> Host {
        Host {
            budget: Budget::unlimited(),
            cores: Cores::current_runtime(),
            control: Handle::current(),
            leases: Leases::default(),
            capabilities: Capabilities::default(),
            metrics: Metrics::default(),
            logs: LogHandle::default(),
            tracer: Tracer::default(),
            health: Health::default(),
            memory: Arc::new(SystemMemory),
            build: BuildInfo::default(),
            collector: CollectorHandle::default(),
        }
    }
}

/// What a binary says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The name of the command.
    pub command: &'static str,
    /// One line for people; part of the user agent.
    pub description: &'static str,
    /// The version.
    pub version: &'static str,
}

impl Default for BuildInfo {
    fn default() -> BuildInfo {
        BuildInfo { command: "phoenix-collector", description: "Phoenix", version: env!("CARGO_PKG_VERSION") }
    }
}

impl BuildInfo {
    /// The `User-Agent` of clients, in otelcol's form: `Description/version (os/arch)`.
    pub fn user_agent(&self) -> String {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        format!("{}/{} ({}/{arch})", self.description, self.version, std::env::consts::OS)
    }
}
