//! The adapter: settings and outlets in, servers out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use phoenix_component::factory::CreateContext;
use phoenix_component::{
    BoxFuture, Host, ListenerLease, Lost, Outlets, Receiver, StartError, Status, StatusReporter,
};
use phoenix_transport::tls::TlsAcceptor;
use phoenix_transport::{Server, ServerMetrics, grpc, http};
use tokio::time::Instant;

use crate::config::OtlpReceiverConfig;
use crate::grpc::GrpcService;
use crate::http::OtlpHttpService;
use crate::intake::Intake;
use crate::metrics::IntakeMetrics;

/// OTLP over gRPC and HTTP, for every signal that is wired.
pub(crate) struct OtlpReceiver {
    config: OtlpReceiverConfig,
    id: String,
    intake: Intake,
    status: StatusReporter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grpc: Option<Bound>,
    http: Option<Bound>,
    servers: Vec<Server>,
}

/// What a protocol needs to serve, acquired before anything is changed.
struct Bound {
    lease: ListenerLease,
    tls: Option<TlsAcceptor>,
}

impl OtlpReceiver {
    pub(crate) fn new(config: OtlpReceiverConfig, cx: &CreateContext<'_>, outlets: Outlets) -> OtlpReceiver {
        OtlpReceiver {
            intake: Intake::new(outlets, config.invalid_utf8.into()),
            id: cx.id.to_string(),
            status: cx.status.clone(),
            config,
            state: Mutex::default(),
        }
    }

    fn bind_all(&self, host: &Host) -> Result<(), StartError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = self.config.protocols.grpc.get() {
            let lease = settings.listen(&host.leases).map_err(StartError::because)?;
            let tls = settings.tls().map_err(StartError::because)?;
            state.grpc = Some(Bound { lease, tls });
        }
        if let Some(settings) = self.config.protocols.http.get() {
            let settings = settings.http();
            let lease = settings.listen(&host.leases).map_err(StartError::because)?;
            let tls = settings.tls().map_err(StartError::because)?;
            state.http = Some(Bound { lease, tls });
        }
        Ok(())
    }

    fn serve_all(&self, host: &Host) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(settings), Some(bound)) = (self.config.protocols.grpc.get(), state.grpc.take()) {
            let service = GrpcService {
                intake: self.intake.clone(),
                metrics: IntakeMetrics::new(&host.metrics, &self.id, "grpc"),
                include_metadata: settings.include_metadata,
            };
            let metrics = ServerMetrics::new(&host.metrics, &self.id, "grpc");
            let options = settings.options();
            let server = grpc::server::start(
                &bound.lease,
                bound.tls,
                service,
                options,
                &host.cores,
                &host.budget,
                metrics,
            )?;
            tracing::info!(receiver = self.id, endpoint = settings.endpoint, "Starting GRPC server");
            state.servers.push(server);
        }
        if let (Some(settings), Some(bound)) = (self.config.protocols.http.get(), state.http.take()) {
            let server = settings.http();
            let service = OtlpHttpService {
                intake: self.intake.clone(),
                metrics: IntakeMetrics::new(&host.metrics, &self.id, "http"),
                include_metadata: server.include_metadata,
                paths: settings.paths(),
            };
            let metrics = ServerMetrics::new(&host.metrics, &self.id, "http");
            let options = server.options();
            let started = http::server::start(
                &bound.lease,
                bound.tls,
                service,
                options,
                &host.cores,
                &host.budget,
                metrics,
            )?;
            tracing::info!(receiver = self.id, endpoint = server.endpoint, "Starting HTTP server");
            state.servers.push(started);
        }
        Ok(())
    }
}

impl Receiver for OtlpReceiver {
    fn bind<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, Result<(), StartError>> {
        Box::pin(async move { self.bind_all(host) })
    }

    fn serve(&self, host: &Host) {
        if let Err(error) = self.serve_all(host) {
            tracing::error!(receiver = self.id, error = %error, "cannot serve");
            self.status.report(Status::Permanent(format!("cannot serve: {error}")));
        }
    }

    fn stop(&self, deadline: Instant) -> BoxFuture<'_, Lost> {
        Box::pin(async move {
            let servers = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                (state.grpc, state.http) = (None, None);
                std::mem::take(&mut state.servers)
            };
            let timeout = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let drains = servers.into_iter().map(|server| tokio::spawn(server.drain(timeout)));
            let mut lost = Lost::default();
            for drain in drains.collect::<Vec<_>>() {
                // Requests that were cut off have no answer: their senders have the data still.
                let aborted = drain.await.unwrap_or_default();
                lost.requests += aborted.requests as u64;
            }
            lost
        })
    }
}
