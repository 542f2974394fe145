use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Response, request};
use phoenix_component::{BoxFuture, Budget, Cores, Extension, Host, StartError};
use phoenix_transport::http::server::{HttpService, Request};
use phoenix_transport::http::side::SideServer;
use phoenix_transport::{Server, ServerMetrics, WhenFull, grpc};

use crate::HealthCheckConfig;
use crate::answer::{Up, answer};
use crate::v2::{HealthService, Source, StatusService};

/// Bytes of gRPC messages held at once.
const GRPC_BUDGET_BYTES: usize = 16 << 20;
/// gRPC connections at a time.
const GRPC_CONNECTIONS: usize = 128;

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

/// Answers whether the pipelines run, and how the components are.
pub struct HealthCheck {
    config: Arc<HealthCheckConfig>,
    id: String,
    readiness: Arc<Readiness>,
    made: SystemTime,
    http: SideServer,
    grpc: Mutex<Option<Server>>,
}

/// The first version: one answer.
struct Ready {
    config: Arc<HealthCheckConfig>,
    readiness: Arc<Readiness>,
}

impl HttpService for Ready {
    type Route = ();

    fn route(&self, head: &request::Parts) -> Result<(), Response<Bytes>> {
        // Whatever the method and the body, neither of which is looked at.
        Err(answer(&self.config, head.uri.path(), self.readiness.up()))
    }

    fn call(&self, (): (), request: Request) -> impl Future<Output = Response<Bytes>> + Send {
        std::future::ready(answer(&self.config, request.head.uri.path(), self.readiness.up()))
    }
}

impl HealthCheck {
    /// The extension, which listens once it is started; `id` names it in the metrics.
    pub fn new(config: HealthCheckConfig, id: &str, readiness: Arc<Readiness>) -> HealthCheck {
        HealthCheck {
            config: Arc::new(config),
            id: id.to_owned(),
            readiness,
            made: SystemTime::now(),
            http: SideServer::default(),
            grpc: Mutex::default(),
        }
    }

    /// Where HTTP is served, while it is.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.http.local_addr()
    }

    /// Where gRPC is served, while it is.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Server::local_addr)
    }

    fn listen(&self, host: &Host) -> Result<(), StartError> {
        if !self.config.use_v2 {
            let service = Ready { config: self.config.clone(), readiness: self.readiness.clone() };
            let settings = self.config.http();
            return self.http.start(&settings, SideServer::options(&settings), service, &self.id, host);
        }
        let health = self.config.component_health.get().cloned().unwrap_or_default();
        let source = Source { host: host.clone(), health, started: self.made };
        if let Some(settings) = self.config.http.get() {
            let service = StatusService { source: source.clone(), settings: settings.clone() };
            let http = settings.http();
            self.http.start(&http, SideServer::options(&http), service, &self.id, host)?;
        }
        if let Some(settings) = self.config.grpc.get().map(crate::StatusGrpc::grpc) {
            let lease = settings.listen(&host.leases).map_err(StartError::because)?;
            let tls = settings.tls().map_err(StartError::because)?;
            let options = grpc::server::Options {
                max_connections: GRPC_CONNECTIONS,
                when_full: WhenFull::Evict,
                ..settings.options()
            };
            let metrics = ServerMetrics::new(&host.metrics, &self.id, "grpc");
            let (cores, budget) = (Cores::of(host.control.clone()), Budget::new(GRPC_BUDGET_BYTES));
            let service = HealthService(source);
            let server = grpc::server::start(&lease, tls, service, options, &cores, &budget, metrics)
                .map_err(StartError::because)?;
            *self.grpc.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        }
        Ok(())
    }
}

impl Extension for HealthCheck {
    fn start<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async {
            // It answers on the control runtime's thread, whoever starts it.
            let _control = host.control.enter();
            self.listen(host)
        })
    }

    fn pipelines_ready(&self, ready: bool) {
        if self.readiness.set(ready) {
            tracing::info!(status = if ready { "ready" } else { "unavailable" }, "health check state change");
        }
    }

    fn stop(&self, deadline: tokio::time::Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let patience = deadline.saturating_duration_since(tokio::time::Instant::now());
            let grpc = self.grpc.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(grpc) = grpc {
                grpc.close(patience.max(Duration::from_millis(1))).await;
            }
            self.http.stop(deadline).await;
        })
    }
}
