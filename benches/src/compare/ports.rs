//! Ports of a run, so that runs at the same time do not collide.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder that goes with its run.
#[derive(Debug)]
pub(crate) struct Storage(PathBuf);

impl Storage {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // Most subjects keep nothing.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Free ports on 127.0.0.1.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    free: [u16; 6],
}

impl Ports {
    /// Asks the system for ports that nobody listens on. They are free again when this returns, so somebody
    /// else may take them before they are used; starting then fails, and is tried again with others.
    pub(crate) fn pick() -> Result<Ports> {
        let mut free = [0; 6];
        let mut held = Vec::new();
        for port in &mut free {
            let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
            *port = listener.local_addr()?.port();
            held.push(listener);
        }
        Ok(Ports { free })
    }

    /// Where the subject listens for gRPC.
    pub(crate) fn grpc_listen(&self) -> String {
        self.address(0)
    }

    /// Where the subject listens for OTLP/HTTP.
    pub(crate) fn http_listen(&self) -> String {
        self.address(1)
    }

    /// Where the sink takes gRPC.
    pub(crate) fn grpc_target(&self) -> String {
        self.address(2)
    }

    /// The same under every address of this machine, for whoever has several backends.
    pub(crate) fn grpc_target_everywhere(&self) -> String {
        format!("0.0.0.0:{}", self.free[2])
    }

    /// Where the sink takes OTLP/HTTP.
    pub(crate) fn http_target(&self) -> String {
        self.address(3)
    }

    /// Where the subject answers questions after its health.
    pub(crate) fn health_listen(&self) -> String {
        self.address(4)
    }

    /// Where the subject shows its own metrics, if its configuration says so.
    pub(crate) fn metrics_listen(&self) -> String {
        self.address(5)
    }

    /// A folder for what a subject keeps on disk.
    pub(crate) fn storage(&self) -> PathBuf {
        std::env::temp_dir().join(format!("phoenix-bench-{}-{}", std::process::id(), self.free[0]))
    }

    /// The same, removed once this is dropped.
    pub(crate) fn storage_folder(&self) -> Storage {
        Storage(self.storage())
    }

    /// The environment variables that the configurations read.
    pub(crate) fn environment(&self) -> [(&'static str, String); 8] {
        [
            ("BENCH_GRPC_LISTEN", self.grpc_listen()),
            ("BENCH_HTTP_LISTEN", self.http_listen()),
            ("BENCH_GRPC_TARGET", self.grpc_target()),
            ("BENCH_GRPC_TARGET_PORT", self.free[2].to_string()),
            ("BENCH_HTTP_TARGET", self.http_target()),
            ("BENCH_HEALTH_LISTEN", self.health_listen()),
            ("BENCH_METRICS_PORT", self.free[5].to_string()),
            ("BENCH_STORAGE", self.storage().display().to_string()),
        ]
    }

    fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.free[index])
    }
}
