//! Ports of a run, so that runs at the same time do not collide.

use std::net::TcpListener;

use anyhow::{Context, Result};

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

    /// The environment variables that the configurations read.
    pub(crate) fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("BENCH_GRPC_LISTEN", self.grpc_listen()),
            ("BENCH_HTTP_LISTEN", self.http_listen()),
            ("BENCH_GRPC_TARGET", self.grpc_target()),
            ("BENCH_HTTP_TARGET", self.http_target()),
            ("BENCH_HEALTH_LISTEN", self.health_listen()),
            ("BENCH_METRICS_PORT", self.free[5].to_string()),
        ]
    }

    fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.free[index])
    }
}
