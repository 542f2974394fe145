use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use phoenix_component::{Acceptor, BoxFuture, Extension, Host, ListenerLease, StartError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::HealthCheckConfig;
use crate::answer::{Up, answer};
use crate::server::{Limits, serve};

/// Since when the pipelines run. It is shared by the generations of one identifier, so that one that is
/// about to take over does not deny what the former knows.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(SystemTime, Instant)>>);

impl Readiness {
    /// Whether that is a change.
    fn set(&self, ready: bool) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_some() == ready {
            return false;
        }
        *since = ready.then(|| (SystemTime::now(), Instant::now()));
        true
    }

    fn up(&self) -> Option<Up> {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|(since, instant)| Up { since, time: instant.elapsed() })
    }
}

/// Answers over HTTP whether the pipelines run.
pub struct HealthCheck {
    config: Arc<HealthCheckConfig>,
    readiness: Arc<Readiness>,
    running: Mutex<Option<Running>>,
}

struct Running {
    lease: ListenerLease,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl HealthCheck {
    /// The extension, which listens once it is started.
    pub fn new(config: HealthCheckConfig, readiness: Arc<Readiness>) -> HealthCheck {
        HealthCheck { config: Arc::new(config), readiness, running: Mutex::default() }
    }

    /// Where it listens, while it does.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().and_then(|running| running.lease.local_addr())
    }

    fn listen(&self, host: &Host) -> Result<(), StartError> {
        let lease = host.leases.listen_tcp(&self.config.endpoint).map_err(StartError::because)?;
        let Acceptor::Tcp(socket) = lease.acceptor().map_err(StartError::because)? else {
            return Err(StartError::new("the endpoint must be host:port"));
        };
        // It answers on the control runtime's thread, whoever starts it.
        let _control = host.control.enter();
        let listener = TcpListener::from_std(socket).map_err(StartError::because)?;
        let limits = Limits {
            header_timeout: self.config.read_header_timeout.as_duration(),
            keep_alive: self.config.keep_alives_enabled,
        };
        let stop = CancellationToken::new();
        let (config, readiness) = (self.config.clone(), self.readiness.clone());
        let answer = Arc::new(move |path: &str| answer(&config, path, readiness.up()));
        let server = host.control.spawn(serve(listener, limits, stop.clone(), answer));
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = Some(Running { lease, stop, server });
        Ok(())
    }
}

impl Extension for HealthCheck {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async { self.listen(host) })
    }

    fn pipelines_ready(&self, ready: bool) {
        if self.readiness.set(ready) {
            tracing::info!(status = if ready { "ready" } else { "unavailable" }, "health check state change");
        }
    }

    fn stop(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(mut running) = running else { return };
            running.stop.cancel();
            if tokio::time::timeout_at(deadline, &mut running.server).await.is_err() {
                running.server.abort();
            }
        })
    }
}
